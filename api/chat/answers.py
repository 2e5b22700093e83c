"""What the chat answers, in the language of the caller."""

import secrets
import string
import time
from datetime import UTC, datetime
from typing import Any

from api.chat.schemas import AnswerType, ChatAnswer
from api.generations.schemas import JobView
from api.http.problems import Problem
from reelay.catalog.model import KINDS, JobKind
from reelay.db.generations import TIMING
from reelay.db.tables import GenerationJob
from reelay.domain.failure import FailureCode
from reelay.domain.generation import JobType, Status
from reelay.domain.language import Language
from reelay.domain.messages import in_language, message

COMMANDS = ("/video", "/image", "/voice", "/status", "/cancel", "/help")

SHOWN_AS: dict[JobKind | None, AnswerType] = {
    JobKind.VIDEO: "video",
    JobKind.FIRST_FRAME: "image",
    JobKind.VOICE: "audio",
    JobKind.AMBIENT: "audio",
    JobKind.TRANSCRIBE: "text",
    None: "text",
}
LETTERS = string.ascii_lowercase + string.digits
MINUTES_FROM_SECONDS = 120
"""Longer times are shown in minutes."""


def render_started(job: GenerationJob, text: str, prompt: str, language: Language) -> ChatAnswer:
    """A function of what was fixed at creation, so that a replayed answer equals the first."""
    task_id = task_id_of(job)
    content = {
        "message": text,
        "taskId": task_id,
        "prompt": prompt,
        "estimatedTime": estimated_time(job, language),
        "instructions": message("chat_check_history", language),
    }
    metadata = {"taskId": task_id, "status": "processing"}
    return ChatAnswer(success=True, type="info", content=content, metadata=metadata)


def estimated_time(job: GenerationJob, language: Language) -> str:
    """From half of what the model usually takes to all of it, e.g. `30-60 secondes`."""
    high = int(TIMING.validate_python(job.timing).expected.total_seconds())
    low = high // 2
    if high < MINUTES_FROM_SECONDS:
        return message("chat_seconds", language, low=low, high=high)
    return message("chat_minutes", language, low=low // 60, high=-(-high // 60))


def render_job(job: JobView, task_id: str, language: Language) -> ChatAnswer:
    """How far the job is, or how it ended."""
    status: str = job.status if job.status.is_final else "processing"
    task = {"taskId": task_id, "progress": job.progress}
    match job.status:
        case Status.COMPLETED:
            kind = SHOWN_AS[KINDS.get(JobType(job.type))]
            content = {
                "message": message("chat_completed", language),
                "url": job.result_url,
                "description": job.prompt or "",
                "model": job.model,
                "aspectRatio": job.aspect_ratio,
                "durationSeconds": job.files[0].duration_seconds if job.files else None,
            }
        case Status.FAILED | Status.CANCELED:
            kind = "error"
            reason = reason_of(job, language)
            content = {"message": reason, "error": reason, "status": status, "code": job.error_code or status}
        case _:
            kind = "info"
            content = {
                "message": message("chat_processing", language, progress=job.progress),
                "stage": job.stage,
            }
    return ChatAnswer(
        success=kind != "error",
        type=kind,
        content=task | content,
        metadata={"taskId": task_id, "status": status},
    )


def reason_of(job: JobView, language: Language) -> str:
    """Why there is no media."""
    if job.status is Status.CANCELED:
        return message("chat_canceled", language)
    if job.error_code == FailureCode.DEADLINE_EXCEEDED and KINDS.get(JobType(job.type)) is JobKind.VIDEO:
        lasted = (job.completed_at or datetime.now(UTC)) - (job.submitted_at or job.created_at)
        return message("chat_timeout", language, seconds=int(lasted.total_seconds()))
    return job.error_message or ""


def render_cancel_requested(task_id: str, language: Language) -> ChatAnswer:
    return ChatAnswer(
        success=True,
        type="info",
        content={"message": message("chat_cancel_requested", language), "taskId": task_id},
        metadata={"taskId": task_id, "status": "processing"},
    )


def render_help(language: Language, key: str = "chat_help") -> ChatAnswer:
    text = message("chat_help", language)
    text = text if key == "chat_help" else message(key, language, help=text)
    return ChatAnswer(success=True, type="info", content={"message": text, "commands": list(COMMANDS)}, metadata={})


def render_not_understood(key: str, command: str, language: Language) -> ChatAnswer:
    text = message(key, language, command=command, help=message("chat_help", language))
    return render_error(text, "NOT_UNDERSTOOD", commands=list(COMMANDS))


def render_confirmation(cents: int, command: str, language: Language) -> ChatAnswer:
    """Nothing was started: it costs more than the interactive budget."""
    text = message("chat_confirm", language, price=dollars(cents), command=command)
    content = {"message": text, "code": "CONFIRMATION_REQUIRED", "estimatedCostCents": cents}
    return ChatAnswer(success=False, type="info", content=content, metadata={"status": "confirmation_required"})


def render_problem(problem: Problem, language: Language) -> ChatAnswer:
    """An error as a chat shows it: as text, with the code for programs."""
    errors = [f"{error['field']} {in_language(error['message'], language)}." for error in problem.errors]
    return render_error(" ".join([in_language(problem.detail, language), *errors]), problem.code, **problem.extra)


def render_error(text: str, code: str, **more: Any) -> ChatAnswer:
    content = {"message": text, "error": text, "code": code, **more}
    return ChatAnswer(success=False, type="error", content=content, metadata={"status": "error"})


def new_task_id(kind: str) -> str:
    """E.g. `video_1703265432_abc123`."""
    return f"{kind}_{int(time.time())}_{''.join(secrets.choice(LETTERS) for _ in range(6))}"


def task_id_of(job: GenerationJob) -> str:
    return job.external_id or str(job.id)


def dollars(cents: int) -> str:
    return f"${cents / 100:.2f}"

"""The chat front: a message in, an answer that a chat can show out. Always 200 for what was understood as a message."""

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from api.creation import Create, Creation, model_meant
from api.problems import NotFound, Problem
from api.reading import Jobs, Reading
from api.requests import VideoRequest
from api.services import Services, TheServices
from api.views import CreatedView, JobView
from api.wire import Text, Wire
from catalog.model import KINDS, JobKind, Quality
from domain.generation import JobType, Status
from domain.language import Language

router = APIRouter(prefix="/api", tags=["chat"])

COMMANDS = {
    "/video": "`/video <prompt>` starts a video.",
    "/status": "`/status <taskId>` tells how far it is, and shows it when it is done.",
    "/help": "`/help` shows this.",
}
HELP = " ".join(COMMANDS.values())

Kind = Literal["info", "video", "image", "audio", "text", "error"]
SHOWN_AS: dict[JobKind, Kind] = {
    JobKind.VIDEO: "video",
    JobKind.FIRST_FRAME: "image",
    JobKind.VOICE: "audio",
    JobKind.AMBIENT: "audio",
    JobKind.TRANSCRIBE: "text",
}


class ChatRequest(Wire):
    message: Text = Field(max_length=25_000, description="`/video <prompt>`, `/status <taskId>` or `/help`.")
    confirm: bool = Field(False, description="Needed above the interactive budget.")


class ChatAnswer(Wire):
    success: bool
    type: Kind
    """How to show `content`."""
    content: dict[str, Any]
    metadata: dict[str, Any]


@router.post("/chat", response_model=ChatAnswer)
async def chat(body: ChatRequest, services: TheServices, create: Create, jobs: Jobs) -> JSONResponse:
    """Start a video by a message, and ask after it by another."""
    try:
        return await answer_to(body, services, create, jobs)
    except Problem as problem:
        if problem.status >= 500:
            raise
        return shown(problem_in_chat(problem), problem.headers)


async def answer_to(body: ChatRequest, services: Services, create: Creation, jobs: Reading) -> JSONResponse:
    """Raises: Problem."""
    command, *words = body.message.split(maxsplit=1) or [""]
    match command.lower(), "".join(words).strip():
        case (("/video" | "/status" as known), ""):
            return shown(not_understood(f"`{known}` needs more: {COMMANDS[known]}"))
        case "/video", prompt:
            return await start_video(VideoRequest(prompt=prompt, confirm=body.confirm), services, create, jobs.origin)
        case "/status", task_id:
            return shown(told(await find_task(task_id, jobs)))
        case "/help", _:
            return shown(ChatAnswer(success=True, type="info", content={"message": HELP}, metadata={}))
    return shown(not_understood(f"That is no command of this chat. {HELP}"))


async def start_video(request: VideoRequest, services: Services, create: Creation, origin: str) -> JSONResponse:
    words = request.words()
    model = model_meant(services, JobKind.VIDEO, None, words, Quality.STANDARD)
    created = await create.create(model, words, request)
    view = CreatedView.from_row(created.job, origin, Language.ENGLISH)
    task_id = str(view.job_id)
    content = {
        "message": "Your video is being generated.",
        "taskId": task_id,
        "prompt": request.prompt,
        "estimatedTime": in_words(view.estimated_seconds),
        "instructions": f"Send `/status {task_id}` to see how far it is.",
    }
    metadata = {"taskId": task_id, "status": "processing"}
    return shown(ChatAnswer(success=True, type="info", content=content, metadata=metadata), created.headers)


async def find_task(task_id: str, jobs: Reading) -> JobView:
    """Raises: NotFound; for what is no id as well, and for what is somebody else's."""
    try:
        return await jobs.view(UUID(task_id))
    except (ValueError, NotFound) as unknown:
        raise NotFound(f"There is no task {task_id[:100]} of yours.") from unknown


def told(job: JobView) -> ChatAnswer:
    """How far the job is, or what came of it."""
    kind: Kind = "error"
    match job.status:
        case Status.COMPLETED:
            kind = SHOWN_AS[KINDS[JobType(job.type)]]
            content = {"message": "Done.", "url": job.result_url, "description": description_of(job)}
        case Status.FAILED:
            content = {"message": job.error_message, "code": job.error_code}
        case Status.CANCELED:
            content = {"message": "It was canceled.", "code": "canceled"}
        case _:
            kind = "info"
            content = {"message": f"{job.progress_message} ({job.progress} %)", "stage": job.stage}
    task = {"taskId": str(job.id)}
    return ChatAnswer(
        success=kind != "error",
        type=kind,
        content=task | content | {"progress": job.progress},
        metadata=task | {"status": job.status if job.status.is_final else "processing"},
    )


def description_of(job: JobView) -> str:
    """What there is to see, in a line."""
    durations = [f"{file.duration_seconds:g} s" for file in job.files[:1] if file.duration_seconds]
    return ", ".join(filter(None, [job.prompt, job.model, job.aspect_ratio, *durations]))


def problem_in_chat(problem: Problem) -> ChatAnswer:
    """An error as a chat shows it: in words, with the code for programs."""
    wrong = [f"{error['field']} {error['message']}." for error in problem.errors]
    content = {"message": " ".join([problem.detail, *wrong]), "code": problem.code, **problem.extra}
    return ChatAnswer(success=False, type="error", content=content, metadata={"status": "error"})


def not_understood(message: str) -> ChatAnswer:
    content = {"message": message, "code": "NOT_UNDERSTOOD", "commands": list(COMMANDS)}
    return ChatAnswer(success=False, type="error", content=content, metadata={"status": "error"})


def shown(answer: ChatAnswer, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(answer.model_dump(mode="json", by_alias=True), headers=dict(headers or {}))


def in_words(seconds: int) -> str:
    if seconds < 90:
        return f"about {seconds} seconds"
    return f"about {round(seconds / 60)} minutes"

"""What each command of the chat does, for the caller of one request."""

from dataclasses import dataclass, field

from api.chat.answers import (
    dollars,
    new_task_id,
    render_cancel_requested,
    render_confirmation,
    render_error,
    render_help,
    render_job,
    render_not_understood,
    render_problem,
    render_started,
    task_id_of,
)
from api.chat.schemas import ChatAnswer
from api.context import RequestContext
from api.generations.cancel import cancel_job
from api.generations.create import CreateOptions, JobSpec, create_job
from api.generations.read import find_job, job_view
from api.generations.schemas import CreateRequest
from api.http.idempotency import REPLAYED
from api.http.problems import ConfirmationRequired, NotFound, Problem
from reelay.catalog.model import JobKind
from reelay.db.tables import GenerationJob
from reelay.domain.generation import Status
from reelay.domain.messages import message


@dataclass(frozen=True, kw_only=True)
class StartCommand:
    """What a command generates, and as which input its text is taken."""

    kind: JobKind
    input: str
    message: str
    task_prefix: str


START_COMMANDS = {
    "/video": StartCommand(kind=JobKind.VIDEO, input="prompt", message="chat_video_started", task_prefix="video"),
    "/image": StartCommand(kind=JobKind.FIRST_FRAME, input="prompt", message="chat_image_started", task_prefix="image"),
    "/voice": StartCommand(kind=JobKind.VOICE, input="text", message="chat_voice_started", task_prefix="voice"),
}
CONFIRM = "/confirm"
SHOWN_COMMAND_LENGTH = 50


@dataclass(frozen=True)
class Reply:
    """An answer, and the header fields that go with it."""

    answer: ChatAnswer
    headers: dict[str, str] = field(default_factory=dict)


async def answer_message(context: RequestContext, options: CreateOptions, text: str, *, confirmed: bool) -> Reply:
    """As text also where something is wrong. Raises: Problem, where the service itself is."""
    command, argument = split_command(text)
    if command == CONFIRM and argument:
        confirmed = True
        command, argument = split_command(argument)
    try:
        return await _answer(context, options, command, argument, confirmed)
    except ConfirmationRequired as needed:
        cents = needed.extra["estimatedCostCents"]
        return Reply(render_confirmation(cents, f"{CONFIRM} {command} {argument}", context.language))
    except Problem as problem:
        if problem.status >= 500:
            raise
        return Reply(render_problem(problem, context.language), dict(problem.headers))


async def start_task(
    context: RequestContext, options: CreateOptions, task_id: str, prompt: str, *, confirmed: bool
) -> Reply:
    """The video of a task that the caller has named; what was started under that name is not started again.

    Raises what `create_job` does, and Conflict when the task has another prompt.
    """
    command = START_COMMANDS["/video"]
    row = await _find_task(context, task_id)
    if row is not None and row.input_params == {command.input: prompt}:
        return _started(context, command, row, prompt, REPLAYED)
    return await _start(context, options, command, prompt, CreateRequest(confirm=confirmed, external_id=task_id))


async def _answer(
    context: RequestContext, options: CreateOptions, command: str, argument: str, confirmed: bool
) -> Reply:
    """Raises: Problem."""
    if command in START_COMMANDS and argument:
        return await _start(context, options, START_COMMANDS[command], argument, CreateRequest(confirm=confirmed))
    match command:
        case "/help":
            return Reply(render_help(context.language))
        case "/status" if argument:
            return await _status(context, argument)
        case "/cancel" if argument:
            return await _cancel(context, argument)
        case "/video" | "/image" | "/voice" | "/status" | "/cancel" | "/confirm":
            return Reply(render_not_understood("chat_incomplete", command, context.language))
    if command.startswith("/"):
        shown = command[:SHOWN_COMMAND_LENGTH]
        return Reply(render_not_understood("chat_unknown_command", shown, context.language))
    return Reply(render_help(context.language, "chat_plain_words"))


async def _start(
    context: RequestContext, options: CreateOptions, command: StartCommand, text: str, request: CreateRequest
) -> Reply:
    spec = JobSpec(
        model=context.services.chat_models[command.kind],
        inputs={command.input: text},
        request=request,
        generated_external_id=new_task_id(command.task_prefix),
    )
    created = await create_job(context, options, spec)
    return _started(context, command, created.job, text, created.headers)


def _started(
    context: RequestContext, command: StartCommand, job: GenerationJob, text: str, headers: dict[str, str]
) -> Reply:
    language = context.language
    shown = message(command.message, language, price=dollars(job.estimated_cost_cents))
    return Reply(render_started(job, shown, text, language), headers)


async def _status(context: RequestContext, task_id: str) -> Reply:
    row = await _find_task(context, task_id)
    if row is None:
        return _unknown(context, task_id)
    return Reply(render_job(await job_view(context, row.id), task_id_of(row), context.language))


async def _cancel(context: RequestContext, task_id: str) -> Reply:
    row = await _find_task(context, task_id)
    if row is None:
        return _unknown(context, task_id)
    had_ended = Status(row.status).is_final
    job = await cancel_job(context, row.id)
    if had_ended or (job.status.is_final and job.status is not Status.CANCELED):
        return Reply(render_job(job, task_id_of(row), context.language))
    return Reply(render_cancel_requested(task_id_of(row), context.language))


async def _find_task(context: RequestContext, task_id: str) -> GenerationJob | None:
    """None for what is nobody's and for what is somebody else's."""
    try:
        return await find_job(context, task_id)
    except NotFound:
        return None


def _unknown(context: RequestContext, task_id: str) -> Reply:
    text = message("chat_unknown_task", context.language, task_id=task_id[:100])
    return Reply(render_error(text, "NOT_FOUND"))


def split_command(text: str) -> tuple[str, str]:
    """The first word in lower case, and what follows it."""
    command, *rest = text.split(maxsplit=1) or [""]
    return command.lower(), "".join(rest).strip()

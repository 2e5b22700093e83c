"""What each command of the chat does, for the caller of one request."""

from dataclasses import dataclass, field
from typing import Annotated

from api.chat.answers import (
    ChatAnswer,
    cancel_requested,
    dollars,
    help_in,
    new_task_id,
    not_understood,
    problem_in_chat,
    refused,
    started,
    task_id_of,
    to_be_confirmed,
    told,
)
from api.dependency import dependency
from api.generations.create import Create
from api.generations.read import Jobs
from api.generations.routes import cancel_job
from api.generations.schemas import CreateRequest
from api.http.idempotency import REPLAYED
from api.http.language import RequestLanguage
from api.http.problems import ConfirmationRequired, NotFound, Problem
from api.services import ServicesDep
from reelay.catalog.model import JobKind
from reelay.db.tables import GenerationJob
from reelay.domain.messages import message


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a command generates, and as which input its words are taken."""

    kind: JobKind
    input: str
    message: str
    mark: str
    """What the task ids begin with."""


STARTS = {
    "/video": Start(kind=JobKind.VIDEO, input="prompt", message="chat_video_started", mark="video"),
    "/image": Start(kind=JobKind.FIRST_FRAME, input="prompt", message="chat_image_started", mark="image"),
    "/voice": Start(kind=JobKind.VOICE, input="text", message="chat_voice_started", mark="voice"),
}
CONFIRM = "/confirm"
LONGEST_COMMAND = 50


@dataclass(frozen=True)
class Said:
    """An answer, and the header fields that go with it."""

    answer: ChatAnswer
    headers: dict[str, str] = field(default_factory=dict)


class Commands:
    def __init__(self, services: ServicesDep, create: Create, jobs: Jobs, language: RequestLanguage) -> None:
        self._services = services
        self._create = create
        self._jobs = jobs
        self._language = language

    async def answer(self, text: str, *, confirmed: bool) -> Said:
        """In words also where something is wrong. Raises: Problem, where the service itself is."""
        command, words = split(text)
        if command == CONFIRM and words:
            confirmed = True
            command, words = split(words)
        try:
            return await self._answer(command, words, confirmed)
        except ConfirmationRequired as needed:
            cents = needed.extra["estimatedCostCents"]
            return Said(to_be_confirmed(cents, f"{CONFIRM} {command} {words}", self._language))
        except Problem as problem:
            if problem.status >= 500:
                raise
            return Said(problem_in_chat(problem, self._language), dict(problem.headers))

    async def start_task(self, task_id: str, prompt: str, *, confirmed: bool) -> Said:
        """The video of a task that the caller has named; what was started under that name is not started again.

        Raises what `Creation.create` does, and Conflict when the task has another prompt.
        """
        start = STARTS["/video"]
        row = await self._find(task_id)
        if row is not None and row.input_params == {start.input: prompt}:
            return self._started(start, row, prompt, REPLAYED)
        return await self._start(start, prompt, CreateRequest(confirm=confirmed, external_id=task_id))

    async def _answer(self, command: str, words: str, confirmed: bool) -> Said:
        """Raises: Problem."""
        if command in STARTS and words:
            return await self._start(STARTS[command], words, CreateRequest(confirm=confirmed))
        match command:
            case "/help":
                return Said(help_in(self._language))
            case "/status" if words:
                return await self._status(words)
            case "/cancel" if words:
                return await self._cancel(words)
            case "/video" | "/image" | "/voice" | "/status" | "/cancel" | "/confirm":
                return Said(not_understood("chat_incomplete", command, self._language))
        if command.startswith("/"):
            return Said(not_understood("chat_unknown_command", command[:LONGEST_COMMAND], self._language))
        return Said(help_in(self._language, "chat_plain_words"))

    async def _start(self, start: Start, words: str, request: CreateRequest) -> Said:
        model = self._services.chat_models[start.kind]
        task_id = new_task_id(start.mark)
        created = await self._create.create(model, {start.input: words}, request, own_name=task_id)
        return self._started(start, created.job, words, created.headers)

    def _started(self, start: Start, job: GenerationJob, words: str, headers: dict[str, str]) -> Said:
        text = message(start.message, self._language, price=dollars(job.estimated_cost_cents))
        return Said(started(job, text, words, self._language), headers)

    async def _status(self, task_id: str) -> Said:
        row = await self._find(task_id)
        if row is None:
            return self._unknown(task_id)
        return Said(told(await self._jobs.view(row.id), task_id_of(row), self._language))

    async def _cancel(self, task_id: str) -> Said:
        row = await self._find(task_id)
        if row is None:
            return self._unknown(task_id)
        job = await cancel_job(str(row.id), self._services, self._jobs)
        if job.status.is_final:
            return Said(told(job, task_id_of(row), self._language))
        return Said(cancel_requested(task_id_of(row), self._language))

    async def _find(self, task_id: str) -> GenerationJob | None:
        """None for what is nobody's and for what is somebody else's."""
        try:
            return await self._jobs.row(task_id)
        except NotFound:
            return None

    def _unknown(self, task_id: str) -> Said:
        return Said(refused(message("chat_unknown_task", self._language, task_id=task_id[:100]), "NOT_FOUND"))


TheCommands = Annotated[Commands, dependency(Commands)]


def split(text: str) -> tuple[str, str]:
    """The first word in lower case, and what follows it."""
    command, *rest = text.split(maxsplit=1) or [""]
    return command.lower(), "".join(rest).strip()

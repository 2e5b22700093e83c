"""Steps that do as a test says, in the place of the real activities. The workflow cannot tell them apart."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from activities.errors import non_retryable, request_list_unavailable, still_running, submission_uncertain
from activities.inputs import Accepted, Adoption, Attempt, Completion, Ended, Ending, Fallback, Lead
from reelay.domain.failure import Failure, FailureCode
from reelay.domain.generation import Archived, MediaFile, Report, Submission
from reelay.providers.provider import CancelAnswer
from tests.eventually import eventually
from workflows.generation import GenerationWorkflow
from workflows.task_queues import transfers_queue

REQUEST = "request-1"
VIDEO = MediaFile(
    name="video.mp4", key="u/g/video.mp4", content_type="video/mp4", size_bytes=9, sha256="0" * 64, poster_name=None
)

FLAGGED = Archived(files=(), provider_url=None, refused=True)
"""What of a flagged result is known where none is kept."""

Outcome = Exception | None


def submission(request_id: str = REQUEST, *, attempt: int = 1, webhook_expected: bool = True) -> Submission:
    at = f"https://queue.fal.run/fal-ai/veo3.1/requests/{request_id}"
    return Submission(
        attempt=attempt,
        request_id=request_id,
        status_url=f"{at}/status",
        response_url=at,
        cancel_url=f"{at}/cancel",
        webhook_expected=webhook_expected,
    )


def lost_answer() -> ApplicationError:
    return submission_uncertain("the connection was cut")


def not_listed() -> ApplicationError:
    return still_running("0 candidates", ask_again_in=timedelta(seconds=10))


def without_a_list() -> ApplicationError:
    return request_list_unavailable("the provider has no list")


def running(*, ask_again_in: timedelta = timedelta(seconds=10)) -> ApplicationError:
    return still_running("generating", ask_again_in=ask_again_in)


def verdict(code: FailureCode) -> ApplicationError:
    return non_retryable(Failure(code=code, message="the provider refused"))


@dataclass
class Steps:
    """Each list is what the step's tries do, in order; the last goes for all further ones."""

    submits: list[Outcome] = field(default_factory=lambda: [None])
    finds: list[Outcome] = field(default_factory=lambda: [not_listed()])
    """What the provider's list shows."""
    stored: Report | Exception | None = None
    """A webhook that waits in the inbox, or how the look there fails."""
    strangers: frozenset[str] = frozenset()
    """Requests that are not ours."""
    polls: list[Outcome] = field(default_factory=lambda: [None])
    archives: list[Outcome | bool | Archived] = field(default_factory=lambda: [None])
    """`False`: the result holds no media. None: a video."""
    completions: list[Outcome] = field(default_factory=lambda: [None])
    webhook_expected: bool = True
    sent_ago: timedelta | None = None
    """How long ago the submission was sent, where the attempt log tells."""
    accepted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: the provider answers the submission. Cleared: it takes its time."""
    slow_from: int = 1
    """The first attempt whose answer `accepted` is waited for."""
    listed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: the list is answered. Cleared: it takes its time."""
    adopted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: an adoption is written down. Cleared: it takes its time."""
    polled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: the provider answers a poll. Cleared: it takes its time."""
    fetched: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: the archive's tries come to their outcome. Cleared: they take their time."""
    recorded: asyncio.Event = field(default_factory=asyncio.Event)
    """The same for the completion's."""
    withdrawn: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: the provider answers a withdrawal. Cleared: it takes its time."""
    done: list[str] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    overtaken_cents: int = 0
    """What a request has cost that another model overtook."""
    completion: Completion | None = None
    ending: Ending | None = None

    def __post_init__(self) -> None:
        for slow in (self.accepted, self.listed, self.adopted, self.polled):
            slow.set()
        for slow in (self.fetched, self.recorded, self.withdrawn):
            slow.set()

    def workers(
        self, client: Client, task_queue: str, *, workflows: Sequence[type] = (GenerationWorkflow,), **options: Any
    ) -> tuple[Worker, Worker]:
        """Of both task queues."""
        short: list[Callable[..., object]] = [
            self.submit,
            self.adopt,
            self.find,
            self.stored_report,
            self.poll,
            self.complete,
            self.withdraw,
            self.fall_back,
            self.lead,
            self.stop,
            self.end,
        ]
        return (
            Worker(client, task_queue=task_queue, workflows=workflows, activities=short, **options),
            Worker(
                client,
                task_queue=transfers_queue(task_queue),
                activities=[self.archive],
                interceptors=options.get("interceptors", ()),
            ),
        )

    @activity.defn
    async def submit(self, attempt: Attempt) -> Submission:
        self.attempts.append(attempt)
        outcome = self._next("submit", self.submits)
        if attempt.number >= self.slow_from:
            await self.accepted.wait()
        _carried_out(outcome)
        return replace(
            submission(f"request-{attempt.number}", attempt=attempt.number, webhook_expected=self.webhook_expected),
            sent_at=activity.info().started_time - self.sent_ago if self.sent_ago else None,
        )

    @activity.defn
    async def adopt(self, adoption: Adoption) -> Submission | None:
        named = adoption.report.request_id
        self.done.append(f"adopt {named}")
        await self.adopted.wait()
        if named in self.strangers:
            return None
        return submission(named, attempt=adoption.report.attempt, webhook_expected=False)

    @activity.defn
    async def find(self, attempt: Attempt) -> Submission:
        self._act("find", self.finds)
        await self.listed.wait()
        return submission(f"request-{attempt.number}", attempt=attempt.number, webhook_expected=False)

    @activity.defn
    async def stored_report(self, attempt: Attempt) -> Report | None:
        self.done.append("look into the inbox")
        if isinstance(self.stored, Exception):
            raise self.stored
        return self.stored

    @activity.defn
    async def poll(self, accepted: Accepted) -> None:
        outcome = self._next("poll", self.polls)
        await self.polled.wait()
        _carried_out(outcome)

    @activity.defn
    async def archive(self, ended: Ended) -> Archived | None:
        outcome = self._next("archive", self.archives)
        with suppress(asyncio.CancelledError):  # what it came to is older than the wish to cancel it
            await self.fetched.wait()
        match _carried_out(outcome):
            case False:
                return None
            case Archived() as archived:
                return archived
        return Archived(files=(VIDEO,), provider_url="https://v3.fal.media/files/video.mp4")

    @activity.defn
    async def complete(self, completion: Completion) -> None:
        outcome = self._next("complete", self.completions)
        self.completion = completion
        await self.recorded.wait()
        _carried_out(outcome)

    @activity.defn
    async def withdraw(self, accepted: Accepted) -> CancelAnswer:
        self.done.append(f"withdraw {accepted.submission.request_id}")
        await self.withdrawn.wait()
        return CancelAnswer.REQUESTED

    @activity.defn
    async def stop(self, overtaken: Accepted) -> int:
        self.done.append(f"stop {overtaken.submission.request_id}")
        await self.withdrawn.wait()
        return self.overtaken_cents

    @activity.defn
    async def lead(self, change: Lead) -> None:
        after = f" after {change.failure.code}" if change.failure else ""
        self.done.append(f"follow {change.generation.model}{after}")

    @activity.defn
    async def end(self, ending: Ending) -> None:
        self.done.append("end")
        self.ending = ending

    @activity.defn
    async def fall_back(self, fallback: Fallback) -> None:
        self.done.append(f"fall back after {fallback.attempts}: {fallback.failure.code}")

    async def until_begun(self, step: str, times: int = 1) -> None:
        async def has_begun() -> bool:
            return self.count(step) >= times

        await eventually(has_begun)

    def failed_as(self) -> FailureCode:
        assert self.ending is not None
        assert self.ending.failure is not None
        return self.ending.failure.code

    def count(self, step: str) -> int:
        return self.done.count(step)

    def _act(self, step: str, outcomes: list[Outcome]) -> None:
        _carried_out(self._next(step, outcomes))

    def _next(self, step: str, outcomes: list[Outcome] | list[Outcome | bool | Archived]) -> Outcome | bool | Archived:
        outcome = outcomes[min(self.count(step), len(outcomes) - 1)]
        self.done.append(step)
        return outcome


def _carried_out(outcome: Outcome | bool | Archived) -> Outcome | bool | Archived:
    if isinstance(outcome, Exception):
        # Raised again and again, it would bring along the frames of all the times before.
        raise outcome.with_traceback(None)
    return outcome

"""Pushes of the studio backend: progress goes into the row, an end to its workflow.

Progress decides nothing, so the workflow is not told of it: ten thousand pushes leave no trace in its history. An end
is stored first, because it is all that there is to fetch, and signalled then.
"""

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from uuid import UUID

from api.webhooks.inbox import Inbox, WebhookResult
from api.webhooks.schemas import PushAnswer
from reelay.db.deliveries import has_waiting_duplicate, put_into_inbox
from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions, within
from reelay.db.json import storable
from reelay.db.pushes import claim_final_push, find_pushed_generations, record_push
from reelay.db.tables import GenerationJob, WebhookDelivery
from reelay.domain.generation import BEFORE_THE_PROVIDER, Report, Stage, Status
from reelay.domain.identifiers import parse_uuid
from reelay.domain.language import Language
from reelay.domain.provider_words import without_names
from reelay.domain.verdict import Verdict
from reelay.providers.errors import Malformed
from reelay.providers.studio_push import Phase, Push, read_push
from reelay.timeouts import Timeouts

# An end is signalled within this time, or else from the inbox.
INBOX_DELAY = timedelta(seconds=3)
AMBIGUOUS_JOB = "Several users have a job of this name: push with `Authorization: Bearer <the user's API key>` as well."
PROCESSED = "Video generation webhook processed successfully"
NOTHING_NEW = {Verdict.DUPLICATE: "The job has ended, or its end is known.", Verdict.IGNORED: "Nothing new."}
REFUSALS = {
    HTTPStatus.UNAUTHORIZED: "Unauthorized: Invalid webhook secret",
    HTTPStatus.NOT_FOUND: "VideoGeneration not found",
}
"""As backends know them, in `error`. A malformed push is told what is wrong with it instead."""
NAMING_THE_JOB = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


class Pushes:
    def __init__(self, sessions: Sessions, inbox: Inbox, language: Language, timeouts: Timeouts) -> None:
        """`language`: of what is written into the jobs."""
        self._sessions = sessions
        self._inbox = inbox
        self._language = language
        self._timeout = timeouts.webhook_statement

    async def receive(self, delivery: WebhookDelivery) -> WebhookResult:
        """Let the push do what it can do now. Safe to repeat with the same delivery, and with a copy of it.

        After `accepted` or `deferred` an end lies in the inbox, to be settled there.
        """
        try:
            push = read_push(delivery.body)
        except Malformed as rejected:
            return WebhookResult(Verdict.MALFORMED, str(rejected))
        delivery.job_id = parse_uuid(push.job_id)
        try:
            jobs = await within(self._timeout, self._jobs(push.job_id, delivery.key_owner_id))
            return await self._judge(push, jobs, delivery)
        except POSTGRES_UNAVAILABLE as error:
            return WebhookResult(Verdict.UNAVAILABLE, f"Postgres does not answer: {error}")

    async def _judge(self, push: Push, jobs: Sequence[GenerationJob], delivery: WebhookDelivery) -> WebhookResult:
        if not jobs:
            return WebhookResult(Verdict.UNKNOWN, "No such job.")
        job, *others = jobs
        if others:
            return WebhookResult(Verdict.AMBIGUOUS, AMBIGUOUS_JOB)
        delivery.job_id, delivery.attempt, delivery.request_id = job.id, max(job.attempts, 1), str(job.id)
        if Status(job.status).is_final:
            return _result(job, Verdict.DUPLICATE, "The job has ended.")
        if push.phase is None:
            return _result(job, Verdict.IGNORED, "Nothing follows from this status.")
        if push.phase.is_last:
            return await self._end(job, push, delivery)
        if Stage(job.stage) in BEFORE_THE_PROVIDER:
            return await self._too_early(job, push.phase, delivery)
        moved = await within(self._timeout, self._record(job, push, push.phase))
        return _result(job, Verdict.ACCEPTED if moved else Verdict.IGNORED, push.phase.name)

    async def _end(self, job: GenerationJob, push: Push, delivery: WebhookDelivery) -> WebhookResult:
        if not await within(self._timeout, self._store_final_push(job.id, push, delivery)):
            return _result(job, Verdict.DUPLICATE, "Its end has been reported already.")
        return await self._inbox.deliver(job.id, _report(job, delivery.id, ended=True))

    async def _too_early(self, job: GenerationJob, phase: Phase, delivery: WebhookDelivery) -> WebhookResult:
        """Its submission is still under way, or its answer was lost: then this proves that it was accepted."""
        waits = f"Waits for the submission: {phase.name}"
        if await within(self._timeout, self._has_waiting_duplicate(delivery, waits)):
            return _result(job, Verdict.IGNORED, waits)
        signalled = await self._inbox.deliver(job.id, _report(job, delivery.id, ended=False))
        deferred = signalled.verdict is Verdict.DEFERRED
        return _result(job, Verdict.DEFERRED, signalled.detail if deferred else waits)

    async def _jobs(self, name: str, owner_id: UUID | None) -> Sequence[GenerationJob]:
        async with self._sessions() as session:
            return await find_pushed_generations(session, name, owner_id=owner_id)

    async def _record(self, job: GenerationJob, push: Push, phase: Phase) -> bool:
        async with self._sessions.begin() as session:
            return await record_push(
                session,
                job.id,
                status=phase.status,
                stage=phase.stage,
                message=phase.message(self._language),
                percent=push.percent,
                note=without_names(push.note, job.arguments) if push.note else None,
            )

    async def _store_final_push(self, generation_id: UUID, push: Push, delivery: WebhookDelivery) -> bool:
        async with self._sessions.begin() as session:
            if not await claim_final_push(session, generation_id, delivery.id, data=storable(push.data)):
                return False
            await put_into_inbox(session, delivery, due_in=INBOX_DELAY)
            return True

    async def _has_waiting_duplicate(self, delivery: WebhookDelivery, detail: str) -> bool:
        async with self._sessions() as session:
            return await has_waiting_duplicate(session, delivery, detail)


def _result(job: GenerationJob, verdict: Verdict, detail: str) -> WebhookResult:
    return WebhookResult(verdict, detail, job.id, max(job.attempts, 1), str(job.id))


def _report(job: GenerationJob, delivery_id: UUID, *, ended: bool) -> Report:
    return Report(attempt=max(job.attempts, 1), request_id=str(job.id), delivery_id=delivery_id, ended=ended)


def push_answer(delivery: WebhookDelivery, result: WebhookResult) -> PushAnswer:
    push = read_push(delivery.body)
    return PushAnswer(
        success=True,
        message=NOTHING_NEW.get(result.verdict, PROCESSED),
        job_id=push.job_id,
        num_videos=len(push.videos),
        processing_time_ms=round(delivery.took_ms),
    )


def refusal(delivery: WebhookDelivery, result: WebhookResult) -> tuple[str, dict[str, str]]:
    """The error as backends know it, and the job where it was named. A forger learns nothing but that."""
    error = REFUSALS.get(result.status, result.detail)
    return error, {"job_id": read_push(delivery.body).job_id} if result.status in NAMING_THE_JOB else {}

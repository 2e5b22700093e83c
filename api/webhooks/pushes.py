"""Pushes of the studio backend whose secret was right: progress goes into the row, an end to its workflow.

Progress decides nothing, so the workflow is not told of it: ten thousand pushes leave no trace in its history. An end
is kept first, because it is all that there is to fetch, and told then.
"""

from datetime import timedelta
from http import HTTPStatus
from uuid import UUID

from api.webhooks.inbox import POSTGRES_SECONDS, Handover, Inbox, NotNow
from api.webhooks.verdicts import DEFERRED, HANDOVERS, IGNORED, REJECTIONS, UNAVAILABLE, Verdict
from db.deliveries import is_waiting, put_into_inbox
from db.engine import POSTGRES_AWAY, Sessions, within
from db.generations import find_generation
from db.pushes import note_push, take_last_word
from db.tables import GenerationJob, WebhookDelivery
from domain.generation import BEFORE_THE_PROVIDER, ProviderName, Report, Stage, Status
from providers.errors import Malformed
from providers.studio_push import Phase, Push, read_push

# An end is handed over within this time, or else from the inbox.
HANDED_OVER_WITHIN = timedelta(seconds=3)


class Pushes:
    def __init__(self, sessions: Sessions, inbox: Inbox) -> None:
        self._sessions = sessions
        self._inbox = inbox

    async def take(self, delivery: WebhookDelivery) -> Verdict:
        """Let the push do what it can do now. Safe to repeat with the same delivery, and with a copy of it.

        After `accepted` or `deferred` an end lies in the inbox, to be settled there.
        """
        try:
            push = read_push(delivery.body)
        except Malformed as rejected:
            return Verdict(*REJECTIONS[Malformed], str(rejected))
        delivery.job_id = _id_of(push)
        try:
            job = await within(POSTGRES_SECONDS, self._job(delivery.job_id)) if delivery.job_id else None
            return await self._judge(push, job, delivery)
        except POSTGRES_AWAY as error:
            return Verdict(UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE, f"Postgres does not answer: {error}")

    async def _judge(self, push: Push, job: GenerationJob | None, delivery: WebhookDelivery) -> Verdict:
        if job is None:
            return Verdict(Handover.UNKNOWN, *HANDOVERS[Handover.UNKNOWN])
        delivery.attempt, delivery.request_id = max(job.attempts, 1), str(job.id)
        if Status(job.status).is_final:
            return _of(job, Handover.DUPLICATE, "The job has ended.")
        if push.phase is None:
            return _of(job, IGNORED, "Nothing follows from this status.")
        if push.phase.is_last:
            return await self._end(job, delivery)
        if Stage(job.stage) in BEFORE_THE_PROVIDER:
            return await self._too_early(job, push.phase, delivery)
        moved = await within(POSTGRES_SECONDS, self._note(job.id, push, push.phase))
        return _of(job, Handover.ACCEPTED if moved else IGNORED, push.phase.message)

    async def _end(self, job: GenerationJob, delivery: WebhookDelivery) -> Verdict:
        if not await within(POSTGRES_SECONDS, self._keep_last_word(job.id, delivery)):
            return _of(job, Handover.DUPLICATE, "Its end has been reported already.")
        try:
            handover = await self._inbox.hand_over(job.id, _report(job, delivery.id, ended=True))
        except NotNow as reason:
            return _of(job, DEFERRED, str(reason))
        status, detail = HANDOVERS[handover]
        return _of(job, handover, detail, status)

    async def _too_early(self, job: GenerationJob, phase: Phase, delivery: WebhookDelivery) -> Verdict:
        """Its submission is still under way, or its answer was lost: then this proves that it was accepted."""
        waits = f"Waits for the submission: {phase.message}"
        if await within(POSTGRES_SECONDS, self._is_waiting(delivery, waits)):
            return _of(job, IGNORED, waits)
        try:
            await self._inbox.hand_over(job.id, _report(job, delivery.id, ended=False))
        except NotNow as reason:
            return _of(job, DEFERRED, str(reason))
        return _of(job, DEFERRED, waits)

    async def _job(self, generation_id: UUID) -> GenerationJob | None:
        async with self._sessions() as session:
            job = await find_generation(session, generation_id)
        return job if job and job.provider == ProviderName.STUDIO else None

    async def _note(self, generation_id: UUID, push: Push, phase: Phase) -> bool:
        async with self._sessions.begin() as session:
            return await note_push(
                session,
                generation_id,
                status=phase.status,
                stage=phase.stage,
                message=phase.message,
                percent=push.percent,
                note=push.note,
            )

    async def _keep_last_word(self, generation_id: UUID, delivery: WebhookDelivery) -> bool:
        async with self._sessions.begin() as session:
            if not await take_last_word(session, generation_id, delivery.id):
                return False
            await put_into_inbox(session, delivery, due_in=HANDED_OVER_WITHIN)
            return True

    async def _is_waiting(self, delivery: WebhookDelivery, detail: str) -> bool:
        async with self._sessions() as session:
            return await is_waiting(session, delivery, detail)


def _id_of(push: Push) -> UUID | None:
    try:
        return UUID(push.job_id)
    except ValueError:
        return None


def _of(job: GenerationJob, word: str, detail: str, status: HTTPStatus = HTTPStatus.OK) -> Verdict:
    return Verdict(word, status, detail, job.id, max(job.attempts, 1), str(job.id))


def _report(job: GenerationJob, delivery_id: UUID, *, ended: bool) -> Report:
    return Report(attempt=max(job.attempts, 1), request_id=str(job.id), delivery_id=delivery_id, ended=ended)

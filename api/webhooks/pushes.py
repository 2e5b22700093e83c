"""Pushes of the studio backend whose secret was right: progress goes into the row, an end to its workflow.

Progress decides nothing, so the workflow is not told of it: ten thousand pushes leave no trace in its history. An end
is kept first, because it is all that there is to fetch, and told then.
"""

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from uuid import UUID

from api.webhooks.inbox import POSTGRES_SECONDS, Handover, Inbox, NotNow
from api.webhooks.verdicts import AMBIGUOUS, DEFERRED, HANDOVERS, IGNORED, REJECTIONS, UNAVAILABLE, Verdict
from reelay.db.deliveries import has_waiting_duplicate, put_into_inbox
from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions, within
from reelay.db.json import storable
from reelay.db.pushes import claim_final_push, find_pushed_generations, record_push
from reelay.db.tables import GenerationJob, WebhookDelivery
from reelay.domain.generation import BEFORE_THE_PROVIDER, Report, Stage, Status
from reelay.domain.identifiers import parse_uuid
from reelay.domain.language import Language
from reelay.providers.errors import Malformed
from reelay.providers.studio_push import Phase, Push, read_push

# An end is handed over within this time, or else from the inbox.
HANDED_OVER_WITHIN = timedelta(seconds=3)
WHOSE_JOB = "Several users call a job so: push with `Authorization: Bearer <the user's API key>` as well."


class Pushes:
    def __init__(self, sessions: Sessions, inbox: Inbox, language: Language) -> None:
        """`language`: of what is written into the jobs."""
        self._sessions = sessions
        self._inbox = inbox
        self._language = language

    async def take(self, delivery: WebhookDelivery) -> Verdict:
        """Let the push do what it can do now. Safe to repeat with the same delivery, and with a copy of it.

        After `accepted` or `deferred` an end lies in the inbox, to be settled there.
        """
        try:
            push = read_push(delivery.body)
        except Malformed as rejected:
            return Verdict(*REJECTIONS[Malformed], str(rejected))
        delivery.job_id = parse_uuid(push.job_id)
        try:
            jobs = await within(POSTGRES_SECONDS, self._jobs(push.job_id, delivery.key_owner_id))
            return await self._judge(push, jobs, delivery)
        except POSTGRES_UNAVAILABLE as error:
            return Verdict(UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE, f"Postgres does not answer: {error}")

    async def _judge(self, push: Push, jobs: Sequence[GenerationJob], delivery: WebhookDelivery) -> Verdict:
        if not jobs:
            return Verdict(Handover.UNKNOWN, *HANDOVERS[Handover.UNKNOWN])
        job, *others = jobs
        if others:
            return Verdict(AMBIGUOUS, HTTPStatus.CONFLICT, WHOSE_JOB)
        delivery.job_id, delivery.attempt, delivery.request_id = job.id, max(job.attempts, 1), str(job.id)
        if Status(job.status).is_final:
            return _of(job, Handover.DUPLICATE, "The job has ended.")
        if push.phase is None:
            return _of(job, IGNORED, "Nothing follows from this status.")
        if push.phase.is_last:
            return await self._end(job, push, delivery)
        if Stage(job.stage) in BEFORE_THE_PROVIDER:
            return await self._too_early(job, push.phase, delivery)
        moved = await within(POSTGRES_SECONDS, self._note(job.id, push, push.phase))
        return _of(job, Handover.ACCEPTED if moved else IGNORED, push.phase.name)

    async def _end(self, job: GenerationJob, push: Push, delivery: WebhookDelivery) -> Verdict:
        if not await within(POSTGRES_SECONDS, self._keep_last_word(job.id, push, delivery)):
            return _of(job, Handover.DUPLICATE, "Its end has been reported already.")
        try:
            handover = await self._inbox.hand_over(job.id, _report(job, delivery.id, ended=True))
        except NotNow as reason:
            return _of(job, DEFERRED, str(reason))
        status, detail = HANDOVERS[handover]
        return _of(job, handover, detail, status)

    async def _too_early(self, job: GenerationJob, phase: Phase, delivery: WebhookDelivery) -> Verdict:
        """Its submission is still under way, or its answer was lost: then this proves that it was accepted."""
        waits = f"Waits for the submission: {phase.name}"
        if await within(POSTGRES_SECONDS, self._is_waiting(delivery, waits)):
            return _of(job, IGNORED, waits)
        try:
            await self._inbox.hand_over(job.id, _report(job, delivery.id, ended=False))
        except NotNow as reason:
            return _of(job, DEFERRED, str(reason))
        return _of(job, DEFERRED, waits)

    async def _jobs(self, name: str, owner_id: UUID | None) -> Sequence[GenerationJob]:
        async with self._sessions() as session:
            return await find_pushed_generations(session, name, owner_id=owner_id)

    async def _note(self, generation_id: UUID, push: Push, phase: Phase) -> bool:
        async with self._sessions.begin() as session:
            return await record_push(
                session,
                generation_id,
                status=phase.status,
                stage=phase.stage,
                message=phase.message(self._language),
                percent=push.percent,
                note=push.note,
            )

    async def _keep_last_word(self, generation_id: UUID, push: Push, delivery: WebhookDelivery) -> bool:
        async with self._sessions.begin() as session:
            if not await claim_final_push(session, generation_id, delivery.id, data=storable(push.data)):
                return False
            await put_into_inbox(session, delivery, due_in=HANDED_OVER_WITHIN)
            return True

    async def _is_waiting(self, delivery: WebhookDelivery, detail: str) -> bool:
        async with self._sessions() as session:
            return await has_waiting_duplicate(session, delivery, detail)


def _of(job: GenerationJob, word: str, detail: str, status: HTTPStatus = HTTPStatus.OK) -> Verdict:
    return Verdict(word, status, detail, job.id, max(job.attempts, 1), str(job.id))


def _report(job: GenerationJob, delivery_id: UUID, *, ended: bool) -> Report:
    return Report(attempt=max(job.attempts, 1), request_id=str(job.id), delivery_id=delivery_id, ended=ended)

"""Stored deliveries, redelivered: those of the inbox by a loop, any verified one when an operator replays it."""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import structlog

from api.webhooks.inbox import Inbox, WebhookResult
from api.webhooks.studio import Pushes
from reelay.background import TaskSupervisor, every
from reelay.db.attempts import is_another_request
from reelay.db.deliveries import claim_due_deliveries, record_replay, settle_delivery
from reelay.db.engine import Sessions
from reelay.db.generations import find_anybodys_generation_by_request
from reelay.db.tables import WebhookDelivery
from reelay.domain.generation import ProviderName, Report
from reelay.domain.verdict import Verdict

DRAIN_EVERY_SECONDS = 2.0
BATCH = 20
# A push for a job that there is not (yet). Then it is a dead letter, which an operator can replay.
UNKNOWN_FOR = timedelta(minutes=10)

log = structlog.get_logger()


class Redelivery:
    def __init__(self, sessions: Sessions, inbox: Inbox, pushes: Pushes) -> None:
        self._sessions = sessions
        self._inbox = inbox
        self._pushes = pushes

    async def drain(self) -> None:
        """Redeliver what is due of the inbox, the oldest first, for as long as any of it is taken."""
        while due := await self._claim():
            results = await asyncio.gather(*map(self._retry, due))
            async with self._sessions.begin() as session:
                for delivery, result in zip(due, results, strict=True):
                    if result:
                        await settle_delivery(session, delivery.id, result.verdict)
            settled = sum(result is not None for result in results)
            log.info("inbox_drained", settled=settled, waiting=len(due) - settled)
            if not settled:
                return

    async def replay(self, delivery: WebhookDelivery) -> WebhookResult:
        """Process a verified delivery as if it came now. What cannot be taken at once goes into the inbox."""
        if delivery.provider == ProviderName.STUDIO:
            result = await self._pushes.receive(delivery)
        elif delivery.verdict == Verdict.RUNNING:
            result = WebhookResult(Verdict.RUNNING, delivery.detail)
        elif not await self._find_attempt(delivery):
            result = WebhookResult(Verdict.UNKNOWN, "No such job.")
        elif await self._is_another_request(delivery):
            result = WebhookResult(Verdict.MISMATCH, "The request is not the attempt's.")
        else:
            result = await self._deliver(delivery)
        waits = result.verdict is Verdict.DEFERRED
        async with self._sessions.begin() as session:
            await record_replay(session, delivery, result.verdict, waits=waits)
        return result

    async def _retry(self, delivery: WebhookDelivery) -> WebhookResult | None:
        """None while it has to wait on. So does one that cannot be read, like that of a newer version."""
        try:
            return await self._redeliver(delivery)
        except Exception:
            log.error("delivery_not_redelivered", delivery_id=str(delivery.id), exc_info=True)
            return None

    async def _redeliver(self, delivery: WebhookDelivery) -> WebhookResult | None:
        """None while it has to wait on."""
        if delivery.provider != ProviderName.STUDIO:
            result = await self._deliver(delivery)
            return None if result.verdict is Verdict.DEFERRED else result
        result = await self._pushes.receive(delivery)
        may_yet_be_made = datetime.now(UTC) - delivery.received_at < UNKNOWN_FOR
        waits = result.verdict in (Verdict.DEFERRED, Verdict.UNAVAILABLE) or (
            result.verdict is Verdict.UNKNOWN and may_yet_be_made
        )
        return None if waits else result

    async def _is_another_request(self, delivery: WebhookDelivery) -> bool:
        assert delivery.job_id is not None
        assert delivery.attempt is not None
        assert delivery.request_id is not None
        provider = ProviderName(delivery.provider)
        async with self._sessions() as session:
            return await is_another_request(session, provider, delivery.job_id, delivery.attempt, delivery.request_id)

    async def _deliver(self, delivery: WebhookDelivery) -> WebhookResult:
        assert delivery.job_id is not None
        assert delivery.attempt is not None
        assert delivery.request_id is not None
        report = Report(attempt=delivery.attempt, request_id=delivery.request_id, delivery_id=delivery.id)
        return await self._inbox.deliver(delivery.job_id, report)

    async def _find_attempt(self, delivery: WebhookDelivery) -> bool:
        """Whether it is known which attempt it is about; one that came without our address is found by its request."""
        if delivery.request_id is None:
            return False
        if delivery.job_id is None or delivery.attempt is None:
            async with self._sessions() as session:
                job = await find_anybodys_generation_by_request(
                    session, ProviderName(delivery.provider), delivery.request_id
                )
            if job is None:
                return False
            delivery.job_id, delivery.attempt = job.id, job.attempts
        return True

    async def _claim(self) -> list[WebhookDelivery]:
        async with self._sessions.begin() as session:
            return list(await claim_due_deliveries(session, at_most=BATCH))


def draining(tasks: TaskSupervisor, redelivery: Redelivery) -> AbstractAsyncContextManager[None]:
    """While the block runs, redeliver what waits in the inbox. Every API process does; none is in another's way."""
    return tasks.running("inbox", every(DRAIN_EVERY_SECONDS, redelivery.drain))

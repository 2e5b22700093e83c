"""Stored deliveries, fed in again: those of the inbox by themselves, any verified one when an operator wants it."""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import structlog

from api.webhooks.inbox import Handover, Inbox, NotNow
from api.webhooks.pushes import Pushes
from api.webhooks.verdicts import DEFERRED, HANDOVERS, MISMATCH, RUNNING, UNAVAILABLE, Verdict
from reelay.background import in_background
from reelay.db.attempts import is_another_request
from reelay.db.deliveries import claim_due_deliveries, record_replay, settle_delivery
from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions
from reelay.db.generations import find_generation_by_request
from reelay.db.tables import WebhookDelivery
from reelay.domain.generation import ProviderName, Report

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
        """Feed in what is due of the inbox, the oldest first, for as long as any of it is taken."""
        while due := await self._claim():
            verdicts = await asyncio.gather(*(self._again(delivery) for delivery in due))
            async with self._sessions.begin() as session:
                for delivery, verdict in zip(due, verdicts, strict=True):
                    if verdict:
                        await settle_delivery(session, delivery.id, verdict.word)
            settled = sum(verdict is not None for verdict in verdicts)
            log.info("inbox_drained", settled=settled, waiting=len(due) - settled)
            if not settled:
                return

    async def replay(self, delivery: WebhookDelivery) -> Verdict:
        """Feed in a verified delivery as if it came now. What cannot be taken at once goes into the inbox."""
        if delivery.provider == ProviderName.STUDIO:
            verdict = await self._pushes.take(delivery)
        elif delivery.verdict == RUNNING:
            verdict = Verdict(RUNNING, HTTPStatus.OK, delivery.detail)
        elif not await self._find_attempt(delivery):
            verdict = Verdict(Handover.UNKNOWN, *HANDOVERS[Handover.UNKNOWN])
        else:
            verdict = await self._hand_over(delivery)
        async with self._sessions.begin() as session:
            await record_replay(session, delivery, verdict.word, waits=verdict.word == DEFERRED)
        return verdict

    async def _again(self, delivery: WebhookDelivery) -> Verdict | None:
        """None while it has to wait on."""
        if delivery.provider != ProviderName.STUDIO:
            verdict = await self._signal(delivery)
            return None if verdict.word == DEFERRED else verdict
        verdict = await self._pushes.take(delivery)
        may_yet_be_made = datetime.now(UTC) - delivery.received_at < UNKNOWN_FOR
        waits = verdict.word in (DEFERRED, UNAVAILABLE) or (verdict.word == Handover.UNKNOWN and may_yet_be_made)
        return None if waits else verdict

    async def _hand_over(self, delivery: WebhookDelivery) -> Verdict:
        assert delivery.job_id is not None
        assert delivery.attempt is not None
        assert delivery.request_id is not None
        provider = ProviderName(delivery.provider)
        async with self._sessions() as session:
            if await is_another_request(session, provider, delivery.job_id, delivery.attempt, delivery.request_id):
                return Verdict(MISMATCH, HTTPStatus.UNAUTHORIZED, "The request is not the attempt's.")
        return await self._signal(delivery)

    async def _signal(self, delivery: WebhookDelivery) -> Verdict:
        assert delivery.job_id is not None
        assert delivery.attempt is not None
        assert delivery.request_id is not None
        report = Report(attempt=delivery.attempt, request_id=delivery.request_id, delivery_id=delivery.id)
        try:
            handover = await self._inbox.hand_over(delivery.job_id, report)
        except NotNow as reason:
            return Verdict(DEFERRED, HTTPStatus.OK, str(reason))
        return Verdict(handover, *HANDOVERS[handover])

    async def _find_attempt(self, delivery: WebhookDelivery) -> bool:
        """Whether it is known which attempt it is about; one that came without our address is found by its request."""
        if delivery.request_id is None:
            return False
        if delivery.job_id is None or delivery.attempt is None:
            async with self._sessions() as session:
                job = await find_generation_by_request(
                    session, delivery.request_id, provider=ProviderName(delivery.provider)
                )
            if job is None:
                return False
            delivery.job_id, delivery.attempt = job.id, job.attempts
        return True

    async def _claim(self) -> list[WebhookDelivery]:
        async with self._sessions.begin() as session:
            return list(await claim_due_deliveries(session, at_most=BATCH))


def draining(redelivery: Redelivery) -> AbstractAsyncContextManager[None]:
    """While the block runs, feed in what waits in the inbox. Every API process does; none is in another's way."""
    return in_background(_keep_draining(redelivery))


async def _keep_draining(redelivery: Redelivery) -> None:
    while True:
        await asyncio.sleep(DRAIN_EVERY_SECONDS)
        try:
            await redelivery.drain()
        except POSTGRES_UNAVAILABLE as error:
            log.warning("inbox_unreadable", error=str(error))

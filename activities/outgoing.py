"""Sends what is due to one receiver."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.heartbeat import heartbeating
from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions, one_statement
from reelay.db.outgoing import (
    DueDelivery,
    due_deliveries,
    record_delivered,
    record_failed,
    record_recovery,
)
from reelay.db.tables import OutgoingEvent, WebhookEndpoint
from reelay.domain.outgoing import AttemptOutcome, DisabledReason, WebhookFormat, pause_before
from reelay.outgoing.fal import FalSigner
from reelay.outgoing.openai import openai_event
from reelay.outgoing.secrets import EndpointSecrets
from reelay.outgoing.sender import Answer, Message, Receiver, Sender, StandardSigner

HEARTBEAT = timedelta(seconds=5)
ONE_PASS = timedelta(minutes=30)
"""A receiver that is always due does not keep one worker for ever."""
COMPOSED_AT_ONCE = 10
"""Messages are read and composed together while the receiver takes them: one by itself costs six round trips to
Postgres, ten cost as much."""
FRESH = timedelta(seconds=1)
"""For so long a composed message is sent as it is: then an endpoint may be disabled, or a job deleted."""
ATTEMPTS = "reelay_outgoing_attempts"
SECONDS_TO_DELIVERY = "reelay_outgoing_delivery_seconds"

log = structlog.get_logger()


class Payloads(Protocol):
    async def data_of(
        self, session: AsyncSession, user_id: UUID, events: Sequence[OutgoingEvent], endpoint_id: UUID | None
    ) -> Mapping[UUID, Mapping[str, Any]]:
        """The `data` of each of the user's events, by its id."""

    async def fal_body_of(self, session: AsyncSession, event: OutgoingEvent) -> dict[str, Any]:
        """The end of the event's job, as fal would tell it."""


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """What one pass did: for the engineer at the Temporal UI."""

    delivered: int = 0
    failed: int = 0


class OutgoingActivities:
    def __init__(
        self,
        sessions: Sessions,
        sender: Sender,
        secrets: EndpointSecrets,
        fal_key: Ed25519PrivateKey,
        payloads: Payloads,
        schedule: Sequence[timedelta],
    ) -> None:
        self._sessions = sessions
        self._sender = sender
        self._secrets = secrets
        self._fal_key = fal_key
        self._payloads = payloads
        self._schedule = schedule

    @activity.defn
    async def deliver_webhooks(self, target_id: UUID) -> Delivered:
        """Send what is due to the target, one after the other, until nothing is.

        Each outcome is written down after the attempt: a worker that dies between the two sends it again, under the
        same id.
        """
        delivered = failed = 0
        until = time.monotonic() + ONE_PASS.total_seconds()
        at_most = 1
        async with heartbeating(every=HEARTBEAT), self._sender.to_one_receiver() as receiver:
            while time.monotonic() < until and not activity.is_worker_shutdown():
                stale_at = time.monotonic() + FRESH.total_seconds()
                messages = await self._due_messages(target_id, at_most=at_most)
                if not messages:
                    break
                at_most = min(2 * at_most, COMPOSED_AT_ONCE)
                for due, message in messages:
                    if not await self._attempt(receiver, due, message):
                        failed += 1
                        at_most = 1
                        break  # the others may have to wait because of it
                    delivered += 1
                    if time.monotonic() > stale_at:
                        break
        return Delivered(delivered=delivered, failed=failed)

    async def _attempt(self, receiver: Receiver, due: DueDelivery, message: Message | None) -> bool:
        answer = await receiver.post(due.url, message) if message else not_composed()
        count(due, answer)
        if answer.outcome is AttemptOutcome.DELIVERED:
            await self._record_success(due, answer)
            return True
        async with self._sessions.begin() as session:
            disabled = await self._record_failure(session, due, answer)
        if disabled:
            log.warning("webhook_endpoint_disabled", endpoint_id=str(due.delivery.endpoint_id), reason=disabled.value)
        return False

    async def _record_success(self, due: DueDelivery, answer: Answer) -> None:
        if not due.may_recover:
            async with one_statement(self._sessions) as session:
                await record_delivered(session, due, _written(answer))
            return
        async with self._sessions.begin() as session:
            await record_recovery(session, due)
            await record_delivered(session, due, _written(answer))

    async def _record_failure(self, session: AsyncSession, due: DueDelivery, answer: Answer) -> DisabledReason | None:
        pause = pause_before(due.delivery.tries + 2, self._schedule, answer.retry_after)
        if answer.is_gone and due.endpoint is None:
            pause = None  # a job's own address has nothing else to be disabled
        return await record_failed(
            session,
            due,
            _written(answer),
            pause=pause,
            hold_others=pause if answer.retry_after else None,
            is_receivers=answer.outcome is not AttemptOutcome.NOT_COMPOSED,
            is_gone=answer.is_gone,
        )

    async def _due_messages(self, target_id: UUID, *, at_most: int) -> list[tuple[DueDelivery, Message | None]]:
        async with one_statement(self._sessions) as session:
            due = await due_deliveries(session, target_id, at_most=at_most)
            return list(zip(due, await self._messages(session, due), strict=True))

    async def _messages(self, session: AsyncSession, due: Sequence[DueDelivery]) -> list[Message | None]:
        """None for one that cannot be composed: that keeps no other waiting."""
        try:
            return await self._compose(session, due) if due else []
        except POSTGRES_UNAVAILABLE:
            raise
        except Exception:
            if len(due) > 1:
                return [message for each in due for message in await self._messages(session, [each])]
            log.error("webhook_not_composed", delivery_id=str(due[0].delivery.id), exc_info=True)
            return [None]

    async def _compose(self, session: AsyncSession, due: Sequence[DueDelivery]) -> list[Message | None]:
        """Of deliveries to one target, and by that of one user."""
        user_id, endpoint = due[0].event.user_id, due[0].endpoint
        ours = [each.event for each in due if each.format is None]
        data = await self._payloads.data_of(session, user_id, ours, endpoint.id if endpoint else None)
        secrets = self._secrets_of(endpoint) if endpoint else [self._secrets.for_job_addresses(user_id)]
        return [await self._message_of(session, each, data, secrets) for each in due]

    async def _message_of(
        self, session: AsyncSession, due: DueDelivery, data: Mapping[UUID, Any], secrets: Sequence[str]
    ) -> Message:
        event = due.event
        match due.format:
            case WebhookFormat.FAL:
                return await self._fal_message(session, event)
            case WebhookFormat.OPENAI:
                assert event.job_id
                told = openai_event(event.id, event.type, event.at, event.job_id)
                return Message(body=_json(told), signer=StandardSigner(id=event.id, secrets=secrets))
        return _message(event, data[event.id], secrets)

    async def _fal_message(self, session: AsyncSession, event: OutgoingEvent) -> Message:
        assert event.job_id
        told = await self._payloads.fal_body_of(session, event)
        return Message(
            body=_json(told), signer=FalSigner(key=self._fal_key, request_id=event.job_id, user_id=event.user_id)
        )

    def _secrets_of(self, endpoint: WebhookEndpoint) -> list[str]:
        """The current one, and for a day the one before."""
        found = [self._secrets.decrypt(endpoint.secret, endpoint.id)]
        until = endpoint.previous_secret_until
        if endpoint.previous_secret and until and datetime.now(UTC) < until:
            found.append(self._secrets.decrypt(endpoint.previous_secret, endpoint.id))
        return found


def _message(event: OutgoingEvent, data: Mapping[str, Any], secrets: Sequence[str]) -> Message:
    body = {"type": event.type, "timestamp": event.at.isoformat(), "sequence": event.sequence, "data": data}
    return Message(body=_json(body), signer=StandardSigner(id=event.id, secrets=secrets))


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def not_composed() -> Answer:
    return Answer(
        at=datetime.now(UTC), outcome=AttemptOutcome.NOT_COMPOSED, took_ms=0, error="It could not be put together."
    )


def count(due: DueDelivery, answer: Answer) -> None:
    meter = activity.metric_meter()
    counter = meter.create_counter(ATTEMPTS, "Attempts to deliver outgoing webhooks.")
    counter.add(1, {"outcome": answer.outcome.value})
    if answer.outcome is AttemptOutcome.DELIVERED:
        histogram = meter.create_histogram_float(SECONDS_TO_DELIVERY, "From an event to its delivery.")
        histogram.record(max((datetime.now(UTC) - due.event.at).total_seconds(), 0.0))


def _written(answer: Answer) -> Mapping[str, Any]:
    """As the delivery log keeps it."""
    return {
        "at": answer.at.isoformat(),
        "outcome": answer.outcome.value,
        "statusCode": answer.status_code,
        "tookMs": answer.took_ms,
        "error": answer.error or None,
        "body": answer.body or None,
    }

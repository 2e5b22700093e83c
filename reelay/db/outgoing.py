"""Outgoing webhooks: endpoints, events and deliveries.

Events and their deliveries are written by the database itself, in the transaction that ends a job: the trigger
`write_job_events`. Here they are sent, shown and sent again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Integer,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.tables import (
    Batch,
    GenerationJob,
    OutgoingDelivery,
    OutgoingEvent,
    PipelineRow,
    User,
    WebhookEndpoint,
)
from reelay.domain.outgoing import (
    FAILING_UNTIL_DISABLED,
    NOT_LOGGED,
    STILL_FAILING,
    DeliveryState,
    DisabledReason,
    EndpointStatus,
    EventType,
    WebhookFormat,
)

SECRET_OVERLAP = timedelta(hours=24)
"""For so long a replaced secret signs as well."""
LEASE = timedelta(seconds=20)
"""How long a target that was woken has to send what is due, before it is woken again."""
ATTEMPTS_KEPT = 30
LOCK_ENDPOINTS = text("select pg_advisory_xact_lock(hashtextextended('webhook endpoints ' || :user, 0))")
TEST_ENDPOINT = text("select test_webhook_endpoint(:endpoint)")


async def insert_endpoint(session: AsyncSession, endpoint: WebhookEndpoint, *, at_most: int) -> bool:
    """False when the user has so many already. 0: no limit."""
    await session.execute(LOCK_ENDPOINTS, {"user": str(endpoint.user_id)})
    count = select(func.count()).where(col(WebhookEndpoint.user_id) == endpoint.user_id)
    if at_most and (await session.scalar(count) or 0) >= at_most:
        return False
    session.add(endpoint)
    await session.flush()
    await session.refresh(endpoint)
    return True


async def endpoints_of(session: AsyncSession, user_id: UUID) -> Sequence[WebhookEndpoint]:
    """The oldest first."""
    statement = select(WebhookEndpoint).where(col(WebhookEndpoint.user_id) == user_id)
    return (await session.scalars(statement.order_by(col(WebhookEndpoint.created_at), col(WebhookEndpoint.id)))).all()


async def find_endpoint(
    session: AsyncSession, user_id: UUID, endpoint_id: UUID, *, lock: bool = False
) -> WebhookEndpoint | None:
    statement = select(WebhookEndpoint).where(
        col(WebhookEndpoint.user_id) == user_id, col(WebhookEndpoint.id) == endpoint_id
    )
    if lock:  # events are written for it meanwhile
        statement = statement.with_for_update(key_share=True)
    return (await session.scalars(statement)).first()


async def remove_endpoint(session: AsyncSession, user_id: UUID, endpoint_id: UUID) -> bool:
    """With its deliveries. False when there is none."""
    statement = delete(WebhookEndpoint).where(
        col(WebhookEndpoint.user_id) == user_id, col(WebhookEndpoint.id) == endpoint_id
    )
    return (await session.execute(statement.returning(col(WebhookEndpoint.id)))).first() is not None


async def test_endpoint(session: AsyncSession, endpoint_id: UUID) -> bool:
    """Write an event `webhook.test` for the endpoint of the transaction's user. False when there is none."""
    return bool(await session.scalar(TEST_ENDPOINT, {"endpoint": endpoint_id}))


async def enable_endpoint(session: AsyncSession, endpoint: WebhookEndpoint) -> None:
    """What waits is sent from now on; of one that is unverified, a test first."""
    status = EndpointStatus.ENABLED if endpoint.verified_at else EndpointStatus.UNVERIFIED
    await _set_status(session, endpoint.id, status, None)
    if status is EndpointStatus.UNVERIFIED:
        await test_endpoint(session, endpoint.id)


async def disable_endpoint(session: AsyncSession, endpoint_id: UUID, reason: DisabledReason) -> None:
    """What waits stays, and is sent when it is enabled again."""
    await _set_status(session, endpoint_id, EndpointStatus.DISABLED, reason)


async def _set_status(
    session: AsyncSession, endpoint_id: UUID, status: EndpointStatus, reason: DisabledReason | None
) -> None:
    """The trigger `set_wake_times` has its deliveries sent or wait."""
    values = {"status": status, "disabled_reason": reason, "disabled_at": func.now() if reason else None}
    await session.execute(
        update(WebhookEndpoint)
        .where(col(WebhookEndpoint.id) == endpoint_id)
        .values(**values, failing_since=None, last_failed_at=None)
    )


# ---- events and deliveries as their user sees them


@dataclass(frozen=True)
class DeliveryLine:
    delivery: OutgoingDelivery
    event: OutgoingEvent


async def newest_of_endpoint(
    session: AsyncSession,
    user_id: UUID,
    endpoint_id: UUID,
    *,
    limit: int,
    state: DeliveryState | None = None,
    type: EventType | None = None,
    before: tuple[datetime, UUID] | None = None,
) -> list[DeliveryLine]:
    """The newest first, older than `before` (created_at, id)."""
    place = (col(OutgoingDelivery.created_at), col(OutgoingDelivery.id))
    statement = (
        select(OutgoingDelivery, OutgoingEvent)
        .join(OutgoingEvent, col(OutgoingEvent.id) == col(OutgoingDelivery.event_id))
        .where(col(OutgoingDelivery.user_id) == user_id, col(OutgoingDelivery.endpoint_id) == endpoint_id)
        .order_by(*(column.desc() for column in place))
        .limit(limit)
    )
    if state:
        statement = statement.where(col(OutgoingDelivery.state) == state)
    if type:
        statement = statement.where(col(OutgoingEvent.type) == type)
    if before:
        statement = statement.where(tuple_(*place) < tuple_(*before))
    return [DeliveryLine(delivery, event) for delivery, event in await session.execute(statement)]


async def redeliver(session: AsyncSession, endpoint: WebhookEndpoint, delivery_id: UUID) -> DeliveryLine | None:
    """Send it once more, with the whole schedule before it. None when there is no such delivery. `endpoint`: locked."""
    is_test = exists().where(
        col(OutgoingEvent.id) == col(OutgoingDelivery.event_id), col(OutgoingEvent.type) == EventType.WEBHOOK_TEST
    )
    wake_at = func.now() if endpoint.status == EndpointStatus.ENABLED else case((is_test, func.now()))
    again = (
        update(OutgoingDelivery)
        .where(
            col(OutgoingDelivery.user_id) == endpoint.user_id,
            col(OutgoingDelivery.endpoint_id) == endpoint.id,
            col(OutgoingDelivery.id) == delivery_id,
        )
        .values(AGAIN | {"wake_at": wake_at})
        .returning(OutgoingDelivery)
    )
    delivery = (await session.scalars(again)).first()
    if delivery is None:
        return None
    return DeliveryLine(delivery, await session.get_one(OutgoingEvent, delivery.event_id))


async def redeliver_since(session: AsyncSession, endpoint: WebhookEndpoint, since: datetime, *, at_most: int) -> int:
    """Send what happened since then once more: also what happened while the endpoint was disabled. How many events.

    The oldest first, and no more than `at_most`. `endpoint`: locked.
    """
    wake_at = func.now() if endpoint.status == EndpointStatus.ENABLED else null()
    wanted = select(
        col(OutgoingEvent.user_id), col(OutgoingEvent.id), literal(endpoint.id), literal(endpoint.id), wake_at
    ).where(
        col(OutgoingEvent.user_id) == endpoint.user_id,
        col(OutgoingEvent.at) >= since,
        col(OutgoingEvent.type) != EventType.WEBHOOK_TEST,
    )
    if endpoint.events is not None:
        wanted = wanted.where(col(OutgoingEvent.type).in_(endpoint.events))
    sending = (
        upsert(OutgoingDelivery)
        .from_select(
            ["user_id", "event_id", "endpoint_id", "target_id", "wake_at"],
            wanted.order_by(col(OutgoingEvent.sequence)).limit(at_most),
            include_defaults=False,  # the id's would be one for all rows
        )
        .on_conflict_do_update(index_elements=["user_id", "event_id", "target_id"], set_=AGAIN | {"wake_at": wake_at})
        .returning(col(OutgoingDelivery.id))
    )
    return len((await session.execute(sending)).all())


AGAIN: dict[str, Any] = {
    "state": DeliveryState.PENDING,
    "tries": 0,
    "next_try_at": func.now(),
    "ended_at": None,
}


async def event_log(session: AsyncSession, user_id: UUID, *, after: int, limit: int) -> Sequence[OutgoingEvent]:
    """How things ended, in order, beyond that sequence number. None appears later below one that was shown."""
    statement = select(OutgoingEvent).where(
        col(OutgoingEvent.user_id) == user_id,
        col(OutgoingEvent.sequence) > after,
        col(OutgoingEvent.type).not_in(NOT_LOGGED),
    )
    return (await session.scalars(statement.order_by(col(OutgoingEvent.sequence)).limit(limit))).all()


# ---- sending


# From target to target by the index, however much is due to each: `target` jumps from one id to the next, `due_target`
# looks at the first row of each. While nothing is due it is one look at an index.
CLAIM_TARGETS = text("""
    with recursive target as (
        (
            select target_id as id from outgoing_deliveries
            where wake_at is not null and exists (select from outgoing_deliveries where wake_at <= now())
            order by target_id limit 1
        )
        union all
        select (
            select target_id from outgoing_deliveries
            where wake_at is not null and target_id > target.id order by target_id limit 1
        )
        from target where target.id is not null
    ), due_target as materialized (
        select target.id, longest.wake_at from target cross join lateral (
            select wake_at from outgoing_deliveries
            where target_id = target.id and wake_at <= now() order by wake_at limit 1
        ) as longest
        order by wake_at limit :most
    ), due as (
        select delivery.id from due_target cross join lateral (
            select id from outgoing_deliveries
            where target_id = due_target.id and wake_at <= now()
            order by wake_at limit (select greatest(least(:of_each, :most / greatest(count(*), 1)), 1) from due_target)
            for update skip locked
        ) as delivery
    )
    update outgoing_deliveries set wake_at = now() + :lease from due where outgoing_deliveries.id = due.id
    returning target_id
""").bindparams(bindparam("most", type_=Integer), bindparam("of_each", type_=Integer))
CLAIMED_OF_EACH = 100
"""Of one target, at most. Once woken it is sent all that is due to it, claimed or not."""


async def claim_targets(session: AsyncSession, *, at_most: int) -> set[UUID]:
    """Which targets have to be woken, for up to so many due deliveries: each of them, before any takes more than its
    share. Of several askers, one gets each delivery.

    What is still due after `LEASE` is claimed again.
    """
    parameters = {"most": at_most, "of_each": CLAIMED_OF_EACH, "lease": LEASE}
    return set(await session.scalars(CLAIM_TARGETS, parameters))


@dataclass(frozen=True)
class DueDelivery:
    delivery: OutgoingDelivery
    event: OutgoingEvent
    endpoint: WebhookEndpoint | None
    url: str
    format: WebhookFormat | None
    """Of a job's own address; None: ours."""

    @property
    def may_recover(self) -> bool:
        """Whether a 2xx changes what is known of the endpoint."""
        endpoint = self.endpoint
        return endpoint is not None and (
            endpoint.status != EndpointStatus.ENABLED
            or endpoint.verified_at is None
            or endpoint.last_failed_at is not None
        )


OWN_URL = func.coalesce(GenerationJob.webhook_url, Batch.webhook_url, PipelineRow.webhook_url)
DUE = (
    select(OutgoingDelivery, OutgoingEvent, WebhookEndpoint, OWN_URL, col(GenerationJob.webhook_format))
    .join(OutgoingEvent, col(OutgoingEvent.id) == col(OutgoingDelivery.event_id))
    .outerjoin(WebhookEndpoint, col(WebhookEndpoint.id) == col(OutgoingDelivery.endpoint_id))
    .outerjoin(GenerationJob, col(GenerationJob.id) == col(OutgoingEvent.job_id))
    .outerjoin(Batch, col(Batch.id) == col(OutgoingEvent.batch_id))
    .outerjoin(PipelineRow, col(PipelineRow.id) == col(OutgoingEvent.pipeline_id))
    .where(
        col(OutgoingDelivery.target_id) == bindparam("target"),
        col(OutgoingDelivery.state) == DeliveryState.PENDING,
        col(OutgoingDelivery.next_try_at) <= func.now(),
        or_(
            col(OutgoingDelivery.endpoint_id).is_(None),
            col(WebhookEndpoint.status) == EndpointStatus.ENABLED,
            col(OutgoingEvent.type) == EventType.WEBHOOK_TEST,
        ),
    )
    .order_by(col(OutgoingDelivery.next_try_at), col(OutgoingEvent.sequence))
    .limit(bindparam("most", type_=Integer))
)


async def due_deliveries(session: AsyncSession, target_id: UUID, *, at_most: int) -> list[DueDelivery]:
    """Those to the target that are due for the longest time, in the order in which they are sent."""
    found = []
    for delivery, event, endpoint, own_url, own_format in await session.execute(
        DUE, {"target": target_id, "most": at_most}
    ):
        url, format = (endpoint.url, None) if endpoint else (own_url or "", own_format)
        found.append(DueDelivery(delivery, event, endpoint, url, WebhookFormat(format) if format else None))
    return found


async def record_delivered(session: AsyncSession, due: DueDelivery, attempt: Mapping[str, Any]) -> None:
    """One statement; before it, where the delivery `may_recover` its endpoint, comes `record_recovery`."""
    await _record(session, due, attempt, state=DeliveryState.DELIVERED, ended_at=func.now(), wake_at=None)


async def record_recovery(session: AsyncSession, due: DueDelivery) -> None:
    """The endpoint has answered 2xx. Before its delivery is written: whoever changes both begins with the endpoint."""
    assert due.endpoint
    unverified = col(WebhookEndpoint.status) == EndpointStatus.UNVERIFIED
    await session.execute(
        update(WebhookEndpoint)
        .where(col(WebhookEndpoint.id) == due.endpoint.id, col(WebhookEndpoint.url) == due.url)
        .values(
            status=case((unverified, EndpointStatus.ENABLED), else_=WebhookEndpoint.status),
            verified_at=func.coalesce(WebhookEndpoint.verified_at, func.now()),
            failing_since=None,
            last_failed_at=None,
        )
    )


async def record_failed(
    session: AsyncSession,
    due: DueDelivery,
    attempt: Mapping[str, Any],
    *,
    pause: timedelta | None,
    hold_others: timedelta | None,
    is_receivers: bool,
    is_gone: bool,
) -> DisabledReason | None:
    """`pause`: before the next attempt; None when it was the last. `hold_others`: nothing else of the target's is sent
    for so long. `is_receivers`: the failure is the receiver's, and not ours. `is_gone`: it wants nothing more.

    Returns why the endpoint was disabled by it, if it was.
    """
    endpoint = await _lock_endpoint(session, due)
    if pause is None:
        await _record(session, due, attempt, state=DeliveryState.FAILED, ended_at=func.now(), wake_at=None)
    else:
        next_try_at = func.now() + pause
        wake_at = next_try_at if endpoint is None or _is_sent(endpoint, due.event) else None
        await _record(session, due, attempt, next_try_at=next_try_at, wake_at=wake_at)
    if endpoint is not None and endpoint.url != due.url:
        return None  # says nothing of the address that it has now
    if hold_others:
        await _hold(session, due.delivery.target_id, hold_others)
    if endpoint is None or not is_receivers:
        return None
    if is_gone:
        return await _disable(session, endpoint, DisabledReason.GONE)
    is_unverified = endpoint.status == EndpointStatus.UNVERIFIED
    if is_unverified and pause is None and not await _is_tested(session, endpoint.id):
        return await _disable(session, endpoint, DisabledReason.FAILING)
    if is_unverified or due.event.type != EventType.WEBHOOK_TEST:
        return await _count_failure(session, endpoint)
    return None


async def _lock_endpoint(session: AsyncSession, due: DueDelivery) -> WebhookEndpoint | None:
    """First, as whoever changes an endpoint does, whose deliveries come second."""
    if due.endpoint is None:
        return None
    return await find_endpoint(session, due.endpoint.user_id, due.endpoint.id, lock=True)


def _is_sent(endpoint: WebhookEndpoint, event: OutgoingEvent) -> bool:
    """Whether the endpoint is sent the event now; else it waits."""
    return endpoint.status == EndpointStatus.ENABLED or event.type == EventType.WEBHOOK_TEST


async def _is_tested(session: AsyncSession, endpoint_id: UUID) -> bool:
    """Whether another attempt of a test follows: an unverified endpoint is sent nothing else."""
    to_send = select(col(OutgoingDelivery.id)).where(
        col(OutgoingDelivery.target_id) == endpoint_id, col(OutgoingDelivery.wake_at).is_not(None)
    )
    return (await session.scalars(to_send.limit(1))).first() is not None


async def _disable(session: AsyncSession, endpoint: WebhookEndpoint, reason: DisabledReason) -> DisabledReason:
    await disable_endpoint(session, endpoint.id, reason)
    return reason


async def _hold(session: AsyncSession, target_id: UUID, pause: timedelta) -> None:
    until = func.now() + pause
    is_woken = col(OutgoingDelivery.wake_at).is_not(None)
    await session.execute(
        update(OutgoingDelivery)
        .where(
            col(OutgoingDelivery.target_id) == target_id,
            col(OutgoingDelivery.state) == DeliveryState.PENDING,
            col(OutgoingDelivery.next_try_at) < until,
        )
        .values(next_try_at=until, wake_at=case((is_woken, until)))
    )


async def _count_failure(session: AsyncSession, endpoint: WebhookEndpoint) -> DisabledReason | None:
    """Measured in time, and not in failures: a busy user's endpoint may be away for a moment."""
    goes_on = col(WebhookEndpoint.last_failed_at) > func.now() - STILL_FAILING
    counted = (
        update(WebhookEndpoint)
        .where(col(WebhookEndpoint.id) == endpoint.id)
        .values(
            failing_since=case((goes_on, WebhookEndpoint.failing_since), else_=func.now()), last_failed_at=func.now()
        )
        .returning(col(WebhookEndpoint.failing_since) < func.now() - FAILING_UNTIL_DISABLED)
    )
    if not await session.scalar(counted):
        return None
    return await _disable(session, endpoint, DisabledReason.FAILING)


async def _record(session: AsyncSession, due: DueDelivery, attempt: Mapping[str, Any], **values: Any) -> None:
    """Unless it was asked for again, or ended by another worker, meanwhile."""
    kept = due.delivery.attempts[-(ATTEMPTS_KEPT - 1) :]
    await session.execute(
        update(OutgoingDelivery)
        .where(
            col(OutgoingDelivery.id) == due.delivery.id,
            col(OutgoingDelivery.state) == DeliveryState.PENDING,
            col(OutgoingDelivery.next_try_at) == due.delivery.next_try_at,
        )
        .values(tries=due.delivery.tries + 1, attempts=literal([*kept, attempt], JSONB), **values)
    )


async def delete_old_events(session: AsyncSession, *, older_than: timedelta, at_most: int) -> int:
    """With their deliveries, whatever became of them. How many."""
    old = select(col(OutgoingEvent.id)).where(col(OutgoingEvent.at) < func.now() - older_than).limit(at_most)
    deleted = delete(OutgoingEvent).where(col(OutgoingEvent.id).in_(old)).returning(col(OutgoingEvent.id))
    return len((await session.execute(deleted)).all())


# ---- for operators


@dataclass(frozen=True, kw_only=True)
class OutgoingState:
    waiting: int
    """Deliveries that are due or will be; not those that wait until their endpoint is enabled."""
    oldest_due_seconds: float
    """How long the oldest of them is due."""
    failing: int
    """Endpoints whose last attempt failed."""
    disabled: int
    """Endpoints that were disabled because they failed or were gone."""


STATE = text("""
    select
        (select count(*) from outgoing_deliveries where wake_at is not null) as waiting,
        (select coalesce(extract(epoch from now() - min(next_try_at)), 0) from outgoing_deliveries
            where wake_at is not null and next_try_at <= now()) as oldest_due_seconds,
        (select count(*) from webhook_endpoints where status = 'enabled' and failing_since is not null) as failing,
        (select count(*) from webhook_endpoints where disabled_reason in ('gone', 'failing')) as disabled
""")


async def outgoing_state(session: AsyncSession) -> OutgoingState:
    row = (await session.execute(STATE)).one()
    return OutgoingState(
        waiting=row.waiting,
        oldest_due_seconds=float(row.oldest_due_seconds),
        failing=row.failing,
        disabled=row.disabled,
    )


@dataclass(frozen=True)
class FailingEndpoint:
    endpoint: WebhookEndpoint
    user_name: str
    pending: int


async def failing_endpoints(session: AsyncSession, *, limit: int) -> list[FailingEndpoint]:
    """Those that fail or were disabled for it; what fails for the longest time first."""
    waiting = (
        select(func.count())
        .where(
            col(OutgoingDelivery.endpoint_id) == col(WebhookEndpoint.id),
            col(OutgoingDelivery.state) == DeliveryState.PENDING,
        )
        .scalar_subquery()
    )
    statement = (
        select(WebhookEndpoint, col(User.name), waiting)
        .join(User, col(User.id) == col(WebhookEndpoint.user_id))
        .where(
            or_(
                and_(
                    col(WebhookEndpoint.status) == EndpointStatus.ENABLED,
                    col(WebhookEndpoint.failing_since).is_not(None),
                ),
                col(WebhookEndpoint.disabled_reason).in_((DisabledReason.GONE, DisabledReason.FAILING)),
            )
        )
        .order_by(func.coalesce(WebhookEndpoint.failing_since, WebhookEndpoint.disabled_at))
        .limit(limit)
    )
    return [FailingEndpoint(endpoint, name, count or 0) for endpoint, name, count in await session.execute(statement)]

"""The log of inbound webhooks, and the inbox in it: deliveries whose report has still to reach its workflow."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.tables import GenerationJob, WebhookDelivery
from reelay.domain.generation import ACTIVE, ProviderName

NOW = timedelta(0)
# A try lasts two seconds at most.
SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(seconds=3), timedelta(seconds=30)


_DELIVERY = upsert(WebhookDelivery)
LOG_DELIVERY = _DELIVERY.on_conflict_do_update(
    index_elements=["id"],
    set_={
        **{name: _DELIVERY.excluded[name] for name in ("verdict", "status_code", "detail", "took_ms")},
        "next_try_at": None,
        "handed_over_at": func.now(),
    },
)


async def log_delivery(session: AsyncSession, delivery: WebhookDelivery) -> None:
    """Also takes it out of the inbox, should it lie there."""
    await (await session.connection()).execute(LOG_DELIVERY, _columns(delivery))


async def put_into_inbox(session: AsyncSession, delivery: WebhookDelivery, *, due_in: timedelta = NOW) -> None:
    """Log a delivery, unless it is there already, to be fed in (again) after that time."""
    values = _columns(delivery)
    values["next_try_at"] = func.now() + due_in
    statement = upsert(WebhookDelivery).values(**values)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["id"],
            set_={name: statement.excluded[name] for name in ("job_id", "attempt", "request_id", "next_try_at")},
        )
    )


def _columns(delivery: WebhookDelivery) -> dict[str, Any]:
    # A row that was read holds plain text for the provider, of which pydantic would warn.
    return {**delivery.model_dump(exclude={"provider"}, exclude_none=True), "provider": delivery.provider}


async def has_waiting_duplicate(session: AsyncSession, delivery: WebhookDelivery, detail: str) -> bool:
    """Whether another delivery of the same job waits in the inbox, of which the log says the same."""
    waiting = exists().where(
        col(WebhookDelivery.job_id) == delivery.job_id,
        col(WebhookDelivery.id) != delivery.id,
        col(WebhookDelivery.next_try_at).is_not(None),
        col(WebhookDelivery.detail) == detail,
    )
    return bool(await session.scalar(select(waiting)))


async def waiting_delivery(session: AsyncSession, job_id: UUID, attempt: int) -> WebhookDelivery | None:
    """The first verified one of that attempt that lies in the inbox."""
    of_attempt = (
        select(WebhookDelivery)
        .where(
            col(WebhookDelivery.job_id) == job_id,
            col(WebhookDelivery.attempt) == attempt,
            col(WebhookDelivery.verified),
            col(WebhookDelivery.request_id).is_not(None),
            col(WebhookDelivery.next_try_at).is_not(None),
        )
        .order_by(col(WebhookDelivery.received_at))
        .limit(1)
    )
    return (await session.scalars(of_attempt)).first()


async def claim_due_deliveries(session: AsyncSession, *, at_most: int) -> Sequence[WebhookDelivery]:
    """What of the inbox is due, the oldest of it, for one try by the caller alone.

    What the caller does not settle comes due again by itself: after as long as it has waited, within the two pauses.
    """
    due = (
        select(col(WebhookDelivery.id))
        .where(col(WebhookDelivery.next_try_at) <= func.now())
        .order_by(col(WebhookDelivery.next_try_at))
        .limit(at_most)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    waited = func.now() - col(WebhookDelivery.received_at)
    claimed = (
        update(WebhookDelivery)
        .where(col(WebhookDelivery.id) == due.c.id)
        .values(next_try_at=func.now() + func.least(func.greatest(waited, SHORTEST_PAUSE), LONGEST_PAUSE))
        .returning(WebhookDelivery)
    )
    return (await session.scalars(claimed)).all()


async def settle_delivery(session: AsyncSession, delivery_id: UUID, verdict: str) -> bool:
    """Take a delivery out of the inbox. False when it was out already."""
    statement = (
        update(WebhookDelivery)
        .where(col(WebhookDelivery.id) == delivery_id, col(WebhookDelivery.next_try_at).is_not(None))
        .values(verdict=verdict, next_try_at=None, handed_over_at=func.now())
        .returning(col(WebhookDelivery.id))
    )
    return (await session.execute(statement)).first() is not None


async def record_replay(session: AsyncSession, delivery: WebhookDelivery, verdict: str, *, waits: bool) -> None:
    """What became of a delivery that was fed in again by hand; `waits`: it goes (back) into the inbox."""
    await session.execute(
        update(WebhookDelivery)
        .where(col(WebhookDelivery.id) == delivery.id)
        .values(
            verdict=verdict,
            job_id=delivery.job_id,
            attempt=delivery.attempt,
            request_id=delivery.request_id,
            next_try_at=func.now() if waits else None,
            handed_over_at=None if waits else func.now(),
        )
    )


async def newest_deliveries(
    session: AsyncSession,
    *,
    limit: int,
    provider: ProviderName | None = None,
    verdict: str | None = None,
    job_id: UUID | None = None,
    before: tuple[datetime, UUID] | None = None,
) -> Sequence[WebhookDelivery]:
    """Newest first, older than `before` (received_at, id)."""
    received = (col(WebhookDelivery.received_at), col(WebhookDelivery.id))
    statement = select(WebhookDelivery).order_by(*(column.desc() for column in received)).limit(limit)
    wanted = {WebhookDelivery.provider: provider, WebhookDelivery.verdict: verdict, WebhookDelivery.job_id: job_id}
    for column, value in wanted.items():
        if value is not None:
            statement = statement.where(col(column) == value)
    if before:
        statement = statement.where(tuple_(*received) < tuple_(*before))
    return (await session.scalars(statement)).all()


async def find_delivery(session: AsyncSession, delivery_id: UUID) -> WebhookDelivery | None:
    return await session.get(WebhookDelivery, delivery_id)


async def delete_old_deliveries(session: AsyncSession, *, older_than: timedelta, at_most: int) -> int:
    """How many were deleted: the oldest, none of the inbox, and none that tells a living generation's end."""
    needed = exists().where(
        col(GenerationJob.outcome_delivery_id) == col(WebhookDelivery.id), col(GenerationJob.status).in_(ACTIVE)
    )
    old = (
        select(col(WebhookDelivery.id))
        .where(
            col(WebhookDelivery.received_at) < func.now() - older_than,
            col(WebhookDelivery.next_try_at).is_(None),
            ~needed,
        )
        .order_by(col(WebhookDelivery.received_at))
        .limit(at_most)
    )
    deleted = delete(WebhookDelivery).where(col(WebhookDelivery.id).in_(old)).returning(col(WebhookDelivery.id))
    return len((await session.execute(deleted)).all())

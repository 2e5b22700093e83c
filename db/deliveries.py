"""The log of inbound webhooks, and the inbox in it: deliveries whose report has still to reach its workflow."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import WebhookDelivery

# A try lasts two seconds at most.
SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(seconds=3), timedelta(seconds=30)


async def log_delivery(session: AsyncSession, delivery: WebhookDelivery) -> None:
    session.add(delivery)
    await session.flush()


async def put_into_inbox(session: AsyncSession, delivery: WebhookDelivery) -> None:
    """Log a delivery that is due to be handed over now."""
    values: dict[str, Any] = delivery.model_dump(exclude_none=True)
    await session.execute(insert(WebhookDelivery).values(**values, next_try_at=func.now()))


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

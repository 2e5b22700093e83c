"""The log of inbound webhooks."""

from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import WebhookDelivery


async def log_delivery(session: AsyncSession, delivery: WebhookDelivery) -> None:
    session.add(delivery)
    await session.flush()

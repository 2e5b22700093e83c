"""What providers publish of their endpoints, kept so that it is there while they are away."""

from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.tables import EndpointRow


async def find_endpoint(session: AsyncSession, endpoint_id: str) -> EndpointRow | None:
    """What is kept of it, however old."""
    return await session.get(EndpointRow, endpoint_id)


async def find_fresh_endpoint(session: AsyncSession, endpoint_id: str, *, fresh_for: timedelta) -> EndpointRow | None:
    """What is kept of it, if its provider has confirmed it within that time."""
    statement = select(EndpointRow).where(
        col(EndpointRow.id) == endpoint_id, col(EndpointRow.checked_at) > func.now() - fresh_for
    )
    return (await session.scalars(statement)).first()


async def keep_endpoint(
    session: AsyncSession, endpoint_id: str, entry: dict[str, Any], *, etag: str | None, price: dict[str, Any] | None
) -> None:
    """In place of what was kept of it."""
    new = {"entry": entry, "etag": etag, "price": price, "checked_at": func.now()}
    statement = upsert(EndpointRow).values(id=endpoint_id, **new)
    await session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=new))


async def confirm_endpoint(session: AsyncSession, endpoint_id: str, *, price: dict[str, Any] | None) -> None:
    """It is still what the provider publishes, at this price."""
    statement = update(EndpointRow).where(col(EndpointRow.id) == endpoint_id)
    await session.execute(statement.values(price=price, checked_at=func.now()))

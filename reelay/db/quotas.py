"""What users have left of their quotas, shared by all API processes."""

from uuid import UUID

from sqlalchemy import func, literal, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.tables import Asset, Campaign, Clip, MediaFileRow
from reelay.domain.quota import Grant, Quota

TAKE_FROM_QUOTA = text(
    "select granted, left_over from take_from_quota(:user_id, :name, :amount, :rate, cast(:wanted as integer))"
)


async def take_from_quota(session: AsyncSession, user_id: UUID, quota: Quota, wanted: int = 1) -> Grant:
    """As much of the wanted as there is. Until the transaction ends, the user's next taker waits."""
    values = {"user_id": user_id, "name": quota.name, "amount": quota.amount, "rate": quota.rate, "wanted": wanted}
    row = (await session.execute(TAKE_FROM_QUOTA, values)).one()
    return Grant(quota=quota, granted=row.granted, left=row.left_over)


async def count_owned(session: AsyncSession, table: type[Campaign | Clip], user_id: UUID, *, at_most: int) -> int:
    """The user's rows, counted no further than `at_most`."""
    rows = select(literal(1)).select_from(table).where(col(table.user_id) == user_id).limit(at_most).subquery()
    return (await session.execute(select(func.count()).select_from(rows))).scalar_one()


async def sum_stored_bytes(session: AsyncSession, user_id: UUID) -> int:
    """Of the user's archived media, and of the files that the user has brought or announced."""
    archived, brought = (
        select(func.coalesce(func.sum(size), 0)).where(owner == user_id).scalar_subquery()
        for size, owner in (
            (col(MediaFileRow.file_size), col(MediaFileRow.user_id)),
            (col(Asset.size_bytes), col(Asset.user_id)),
        )
    )
    return int((await session.execute(select(archived + brought))).scalar_one())

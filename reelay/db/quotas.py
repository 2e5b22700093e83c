"""What users have left of their quotas, shared by all API processes."""

from uuid import UUID

from sqlalchemy import func, literal, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.tables import Asset, Campaign, Clip, GenerationJob, MediaFileRow
from reelay.domain.generation import ACTIVE
from reelay.domain.quota import Grant, Quota

# The bucket is refilled by the time that went by, then emptied by what is wanted of it, or by what there is.
# Measured from the transaction's beginning, which can lie before the row's last change: hence `greatest`.
TAKE_FROM_QUOTA = text(
    """
    with asked as (
        select cast(:amount as double precision) as amount, cast(:rate as double precision) as rate,
            cast(:wanted as integer) as wanted
    )
    insert into quotas as held (user_id, name, left_over, granted)
    select :user_id, :name, amount - least(wanted, amount), least(wanted, amount) from asked
    on conflict (user_id, name) do update set (left_over, granted, counted_at) = (
        select available - granted, granted, greatest(now(), held.counted_at)
        from (
            select available, cast(least(wanted, floor(available)) as integer) as granted
            from (
                select wanted, least(
                    amount, held.left_over + rate * greatest(0, extract(epoch from now() - held.counted_at))
                ) as available
                from asked
            ) as filled
        ) as taken
    )
    returning granted, left_over
    """
)


async def take_from_quota(session: AsyncSession, user_id: UUID, quota: Quota, wanted: int = 1) -> Grant:
    """As much of the wanted as there is. Until the transaction ends, the user's next taker waits."""
    values = {"user_id": user_id, "name": quota.name, "amount": quota.amount, "rate": quota.rate, "wanted": wanted}
    row = (await session.execute(TAKE_FROM_QUOTA, values)).one()
    return Grant(quota=quota, granted=row.granted, left=row.left_over)


async def count_active(session: AsyncSession, user_id: UUID, *, at_most: int) -> int:
    """The user's generations that have not ended, counted no further than `at_most`."""
    active = (
        select(literal(1))
        .where(col(GenerationJob.user_id) == user_id, col(GenerationJob.status).in_(ACTIVE))
        .limit(at_most)
        .subquery()
    )
    return (await session.execute(select(func.count()).select_from(active))).scalar_one()


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

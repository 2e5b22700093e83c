"""What jobs cost us, and what their users were charged: by when they ended, in days and months of UTC."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Date, Row, Select, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.tables import GenerationJob, User
from reelay.domain.generation import JobType, Status


class UsageBy(StrEnum):
    """What sums are made of."""

    USER = "user"
    MODEL = "model"
    KIND = "kind"
    DAY = "day"
    MONTH = "month"


async def read_usage(
    session: AsyncSession,
    first: date,
    last: date,
    by: Sequence[UsageBy],
    *,
    kinds: Mapping[JobType, str],
    user_id: UUID | None = None,
    at_most: int | None = None,
) -> Sequence[Row[Any]]:
    """Sums of the jobs that ended on these days, of all users or of one.

    A row for each combination of what `by` names, in its order, with `jobs, completed, failed, canceled, cost_cents,
    charged_cents`. `kinds`: how job types are called.
    """
    ended = func.timezone("UTC", col(GenerationJob.completed_at))
    columns: dict[UsageBy, Any] = {
        UsageBy.USER: col(User.name),
        UsageBy.MODEL: col(GenerationJob.model),
        UsageBy.KIND: case({each.value: kind for each, kind in kinds.items()}, value=col(GenerationJob.job_type)),
        UsageBy.DAY: cast(ended, Date),
        UsageBy.MONTH: cast(func.date_trunc("month", ended), Date),
    }
    groups = [columns[each].label(each.value) for each in by]
    if UsageBy.USER in by:
        groups.insert(by.index(UsageBy.USER) + 1, col(GenerationJob.user_id).label("user_id"))
    status = col(GenerationJob.status)
    statement: Select[Any] = (
        select(
            *groups,
            func.count().label("jobs"),
            *(func.count().filter(status == end).label(end.value) for end in ENDS),
            func.coalesce(func.sum(col(GenerationJob.actual_cost_cents)), 0).label("cost_cents"),
            func.coalesce(func.sum(col(GenerationJob.charged_cents)), 0).label("charged_cents"),
        )
        .select_from(GenerationJob)
        .where(
            col(GenerationJob.completed_at).between(
                datetime.combine(first, time.min, UTC), datetime.combine(last, time.max, UTC)
            ),
        )
        .group_by(*groups)
        .order_by(*groups)
        .limit(at_most)
    )
    if UsageBy.USER in by:
        statement = statement.join(User, col(User.id) == col(GenerationJob.user_id))
    if user_id is not None:
        statement = statement.where(col(GenerationJob.user_id) == user_id)
    rows: Sequence[Row[Any]] = (await session.execute(statement)).all()
    return rows


ENDS = (Status.COMPLETED, Status.FAILED, Status.CANCELED)

"""What was used: of the caller's jobs, or of everybody's for operators."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from sqlalchemy import Row

from api.context import Context
from api.http.problems import InvalidParams
from api.http.wire import Wire
from reelay.catalog.model import KINDS, JobKind
from reelay.db.usage import UsageBy, read_usage
from reelay.domain.messages import Sentence

LONGEST_PERIOD = timedelta(days=366)

router = APIRouter(prefix="/api/usage", tags=["credits"])


@dataclass(frozen=True)
class Period:
    """Whole days of UTC, the first and the last included."""

    first: date
    last: date


async def _period(
    first: Annotated[
        date | None,
        Query(alias="from", description="The first day, in UTC. Default: the first of the last day's month."),
    ] = None,
    last: Annotated[date | None, Query(alias="to", description="The last day, in UTC. Default: today.")] = None,
) -> Period:
    last = last or datetime.now(UTC).date()
    return checked_period(first or last.replace(day=1), last)


def checked_period(first: date, last: date) -> Period:
    """Raises: InvalidParams."""
    if not timedelta() <= last - first < LONGEST_PERIOD:
        limit = {"days": LONGEST_PERIOD.days}
        error = {"field": "from", "message": Sentence("field_period"), "limit": limit, "value": f"{first} to {last}"}
        raise InvalidParams(Sentence("request_invalid"), errors=[error])
    return Period(first, last)


PeriodDep = Annotated[Period, Depends(_period)]


class UsageGroup(StrEnum):
    """What a user's sums are made of."""

    DAY = UsageBy.DAY.value
    MODEL = UsageBy.MODEL.value
    KIND = UsageBy.KIND.value


class Sums(Wire):
    """Jobs that ended, and how."""

    jobs: int
    """How many jobs ended."""
    completed: int
    """How many of them completed."""
    failed: int
    """How many of them failed."""
    canceled: int
    """How many of them were canceled."""


class UsageRow(Sums):
    """The caller's jobs of one day, model or kind."""

    day: date | None = None
    """The day, in UTC; null unless the sums are by day."""
    model: str | None = None
    """The model's name; null unless the sums are by model."""
    kind: JobKind | None = None
    """What the jobs make; null unless the sums are by kind."""
    charged_cents: int
    """What was charged for them, in US cents."""

    @classmethod
    def from_row(cls, row: Row[tuple[object, ...]]) -> Self:
        return cls.model_validate(row._asdict())


class Usage(Wire):
    """What the caller's jobs of a period came to."""

    first: date = Field(alias="from")
    """The first day, in UTC."""
    last: date = Field(alias="to")
    """The last day, in UTC."""
    by: UsageGroup
    """What the sums are made of."""
    data: list[UsageRow]
    """The sums: days in order, models and kinds by name. What nothing ended in is left out."""


@router.get("")
async def read_own_usage(
    context: Context,
    period: PeriodDep,
    by: Annotated[UsageGroup, Query(description="What the sums are made of. Default: `day`.")] = UsageGroup.DAY,
) -> Usage:
    """What the caller's jobs came to that ended in a period of at most 366 days."""
    async with context.transaction() as session:
        rows = await read_usage(session, period.first, period.last, [UsageBy(by)], kinds=KINDS, user_id=context.user_id)
    return Usage(first=period.first, last=period.last, by=by, data=[UsageRow.from_row(row) for row in rows])

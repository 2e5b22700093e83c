"""Operators see what everybody's jobs cost and brought in, as JSON or CSV."""

import csv
from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from http import HTTPStatus
from io import StringIO
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import Field
from sqlalchemy import Row

from api.admin.users import UserFilter
from api.credits.usage import PeriodDep, Sums
from api.http.problems import InvalidParams, problems
from api.http.wire import Wire
from api.identity.dependencies import require_admin
from api.services import ServicesDep
from reelay.catalog.model import KINDS, JobKind
from reelay.db.usage import UsageBy, read_usage
from reelay.operators import require_user

MOST_ROWS = 50_000
CSV = "text/csv"

router = APIRouter(
    prefix="/api/admin/usage",
    tags=["operators"],
    dependencies=[Depends(require_admin)],
    responses=problems(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
)


class UsageFormat(StrEnum):
    """How the answer is written."""

    JSON = "json"
    CSV = "csv"


class OperatorUsageRow(Sums):
    """The jobs of one combination of what the sums are by."""

    user: str | None = None
    """The user's name; null unless the sums are by user."""
    user_id: UUID | None = None
    """The user's id; null unless the sums are by user."""
    model: str | None = None
    """The model's name; null unless the sums are by model."""
    kind: JobKind | None = None
    """What the jobs make; null unless the sums are by kind."""
    day: date | None = None
    """The day, in UTC; null unless the sums are by day."""
    month: str | None = None
    """The month, in UTC, for example `2026-11`; null unless the sums are by month."""
    cost_cents: int
    """What the providers charge for them, in US cents, as far as it is known."""
    revenue_cents: int
    """What their users were charged, in US cents."""

    @classmethod
    def from_row(cls, row: Row[tuple[object, ...]]) -> Self:
        values: dict[str, Any] = row._asdict()
        values["revenue_cents"] = values.pop("charged_cents")
        if "month" in values:
            values["month"] = f"{values['month']:%Y-%m}"
        return cls.model_validate(values)


class OperatorUsage(Wire):
    """What the jobs of a period came to."""

    first: date = Field(alias="from")
    """The first day, in UTC."""
    last: date = Field(alias="to")
    """The last day, in UTC."""
    by: list[UsageBy]
    """What the sums are made of."""
    data: list[OperatorUsageRow]
    """The sums, in the order of `by`. Combinations in which nothing ended are left out."""


@router.get(
    "",
    response_model=OperatorUsage,
    responses={200: {"description": "The sums.", "content": {CSV: {"schema": {"type": "string"}}}}},
)
async def read_everybodys_usage(
    services: ServicesDep,
    period: PeriodDep,
    by: Annotated[
        list[UsageBy],
        Query(
            max_length=len(UsageBy),
            description="What the sums are made of; several make a sum for each combination. "
            "Default: `user`, `model` and `month`.",
        ),
    ] = [UsageBy.USER, UsageBy.MODEL, UsageBy.MONTH],  # noqa: B006  # read alone
    user: UserFilter = None,
    format: Annotated[
        UsageFormat | None, Query(description="How the answer is written. Default: by `Accept`, else `json`.")
    ] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> OperatorUsage | Response:
    """Cost and revenue of the jobs that ended in a period of at most 366 days, as JSON or CSV (`Accept: text/csv`)."""
    by = list(dict.fromkeys(by))
    async with services.service_sessions() as session:
        user_id = (await require_user(session, user)).id if user is not None else None
        rows = await read_usage(
            session, period.first, period.last, by, kinds=KINDS, user_id=user_id, at_most=MOST_ROWS + 1
        )
    if len(rows) > MOST_ROWS:
        raise InvalidParams(f"These are more than {MOST_ROWS} rows: ask for a shorter period, one user, or fewer `by`.")
    data = [OperatorUsageRow.from_row(row) for row in rows]
    if format is UsageFormat.CSV or (format is None and CSV in accept):
        return Response(as_csv(by, data), media_type=CSV)
    return OperatorUsage(first=period.first, last=period.last, by=by, data=data)


def as_csv(by: Sequence[UsageBy], rows: Sequence[OperatorUsageRow]) -> str:
    """With the names of the JSON answer at the head; what the sums are not by is left out."""
    names = [name for each in by for name in ((each.value, "userId") if each is UsageBy.USER else (each.value,))]
    names += ["jobs", "completed", "failed", "canceled", "costCents", "revenueCents"]
    text = StringIO(newline="")
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        values = row.model_dump(mode="json", by_alias=True)
        writer.writerow({name: plain(value) for name, value in values.items()})
    return text.getvalue()


def plain(value: Any) -> Any:
    """A spreadsheet takes a text that begins like a formula for one: https://owasp.org/www-community/attacks/CSV_Injection."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value

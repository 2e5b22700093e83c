"""Operators see what the provider has billed beside what users were charged, as JSON or CSV."""

import csv
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus
from io import StringIO
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from api.admin.usage import CSV, UsageFormat, plain
from api.credits.usage import Period, checked_period
from api.http.problems import problems
from api.http.wire import Wire
from api.identity.dependencies import require_admin
from api.services import ServicesDep
from reelay.db.bill import Comparison, compare_bill
from reelay.domain.bill import FIRST_DAYS, LONGEST_DAYS
from reelay.domain.generation import ProviderName
from workflows.runs import bill_reconciled_within

LISTED_AT_MOST = 100

router = APIRouter(
    prefix="/api/admin/bill",
    tags=["operators"],
    dependencies=[Depends(require_admin)],
    responses=problems(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT),
)


class BilledModel(Wire):
    """The billed requests of one model."""

    model: str
    """The model's name; the provider's endpoint where no job of the model is known."""
    requests: int
    """How many requests were billed."""
    billed_cents: float
    """What the provider billed for them, in US cents and their fractions."""
    charged_cents: float
    """What the users of their jobs were charged, in US cents."""
    difference_cents: float
    """What was charged less what was billed: negative where the provider took more."""


class BilledJob(Wire):
    """A job whose user was charged something else than the provider billed."""

    job_id: UUID
    """The job, which may have been deleted."""
    model: str
    """The model's name; the provider's endpoint where the model is not known."""
    billed_cents: float
    """What the provider billed for all of its requests, in US cents and their fractions."""
    charged_cents: float
    """What its user was charged, in US cents."""
    difference_cents: float
    """What was charged less what was billed."""
    billed_at: datetime
    """When the last of its requests was billed."""


class UnknownRequest(Wire):
    """A request that was billed and is no job's."""

    provider: ProviderName
    """The provider."""
    request_id: str
    """The provider's id of the request."""
    endpoint: str
    """The provider's endpoint."""
    units: float | None
    """How many units the provider counted."""
    billed_cents: float
    """What it billed, in US cents and their fractions."""
    billed_at: datetime
    """When it was billed."""


class UnbilledRequest(Wire):
    """A request that completed more than a day before the bill was read, and was not billed."""

    provider: ProviderName
    """The provider."""
    request_id: str
    """The provider's id of the request."""
    job_id: UUID
    """Its job."""
    model: str
    """The model's name."""
    charged_cents: int
    """What its user was charged, in US cents."""
    completed_at: datetime
    """When the job completed."""


class Bill(Wire):
    """The provider's bill of a period beside what users were charged. Nothing of it is booked."""

    first: date = Field(alias="from")
    """The first day, in UTC."""
    last: date = Field(alias="to")
    """The last day, in UTC."""
    reconciled_at: datetime | None
    """When the provider's bill was last read; null where it never was."""
    models: list[BilledModel]
    """What was billed, by model."""
    differing_jobs: list[BilledJob]
    """Ended jobs that differ by a cent or more, the largest difference first; at most 100."""
    differing_jobs_count: int
    """How many there are."""
    unknown_requests: list[UnknownRequest]
    """Requests that were billed and are no job's, the newest first; at most 100."""
    unknown_requests_count: int
    """How many there are."""
    unbilled_requests: list[UnbilledRequest]
    """Requests that completed and were not billed, the newest first; at most 100."""
    unbilled_requests_count: int
    """How many there are."""

    @classmethod
    def of(cls, period: Period, found: Comparison) -> Self:
        lists = {
            "differing_jobs": (BilledJob, found.differing),
            "unknown_requests": (UnknownRequest, found.unknown),
            "unbilled_requests": (UnbilledRequest, found.unbilled),
        }
        views = {name: [view.model_validate(row._asdict()) for row in rows] for name, (view, rows) in lists.items()}
        counts = {f"{name}_count": rows[0].total if rows else 0 for name, (_, rows) in lists.items()}
        return cls.model_validate(
            {
                "first": period.first,
                "last": period.last,
                "reconciled_at": found.reconciled_at,
                "models": [BilledModel.model_validate(row._asdict()) for row in found.totals],
                **views,
                **counts,
            }
        )


class BillToReconcile(Wire):
    """How far back the bill is to be read."""

    days: Annotated[int, Field(strict=True, ge=1, le=LONGEST_DAYS)] | None = None
    """So many days; null or omitted for what has come since it was last read."""


async def _period(
    first: Annotated[
        date | None, Query(alias="from", description="The first day, in UTC. Default: 30 days with the last one.")
    ] = None,
    last: Annotated[date | None, Query(alias="to", description="The last day, in UTC. Default: today.")] = None,
) -> Period:
    last = last or datetime.now(UTC).date()
    return checked_period(first or last - timedelta(days=FIRST_DAYS - 1), last)


@router.get(
    "",
    response_model=Bill,
    responses={200: {"description": "The bill.", "content": {CSV: {"schema": {"type": "string"}}}}},
)
async def read_bill(
    services: ServicesDep,
    period: Annotated[Period, Depends(_period)],
    format: Annotated[
        UsageFormat | None,
        Query(description="How the answer is written; CSV has `models` alone. Default: by `Accept`, else `json`."),
    ] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Bill | Response:
    """What the provider billed in a period of at most 366 days, beside what was charged, as JSON or CSV."""
    async with services.service_sessions() as session:
        bill = await view_bill(session, period)
    if format is UsageFormat.CSV or (format is None and CSV in accept):
        return Response(as_csv(bill.models), media_type=CSV)
    return bill


@router.post("/reconcile")
async def reconcile_bill(services: ServicesDep, body: BillToReconcile | None = None) -> Bill:
    """Have a worker read the provider's bill now, and compare it: of so many days, else of the last 30.

    409 where it cannot be read, with the reason. 503 when it takes longer than 25 s: it goes on; read it a little
    later. Safe to repeat.
    """
    days = body.days if body else None
    await bill_reconciled_within(services.timeouts.bill, services.temporal, services.settings.task_queue, days)
    async with services.service_sessions() as session:
        return await view_bill(session, last_days(days))


async def view_bill(session: AsyncSession, period: Period) -> Bill:
    begins = datetime.combine(period.first, time.min, UTC)
    ends = datetime.combine(period.last, time.max, UTC)
    return Bill.of(period, await compare_bill(session, begins, ends, at_most=LISTED_AT_MOST))


def last_days(days: int | None) -> Period:
    """Until today."""
    today = datetime.now(UTC).date()
    return Period(today - timedelta(days=(days or FIRST_DAYS) - 1), today)


def as_csv(models: Sequence[BilledModel]) -> str:
    """With the names of the JSON answer at the head."""
    text = StringIO(newline="")
    writer = csv.DictWriter(text, ["model", "requests", "billedCents", "chargedCents", "differenceCents"])
    writer.writeheader()
    for row in models:
        values = row.model_dump(mode="json", by_alias=True)
        writer.writerow({name: plain(value) for name, value in values.items()})
    return text.getvalue()

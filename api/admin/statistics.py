"""The operators' figures: how it went in a window, what is open now, and which jobs need a hand."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy import Row

from api.admin.accounts import AccountView
from api.http.problems import problems
from api.http.wire import Wire
from api.identity.dependencies import require_admin
from api.services import ServicesDep
from reelay.db.accounts import accounts
from reelay.db.ledger_audit import Audit, latest_audit
from reelay.db.statistics import (
    CurrentState,
    Rows,
    Window,
    WindowFigures,
    action_required,
    read_current_state,
    read_window_figures,
)
from reelay.domain.action_required import ActionRequired
from reelay.domain.generation import ProviderName, Stage, Status

NEEDS_AT_MOST = 100

router = APIRouter(
    prefix="/api/admin",
    tags=["operators"],
    dependencies=[Depends(require_admin)],
    responses=problems(HTTPStatus.FORBIDDEN),
)


class WindowName(StrEnum):
    """An hour, a day, or a week."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"

    def until(self, now: datetime) -> Window:
        return Window(*LENGTHS[self], now)


LENGTHS = {
    WindowName.HOUR: (timedelta(hours=1), timedelta(minutes=5)),
    WindowName.DAY: (timedelta(days=1), timedelta(hours=1)),
    WindowName.WEEK: (timedelta(days=7), timedelta(hours=6)),
}
"""Each with its slices."""


class Outcomes(Wire):
    """What became of the jobs in the window."""

    created: int
    """Jobs created."""
    completed: int
    """Jobs completed."""
    failed: int
    """Jobs failed."""
    canceled: int
    """Jobs canceled."""
    success_rate: float | None
    """Completed jobs among those completed or failed, from 0 to 1; null without any."""


class ModelOutcomes(Wire):
    """What became of one model's jobs in the window."""

    provider: ProviderName
    """The provider."""
    model: str
    """The model's name."""
    completed: int
    """Jobs completed."""
    failed: int
    """Jobs failed."""
    canceled: int
    """Jobs canceled."""
    success_rate: float | None
    """Completed jobs among those completed or failed, from 0 to 1; null without any."""
    p50_seconds: float | None
    """The median of the seconds from creation to completion."""
    p95_seconds: float | None
    """The 95th percentile of the seconds from creation to completion."""

    @classmethod
    def from_row(cls, row: Row[Any]) -> Self:
        p50, p95 = row.seconds or (None, None)
        return cls(
            provider=row.provider,
            model=row.model,
            completed=row.completed,
            failed=row.failed,
            canceled=row.canceled,
            success_rate=success_rate(row.completed, row.failed),
            p50_seconds=p50,
            p95_seconds=p95,
        )


class OutcomeSlice(Wire):
    """What became of the jobs in one slice of the window."""

    at: datetime
    """When the slice begins."""
    completed: int
    """Jobs completed."""
    failed: int
    """Jobs failed."""
    canceled: int
    """Jobs canceled."""


class WebhookSlice(Wire):
    """Inbound webhooks in one slice of the window."""

    at: datetime
    """When the slice begins."""
    deliveries: int
    """Webhooks received."""
    verdicts: dict[str, int]
    """Webhooks by verdict."""
    p50_ms: float | None
    """The median of the milliseconds from arrival to verdict."""
    p95_ms: float | None
    """The 95th percentile of the milliseconds from arrival to verdict."""


class Webhooks(Wire):
    """Inbound webhooks in the window."""

    deliveries: int
    """Webhooks received."""
    verdicts: dict[str, int]
    """Webhooks by verdict."""
    slices: list[WebhookSlice]
    """The same by slices of the window."""


class Submissions(Wire):
    """Submissions whose answer was lost."""

    uncertain_now: int
    """Submissions whose request is looked for now."""
    doubted: int
    """Submissions of the window whose answer was lost."""
    adopted: int
    """Those of them whose request was found again."""
    unknown_outcome: int
    """Jobs of the window that failed because it was not."""


class DriftView(Wire):
    """An account whose balance its entries do not explain."""

    user_id: UUID
    """The user."""
    account: str
    """Which of the user's figures: `available`, `held`, or `held for living jobs`."""
    kept_cents: int
    """The stored figure in US cents."""
    counted_cents: int
    """The figure by the entries, in US cents."""


class Ledger(Wire):
    """The credits of all users."""

    available_cents: int
    """What new jobs can take, in US cents."""
    held_cents: int
    """What is held for jobs that have not ended, in US cents."""
    drift: list[DriftView]
    """Accounts whose entries do not add up; empty when all do."""
    audited_at: datetime | None
    """When the reconciliation last compared them; null before the first time."""


class InboxView(Wire):
    """Webhooks that have yet to reach their workflow."""

    waiting: int
    """How many there are."""
    oldest_seconds: float
    """The age of the oldest in seconds."""


class NeedView(Wire):
    """A job that needs an operator."""

    job_id: UUID
    """The job's id."""
    user_id: UUID
    """The job's user."""
    provider: ProviderName
    """The provider."""
    model: str
    """The model's name."""
    stage: Stage
    """The stage that the job is in."""
    request_id: str | None
    """The provider's id of the request."""
    since: datetime
    """Since when."""
    need: ActionRequired
    """What the job needs."""
    detail: str | None
    """What is known of the cause."""
    advice: str
    """What an operator can do, in English."""

    @classmethod
    def from_row(cls, row: Row[Any]) -> Self:
        need = ActionRequired(row.need)
        return cls(
            job_id=row.id,
            user_id=row.user_id,
            provider=row.provider,
            model=row.model,
            stage=Stage(row.stage),
            request_id=row.provider_request_id,
            since=row.since,
            need=need,
            detail=row.detail,
            advice=need.advice,
        )


class Statistics(Wire):
    """How the service did in the window, and what is open now."""

    window: WindowName
    """The window."""
    since: datetime
    """When the window begins."""
    until: datetime
    """When the window ends."""
    slice_seconds: int
    """The length of a slice in seconds."""
    outcomes: Outcomes
    """What became of the jobs."""
    failures: dict[str, int]
    """Failed jobs by `errorCode`, the most frequent first."""
    models: list[ModelOutcomes]
    """What became of the jobs by model."""
    slices: list[OutcomeSlice]
    """What became of the jobs by slices of the window."""
    active: dict[str, int]
    """Jobs that have not ended, by stage."""
    webhooks: Webhooks
    """Inbound webhooks."""
    rescued_by_poll: dict[str, int]
    """Jobs whose end a poll found before their webhook came, by provider."""
    submissions: Submissions
    """What became of submissions whose answer was lost."""
    ledger: Ledger
    """The credits of all users together."""
    inbox: InboxView
    """Inbound webhooks on their way to their workflow."""
    parked_accounts: list[AccountView]
    """Accounts at providers that take no submissions."""
    needs: list[NeedView]
    """Jobs that need an operator, at most 100."""


@router.get("/stats")
async def statistics(
    services: ServicesDep,
    window: Annotated[WindowName, Query(description="The length of the window, which ends now.")] = WindowName.DAY,
) -> Statistics:
    """How the service did in the window, what is open now, and which jobs need an operator."""
    span = window.until(datetime.now(UTC))
    async with services.service_sessions() as session:
        happened = await read_window_figures(session, span)
        now = await read_current_state(session)
        needs = await action_required(session, span, at_most=NEEDS_AT_MOST)
        audit = await latest_audit(session)
        parked = [AccountView.from_row(row) for row in await accounts(session) if row.parked_at]
    failures = failures_in(happened)
    return Statistics(
        window=window,
        since=span.begins,
        until=span.ends,
        slice_seconds=int(span.slice.total_seconds()),
        outcomes=outcomes_in(happened),
        failures=failures,
        models=[ModelOutcomes.from_row(row) for row in happened.ended],
        slices=outcome_slices(span, happened.course),
        active=dict(now.active),
        webhooks=webhooks_in(span, happened.webhooks),
        rescued_by_poll=dict(happened.rescued),
        submissions=Submissions(
            uncertain_now=now.uncertain,
            doubted=happened.doubted,
            adopted=happened.adopted,
            unknown_outcome=failures.get(ActionRequired.UNKNOWN_OUTCOME, 0),
        ),
        ledger=ledger_of(now, audit),
        inbox=InboxView(waiting=now.inbox, oldest_seconds=now.inbox_oldest_seconds),
        parked_accounts=parked,
        needs=[NeedView.from_row(row) for row in needs],
    )


def success_rate(completed: int, failed: int) -> float | None:
    return completed / (completed + failed) if completed + failed else None


def outcomes_in(happened: WindowFigures) -> Outcomes:
    completed, failed, canceled = (sum(getattr(row, end) for row in happened.ended) for end in ENDS)
    return Outcomes(
        created=happened.created,
        completed=completed,
        failed=failed,
        canceled=canceled,
        success_rate=success_rate(completed, failed),
    )


ENDS = (Status.COMPLETED, Status.FAILED, Status.CANCELED)


def failures_in(happened: WindowFigures) -> dict[str, int]:
    """The most frequent first."""
    counts: dict[str, int] = {}
    for row in happened.course:
        if row.error_code:
            counts[row.error_code] = counts.get(row.error_code, 0) + row.jobs
    return dict(sorted(counts.items(), key=lambda entry: -entry[1]))


def outcome_slices(window: Window, course: Rows) -> list[OutcomeSlice]:
    """All slices, also those in which nothing ended."""
    counts = {at: dict.fromkeys(ENDS, 0) for at in window.slices}
    for row in course:
        counts[row.at][Status(row.status)] += row.jobs
    return [OutcomeSlice(at=at, **{end.value: count for end, count in ends.items()}) for at, ends in counts.items()]


def webhooks_in(window: Window, rows: Rows) -> Webhooks:
    of_slice: dict[datetime, list[Row[Any]]] = {at: [] for at in window.slices}
    for row in rows:
        of_slice[row.at].append(row)
    slices = [webhook_slice(at, here) for at, here in of_slice.items()]
    verdicts = sums(each.verdicts for each in slices)
    return Webhooks(deliveries=sum(verdicts.values()), verdicts=verdicts, slices=slices)


def webhook_slice(at: datetime, rows: Sequence[Row[Any]]) -> WebhookSlice:
    """The row without a verdict is of all of them together."""
    verdicts = {row.verdict: row.deliveries for row in rows if row.verdict is not None}
    p50, p95 = next((row.milliseconds for row in rows if row.verdict is None), (None, None))
    return WebhookSlice(at=at, deliveries=sum(verdicts.values()), verdicts=verdicts, p50_ms=p50, p95_ms=p95)


def sums(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items(), key=lambda entry: -entry[1]))


def ledger_of(now: CurrentState, audit: Audit | None) -> Ledger:
    drift = [
        DriftView(user_id=each.user_id, account=each.account, kept_cents=each.kept, counted_cents=each.counted)
        for each in (audit.drift if audit else ())
    ]
    audited_at = audit.at if audit else None
    return Ledger(available_cents=now.available_cents, held_cents=now.held_cents, drift=drift, audited_at=audited_at)

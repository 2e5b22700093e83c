"""The operators' figures: how it went in a window, what is open now, and which jobs need a hand."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends
from sqlalchemy import Row

from api.admin.accounts import AccountView
from api.admin.ledger import Audit
from api.http.problems import problems
from api.http.wire import Wire
from api.identity.dependencies import require_admin
from api.services import ServicesDep
from reelay.db.accounts import accounts
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
from reelay.domain.generation import ProviderName, Status

NEEDS_AT_MOST = 100

router = APIRouter(
    prefix="/api/admin",
    tags=["operators"],
    dependencies=[Depends(require_admin)],
    responses=problems(HTTPStatus.FORBIDDEN),
)


class WindowName(StrEnum):
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
    created: int
    completed: int
    failed: int
    canceled: int
    success_rate: float | None
    """Of those that completed or failed, 0..1; none where there are none: a cancellation is nobody's failure."""


class ModelOutcomes(Wire):
    provider: ProviderName
    model: str
    completed: int
    failed: int
    canceled: int
    success_rate: float | None
    p50_seconds: float | None
    """From creation to the end, of those that completed."""
    p95_seconds: float | None

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
    at: datetime
    completed: int
    failed: int
    canceled: int


class WebhookSlice(Wire):
    at: datetime
    deliveries: int
    verdicts: dict[str, int]
    p50_ms: float | None
    """From a delivery's arrival to its verdict."""
    p95_ms: float | None


class Webhooks(Wire):
    deliveries: int
    verdicts: dict[str, int]
    slices: list[WebhookSlice]


class Submissions(Wire):
    uncertain_now: int
    doubted: int
    """Whose answer was lost, of those sent in the window."""
    adopted: int
    """Of these, whose request was found again."""
    unknown_outcome: int
    """Generations that ended so in the window."""


class DriftView(Wire):
    user_id: UUID
    account: str
    kept_cents: int
    counted_cents: int


class Ledger(Wire):
    available_cents: int
    held_cents: int
    drift: list[DriftView]
    """Empty when accounts, entries and living jobs agree."""
    audited_at: datetime


class InboxView(Wire):
    waiting: int
    oldest_seconds: float


class NeedView(Wire):
    job_id: UUID
    user_id: UUID
    provider: ProviderName
    model: str
    stage: str
    request_id: str | None
    since: datetime
    need: ActionRequired
    detail: str | None
    advice: str

    @classmethod
    def from_row(cls, row: Row[Any]) -> Self:
        need = ActionRequired(row.need)
        return cls(
            job_id=row.id,
            user_id=row.user_id,
            provider=row.provider,
            model=row.model,
            stage=row.stage,
            request_id=row.provider_request_id,
            since=row.since,
            need=need,
            detail=row.detail,
            advice=need.advice,
        )


class Statistics(Wire):
    window: WindowName
    since: datetime
    until: datetime
    slice_seconds: int
    outcomes: Outcomes
    failures: dict[str, int]
    """By error code."""
    models: list[ModelOutcomes]
    slices: list[OutcomeSlice]
    active: dict[str, int]
    """Living generations by stage."""
    webhooks: Webhooks
    rescued_by_poll: dict[str, int]
    """Generations whose end a poll found before their webhook came, by provider."""
    submissions: Submissions
    ledger: Ledger
    inbox: InboxView
    parked_accounts: list[AccountView]
    needs: list[NeedView]
    """At most 100."""


@router.get("/stats")
async def statistics(services: ServicesDep, window: WindowName = WindowName.DAY) -> Statistics:
    """How it went in the window, what is open now, and which jobs need a hand."""
    span = window.until(datetime.now(UTC))
    audit = await services.ledger.latest()
    async with services.service_sessions() as session:
        happened = await read_window_figures(session, span)
        now = await read_current_state(session)
        needs = await action_required(session, span, at_most=NEEDS_AT_MOST)
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


def ledger_of(now: CurrentState, audit: Audit) -> Ledger:
    drift = [
        DriftView(user_id=each.user_id, account=each.account, kept_cents=each.kept, counted_cents=each.counted)
        for each in audit.drift
    ]
    return Ledger(available_cents=now.available_cents, held_cents=now.held_cents, drift=drift, audited_at=audit.at)

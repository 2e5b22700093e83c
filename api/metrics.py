"""What Prometheus reads at `/metrics`: numbers by few, bounded labels. No id, no name of a user, no sum of money."""

import time
from contextlib import AbstractAsyncContextManager
from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reelay.background import TaskSupervisor, every
from reelay.db.bill import unknown_requests
from reelay.db.engine import Sessions
from reelay.db.ledger_audit import Audit, latest_audit
from reelay.db.outgoing import OutgoingState, outgoing_state
from reelay.db.statistics import CurrentState, read_current_state
from reelay.domain.generation import ProviderName, Stage
from reelay.domain.verdict import Verdict

QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds."""
REFRESH_EVERY_SECONDS = 15.0
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNROUTED = "(none)"
"""The label of requests without a route: arbitrary paths must not become labels."""

DRIFTING = ("available", "held", "held for living jobs")
"""The figures of `db.credits.Drift`."""

router = APIRouter(tags=["health"])


class Metrics:
    """Of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        quick = partial(Histogram, buckets=QUICK, registry=self.registry)
        self.requests = counter("reelay_http_requests", "Responses sent.", ("method", "route", "status"))
        self.request_seconds = quick(
            "reelay_http_request_seconds", "Time from a request to the first byte of its response.", ("method", "route")
        )
        self.webhooks = counter("reelay_webhooks", "Inbound webhooks by verdict.", ("provider", "verdict"))
        self.webhook_seconds = quick(
            "reelay_webhook_seconds", "Time from a webhook's arrival to its verdict.", ("provider",)
        )
        self.signal_seconds = quick(
            "reelay_signal_seconds", "Time to signal a report to its workflow, by verdict.", ("verdict",)
        )
        self.active = gauge("reelay_generations_active", "Generations that have not ended.", ("stage",))
        self.inbox = gauge("reelay_inbox_waiting", "Webhook deliveries waiting for their workflow.")
        self.inbox_oldest = gauge("reelay_inbox_oldest_seconds", "How long the oldest of them has waited.")
        self.uncertain = gauge("reelay_submissions_uncertain", "Submissions whose outcome is unknown.")
        self.parked = gauge("reelay_accounts_parked", "Parked accounts at providers.")
        self.drift = gauge(
            "reelay_ledger_drift_accounts",
            "Credit accounts that differ from their entries and open jobs. Absent before the first audit.",
            ("account",),
        )
        self.audited_at = gauge(
            "reelay_ledger_audit_timestamp_seconds", "Unix time of the last audit of the ledger. 0 before the first."
        )
        self.unknown_billed = gauge(
            "reelay_billed_requests_unknown", "Requests that were billed in the last 30 days and are no job's."
        )
        self.outgoing = gauge("reelay_outgoing_waiting", "Outgoing webhooks that are due or will be.")
        self.outgoing_oldest = gauge("reelay_outgoing_oldest_seconds", "How long the oldest of them is due.")
        self.outgoing_endpoints = gauge(
            "reelay_outgoing_endpoints", "Webhook endpoints that fail, or were disabled for it.", ("state",)
        )
        self.looked_at = gauge("reelay_db_scrape_timestamp_seconds", "Unix time of the last refresh of the gauges.")
        self.task_failures = counter("reelay_background_task_failures", "Failures of background tasks.", ("task",))

    def count_task_failures(self, task: str, count: int) -> None:
        self.task_failures.labels(task).inc(count)

    def observe_webhook(self, provider: ProviderName, verdict: Verdict, seconds: float) -> None:
        self.webhooks.labels(provider, verdict).inc()
        self.webhook_seconds.labels(provider).observe(seconds)

    def show(self, now: CurrentState) -> None:
        for stage in Stage:
            self.active.labels(stage).set(now.active.get(stage, 0))
        self.inbox.set(now.inbox)
        self.inbox_oldest.set(now.inbox_oldest_seconds)
        self.uncertain.set(now.uncertain)
        self.parked.set(now.parked)
        self.looked_at.set_to_current_time()

    def show_outgoing(self, now: OutgoingState) -> None:
        self.outgoing.set(now.waiting)
        self.outgoing_oldest.set(now.oldest_due_seconds)
        self.outgoing_endpoints.labels("failing").set(now.failing)
        self.outgoing_endpoints.labels("disabled").set(now.disabled)

    def show_audit(self, audit: Audit) -> None:
        for account in DRIFTING:
            self.drift.labels(account).set(sum(drift.account == account for drift in audit.drift))
        self.audited_at.set(audit.at.timestamp())


class MetricsMiddleware:
    """Counts and times every request by its route."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        arrived = time.perf_counter()

        async def send_observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._observe(scope, message["status"], time.perf_counter() - arrived)
            await send(message)

        await self._app(scope, receive, send_observed)

    def _observe(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("route")
        path = route.path if isinstance(route, APIRoute) else UNROUTED
        method = scope["method"] if scope["method"] in METHODS else UNROUTED
        self._metrics.requests.labels(method, path, status).inc()
        self._metrics.request_seconds.labels(method, path).observe(seconds)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Prometheus' text format."""
    found = request.app.state.metrics
    assert isinstance(found, Metrics)
    return Response(generate_latest(found.registry), media_type=CONTENT_TYPE_LATEST)


def refreshing_gauges(tasks: TaskSupervisor, metrics: Metrics, sessions: Sessions) -> AbstractAsyncContextManager[None]:
    """While the block runs, the gauges are brought up to date: a scrape never asks the database."""

    async def refresh() -> None:
        async with sessions() as session:
            metrics.show(await read_current_state(session))
            metrics.show_outgoing(await outgoing_state(session))
            metrics.unknown_billed.set(await unknown_requests(session))
            if audit := await latest_audit(session):
                metrics.show_audit(audit)

    return tasks.running("gauges", every(REFRESH_EVERY_SECONDS, refresh))

"""What Prometheus reads at `/metrics`: numbers by few, bounded labels. No id, no name of a user, no sum of money."""

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from functools import partial

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.admin.ledger import Audit, Books
from reelay.background import in_background
from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions
from reelay.db.statistics import CurrentState, read_current_state
from reelay.domain.generation import ProviderName, Stage

QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds."""
LOOK_EVERY_SECONDS = 15.0
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNROUTED = "(none)"
"""The route of what no route takes: a stranger's paths must not become labels."""

DRIFTING = ("available", "held", "held for living jobs")
"""The figures of `db.credits.Drift`."""

log = structlog.get_logger()
router = APIRouter(tags=["health"])


class Metrics:
    """Of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        quick = partial(Histogram, buckets=QUICK, registry=self.registry)
        self.requests = counter("reelay_http_requests", "Answered requests.", ("method", "route", "status"))
        self.request_seconds = quick(
            "reelay_http_request_seconds", "From a request to the first byte of its answer.", ("method", "route")
        )
        self.webhooks = counter(
            "reelay_webhooks", "Inbound webhooks by what was made of them.", ("provider", "verdict")
        )
        self.webhook_seconds = quick(
            "reelay_webhook_seconds", "From a webhook's arrival until its verdict.", ("provider",)
        )
        self.signal_seconds = quick(
            "reelay_signal_seconds", "Handing a report to its workflow, by what came of it.", ("result",)
        )
        self.active = gauge("reelay_generations_active", "Living generations.", ("stage",))
        self.inbox = gauge("reelay_inbox_waiting", "Webhooks that have still to reach their workflow.")
        self.inbox_oldest = gauge("reelay_inbox_oldest_seconds", "How long the oldest has waited.")
        self.uncertain = gauge("reelay_submissions_uncertain", "Submissions whose request is looked for.")
        self.parked = gauge("reelay_accounts_parked", "Accounts that take no submissions.")
        self.drift = gauge(
            "reelay_ledger_drift_accounts",
            "Accounts that entries and living jobs do not explain. Not there until it was looked at.",
            ("account",),
        )
        self.looked_at = gauge(
            "reelay_db_scrape_timestamp_seconds", "Unix time of the last look at what the gauges say."
        )

    def note_webhook(self, provider: ProviderName, verdict: str, seconds: float) -> None:
        self.webhooks.labels(provider, verdict).inc()
        self.webhook_seconds.labels(provider).observe(seconds)

    def show(self, now: CurrentState, audit: Audit) -> None:
        for stage in Stage:
            self.active.labels(stage).set(now.active.get(stage, 0))
        self.inbox.set(now.inbox)
        self.inbox_oldest.set(now.inbox_oldest_seconds)
        self.uncertain.set(now.uncertain)
        self.parked.set(now.parked)
        for account in DRIFTING:
            self.drift.labels(account).set(sum(drift.account == account for drift in audit.drift))
        self.looked_at.set_to_current_time()


class Measured:
    """Counts and times every request by its route."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        arrived = time.perf_counter()

        async def send_measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._note(scope, message["status"], time.perf_counter() - arrived)
            await send(message)

        await self._app(scope, receive, send_measured)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
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


def watching(metrics: Metrics, sessions: Sessions, books: Books) -> AbstractAsyncContextManager[None]:
    """While the block runs, the gauges are brought up to date: a scrape never asks the database."""
    return in_background(_keep_watching(metrics, sessions, books))


async def _keep_watching(metrics: Metrics, sessions: Sessions, books: Books) -> None:
    while True:
        try:
            audit = await books.audit()
            async with sessions() as session:
                metrics.show(await read_current_state(session), audit)
        except POSTGRES_UNAVAILABLE as error:
            log.warning("gauges_not_updated", error=str(error))
        await asyncio.sleep(LOOK_EVERY_SECONDS)

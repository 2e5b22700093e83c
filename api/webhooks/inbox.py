"""Verified reports on their way to their workflows: signalled at once, else stored until Temporal takes them."""

import time
from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

import structlog

from api.metrics import Metrics
from reelay.db.deliveries import put_into_inbox
from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions, within
from reelay.db.generations import find_anybodys_generation
from reelay.db.tables import GenerationJob, WebhookDelivery
from reelay.domain.generation import Report, Status
from reelay.domain.verdict import Verdict
from reelay.timeouts import Timeouts
from workflows.runs import GenerationRuns, NoRun, TemporalFailed

log = structlog.get_logger()


@dataclass(frozen=True)
class WebhookResult:
    """What we made of a delivery."""

    verdict: Verdict
    detail: str = ""
    job_id: UUID | None = None
    attempt: int | None = None
    request_id: str | None = None

    @property
    def status(self) -> HTTPStatus:
        return self.verdict.status


class Inbox:
    def __init__(self, runs: GenerationRuns, sessions: Sessions, metrics: Metrics, timeouts: Timeouts) -> None:
        self._runs = runs
        self._sessions = sessions
        self._metrics = metrics
        self._timeout = timeouts.webhook_statement

    async def deliver(self, generation_id: UUID, report: Report) -> WebhookResult:
        """Signal the workflow, soon or not at all: accepted, duplicate or unknown; else deferred, to be stored."""
        begun = time.perf_counter()
        verdict, detail = await self._signal(generation_id, report)
        self._metrics.signal_seconds.labels(verdict).observe(time.perf_counter() - begun)
        return WebhookResult(verdict, detail, generation_id, report.attempt, report.request_id)

    async def store(self, delivery: WebhookDelivery) -> bool:
        """Put a delivery into the inbox, durably. False when Postgres does not take it, either."""
        try:
            await within(self._timeout, self._insert(delivery))
        except POSTGRES_UNAVAILABLE as error:
            log.warning("webhook_lost", delivery_id=str(delivery.id), error=str(error))
            return False
        return True

    async def _signal(self, generation_id: UUID, report: Report) -> tuple[Verdict, str]:
        try:
            await self._runs.report(generation_id, report)
        except NoRun:
            return await self._without_a_run(generation_id)
        except TemporalFailed as error:
            return Verdict.DEFERRED, str(error)
        return Verdict.ACCEPTED, ""

    async def _without_a_run(self, generation_id: UUID) -> tuple[Verdict, str]:
        """The row tells a run that has ended from one that has yet to be started."""
        try:
            row = await within(self._timeout, self._find(generation_id))
        except POSTGRES_UNAVAILABLE as error:
            return Verdict.DEFERRED, f"There is no run, and the job cannot be read: {error}"
        if row is None:
            return Verdict.UNKNOWN, "No such job."
        if Status(row.status).is_final:
            return Verdict.DUPLICATE, "The job has ended."
        return Verdict.DEFERRED, "The job's workflow is not running yet."

    async def _find(self, generation_id: UUID) -> GenerationJob | None:
        async with self._sessions() as session:
            return await find_anybodys_generation(session, generation_id)

    async def _insert(self, delivery: WebhookDelivery) -> None:
        async with self._sessions.begin() as session:
            await put_into_inbox(session, delivery)

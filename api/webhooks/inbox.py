"""Verified reports on their way to their workflows: signalled at once, else kept until Temporal takes them."""

import asyncio
import time
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

import structlog
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from api.metrics import Metrics
from reelay.db.deliveries import put_into_inbox
from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions, within
from reelay.db.generations import find_generation
from reelay.db.tables import GenerationJob, WebhookDelivery
from reelay.domain.generation import Report, Status
from workflows.generation import GenerationWorkflow
from workflows.ids import workflow_id

# The SDK's own retries would block for 6-9 s while Temporal is down; providers wait 5-15 s.
SIGNAL_SECONDS = 1.0
# A webhook needs Postgres twice at most: with the signal's second, three are not used up.
POSTGRES_SECONDS = 0.8

log = structlog.get_logger()


class Handover(StrEnum):
    """What became of a report."""

    ACCEPTED = "accepted"
    """Its workflow has it."""
    DUPLICATE = "duplicate"
    """The job has ended."""
    UNKNOWN = "unknown"
    """There is no such job."""


class NotNow(Exception):
    """Temporal does not answer, or has no run yet of a job that has not ended. The message says which."""


class Inbox:
    def __init__(self, temporal: Client, sessions: Sessions, metrics: Metrics) -> None:
        self._temporal = temporal
        self._sessions = sessions
        self._metrics = metrics

    async def hand_over(self, generation_id: UUID, report: Report) -> Handover:
        """Signal the workflow, within a second or two. Raises: NotNow."""
        begun, result = time.perf_counter(), "not now"
        try:
            handover = await self._signal(generation_id, report)
            result = handover.value
        finally:
            self._metrics.signal_seconds.labels(result).observe(time.perf_counter() - begun)
        return handover

    async def _signal(self, generation_id: UUID, report: Report) -> Handover:
        handle = self._temporal.get_workflow_handle(workflow_id(generation_id))
        try:
            async with asyncio.timeout(SIGNAL_SECONDS):
                await handle.signal(GenerationWorkflow.report, report, rpc_timeout=timedelta(seconds=SIGNAL_SECONDS))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return await self._without_a_run(generation_id)
            raise NotNow(f"Temporal did not take it: {error}") from error
        except (TimeoutError, RuntimeError) as error:  # a lazy client that cannot connect raises RuntimeError
            raise NotNow(f"Temporal did not answer: {error}") from error
        return Handover.ACCEPTED

    async def keep(self, delivery: WebhookDelivery) -> bool:
        """Put a delivery into the inbox, durably. False when Postgres does not take it, either."""
        try:
            await within(POSTGRES_SECONDS, self._insert(delivery))
        except POSTGRES_UNAVAILABLE as error:
            log.warning("webhook_lost", delivery_id=str(delivery.id), error=str(error))
            return False
        return True

    async def _without_a_run(self, generation_id: UUID) -> Handover:
        """The row tells a run that has ended from one that has yet to be started."""
        try:
            row = await within(POSTGRES_SECONDS, self._find(generation_id))
        except POSTGRES_UNAVAILABLE as error:
            raise NotNow(f"There is no run, and the job cannot be read: {error}") from error
        if row is None:
            return Handover.UNKNOWN
        if Status(row.status).is_final:
            return Handover.DUPLICATE
        raise NotNow("The job's workflow is not running yet.")

    async def _find(self, generation_id: UUID) -> GenerationJob | None:
        async with self._sessions() as session:
            return await find_generation(session, generation_id)

    async def _insert(self, delivery: WebhookDelivery) -> None:
        async with self._sessions.begin() as session:
            await put_into_inbox(session, delivery)

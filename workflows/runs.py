"""The runs of workflows, from outside: the one module that touches their handles.

Exception
├── NoRun                      there is no run of the generation, or it is closed
├── BillNotReconciled          a worker could not read the provider's bill
└── TemporalFailed
    ├── TemporalUnavailable    Temporal did not answer, or not in time, or has too much to do
    └── TemporalRefused        Temporal answered with an error: a missing right, an argument that it does not take; or
                               with what no key of ours decrypts
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from async_lru import alru_cache
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowHistoryEventFilterType
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.errors import failure_of
from reelay.db.generations import generation_of
from reelay.db.tables import GenerationJob
from reelay.domain.bill import BillReconciled, BillToRead
from reelay.domain.endpoint import EndpointAnswer
from reelay.domain.failure import Failure, FailureCode
from reelay.domain.generation import Generation, GenerationStatus, Report
from reelay.domain.housekeeping import Pruned
from reelay.domain.pipeline import Decision, Pipeline, PipelineStatus
from reelay.domain.reconciliation import Run, RunState
from reelay.payload_keys import UnreadablePayload
from reelay.timeouts import TIMEOUTS, Timeouts
from workflows.bill import BillReconciliationWorkflow
from workflows.endpoints import EndpointWorkflow
from workflows.generation import GenerationWorkflow
from workflows.housekeeping import HousekeepingWorkflow
from workflows.ids import (
    bill_reconciliation_id,
    endpoint_workflow_id,
    housekeeping_id,
    pipeline_workflow_id,
    workflow_id,
)
from workflows.pipeline import PipelineWorkflow
from workflows.search_attributes import pipeline_search_attributes, search_attributes

CLOSED = {
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED: RunState.COMPLETED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED: RunState.FAILED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED: RunState.CANCELED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED: RunState.TERMINATED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT: RunState.TIMED_OUT,
}
OUTAGES = (
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,  # what the SDK itself says when `rpc_timeout` is over
    RPCStatusCode.RESOURCE_EXHAUSTED,
)
# The server itself calls a workflow task failed from its third attempt on, and then refuses queries.
FAILING_FROM_ATTEMPT = 3
# Temporal waits ever longer between them: about half an hour in all, time enough to go back to the version before.
BROKEN_FROM_ATTEMPT = 10
# Who ended a run that was terminated: Temporal's server gives itself this name, and we give this reason.
TEMPORAL_ITSELF = "history-service"
GIVEN_UP = "Given up: its code fails again and again"

# A query is a billed action, and queries of one run wait for each other: readers share one answer for this long.
STATUS_FRESH_SECONDS = 1.0
STATUSES_KEPT = 10_000

log = structlog.get_logger()

Handle = WorkflowHandle[GenerationWorkflow, list[str]]


class NoRun(Exception):
    """There is no run of the generation, or it is closed."""


class BillNotReconciled(Exception):
    """A worker could not read the provider's bill. The message is for the operator."""


class TemporalFailed(Exception):
    """What was asked of Temporal has not happened."""


class TemporalUnavailable(TemporalFailed):
    """Temporal did not answer, or not in time, or has too much to do: worth another try later."""


class TemporalRefused(TemporalFailed):
    """Temporal answered with an error that does not pass by itself."""


class GenerationRuns:
    def __init__(
        self,
        client: Client,
        task_queue: str,
        origin: str | None,
        timeouts: Timeouts = TIMEOUTS,
        *,
        with_search_attributes: bool = True,
    ) -> None:
        """`origin`: of our page, for the links that engineers follow from a run.

        `with_search_attributes`: the namespace knows them.
        """
        self._client = client
        self._task_queue = task_queue
        self._origin = origin
        self._timeouts = timeouts
        self._with_search_attributes = with_search_attributes
        self.status = alru_cache(maxsize=STATUSES_KEPT, ttl=STATUS_FRESH_SECONDS)(self._status)
        """What the run says of itself, about a second old at most; None when it cannot answer: no worker, no Temporal,
        no run."""

    async def start(self, job: GenerationJob) -> None:
        """The first run. Safe to repeat: one that has ended is not started again. Raises: TemporalFailed."""
        async with _answered_within(self._timeouts.command):
            await self._start(job, reuse=WorkflowIDReusePolicy.REJECT_DUPLICATE)

    async def resume(self, job: GenerationJob, *, poll_first: bool) -> None:
        """Another run after one that is over or lost; `poll_first`: it asks the provider before it waits.

        Raises: RPCError.
        """
        # The attempt's row, not the id, keeps a second POST away.
        await self._start(job, reuse=WorkflowIDReusePolicy.ALLOW_DUPLICATE, poll_first=poll_first)

    async def fetch_endpoint(self, endpoint_id: str) -> EndpointAnswer:
        """What a worker finds of an endpoint at its provider. Raises: TemporalFailed, also when no worker answers."""
        seconds = self._timeouts.endpoint
        async with _answered_within(seconds):
            try:
                return await self._client.execute_workflow(
                    EndpointWorkflow.run,
                    endpoint_id,
                    id=endpoint_workflow_id(self._task_queue, endpoint_id),
                    task_queue=self._task_queue,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    # Nobody waits for it any longer.
                    execution_timeout=timedelta(seconds=seconds),
                    static_summary=f"What fal publishes of {endpoint_id}",
                )
            except WorkflowFailureError as failure:
                raise TemporalUnavailable(f"no worker has described {endpoint_id}: {failure.cause}") from failure

    async def report(self, generation_id: UUID, report: Report) -> None:
        """Signal what a provider reported. Raises: NoRun, TemporalFailed."""
        seconds = self._timeouts.signal
        async with _answered_within(seconds):
            handle = self._handle(generation_id)
            await handle.signal(GenerationWorkflow.report, report, rpc_timeout=timedelta(seconds=seconds))

    async def poll(self, generation_id: UUID) -> None:
        """Ask the provider now. Raises: NoRun, TemporalFailed."""
        async with _answered_within(self._timeouts.command):
            await self._handle(generation_id).signal(GenerationWorkflow.poll)

    async def call_turn(self, generation_id: UUID) -> bool:
        """Tell the run that it has a slot. False when that could not be told."""
        try:
            async with _answered_within(self._timeouts.command):
                await self._handle(generation_id).signal(GenerationWorkflow.call_turn)
        except (NoRun, TemporalFailed):
            return False
        return True

    async def cancel(self, generation_id: UUID) -> None:
        """Raises: NoRun, TemporalFailed."""
        async with _answered_within(self._timeouts.command):
            await self._handle(generation_id).cancel()

    async def stop(self, generation_id: UUID) -> None:
        """Cancel the run. Nothing where there is none, or Temporal does not answer."""
        with suppress(NoRun, TemporalFailed):
            await self.cancel(generation_id)

    async def describe(self, generation_id: UUID) -> Run:
        """The newest run, by id: the visibility store may lag behind. Raises: RPCError."""
        # The service's own call: the client's does not know the status of a paused run.
        request = DescribeWorkflowExecutionRequest(
            namespace=self._client.namespace, execution=WorkflowExecution(workflow_id=workflow_id(generation_id))
        )
        try:
            described = await self._client.workflow_service.describe_workflow_execution(request, retry=True)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return Run(state=RunState.UNKNOWN)
            raise
        return await self._run(generation_id, described)

    async def give_up(self, generation_id: UUID) -> None:
        """Terminate a run whose code cannot go on. Raises: NoRun, TemporalFailed."""
        async with _answered_within(self._timeouts.command):
            await self._handle(generation_id).terminate(reason=GIVEN_UP)

    async def _status(self, generation_id: UUID) -> GenerationStatus | None:
        try:
            async with _answered_within(self._timeouts.query):
                handle, limit = self._handle(generation_id), timedelta(seconds=self._timeouts.query)
                return await handle.query(GenerationWorkflow.current_status, rpc_timeout=limit)
        except TemporalRefused as error:
            log.warning("status_query_failed", job_id=str(generation_id), error=str(error))
            return None
        except (NoRun, TemporalUnavailable):
            return None

    async def _start(self, job: GenerationJob, *, reuse: WorkflowIDReusePolicy, poll_first: bool = False) -> None:
        generation = generation_of(job)
        try:
            await self._client.start_workflow(
                GenerationWorkflow.run,
                generation,
                id=workflow_id(generation.id),
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=reuse,
                start_signal="poll" if poll_first else None,
                search_attributes=search_attributes(generation) if self._with_search_attributes else None,
                static_summary=f"{generation.model}: {prompt_excerpt(job.input_params)}"[:200],
                static_details=run_details(generation, self._origin) if self._origin else None,
            )
        except WorkflowAlreadyStartedError:
            return  # it has run to its end already

    async def _run(self, generation_id: UUID, described: DescribeWorkflowExecutionResponse) -> Run:
        state, reason = CLOSED.get(described.workflow_execution_info.status, RunState.OPEN), ""
        if state is RunState.TERMINATED:
            state, reason = await self._termination(generation_id)
        return Run(
            state=state,
            failing=described.pending_workflow_task.attempt >= FAILING_FROM_ATTEMPT,
            broken=described.pending_workflow_task.attempt >= BROKEN_FROM_ATTEMPT,
            end_reason=reason,
            failure=await self._failure(generation_id) if state is RunState.FAILED else None,
        )

    async def _termination(self, generation_id: UUID) -> tuple[RunState, str]:
        """By whom it was terminated, and why."""
        last = WorkflowHistoryEventFilterType.CLOSE_EVENT
        async for event in self._handle(generation_id).fetch_history_events(event_filter_type=last):
            ended = event.workflow_execution_terminated_event_attributes
            if ended.identity == TEMPORAL_ITSELF or ended.reason == GIVEN_UP:
                return RunState.STOPPED, ended.reason
        return RunState.TERMINATED, ""

    async def _failure(self, generation_id: UUID) -> Failure | None:
        try:
            await self._handle(generation_id).result()
        except WorkflowFailureError as error:
            return failure_of(error.cause, otherwise=FailureCode.UNKNOWN_OUTCOME)
        return None

    def _handle(self, generation_id: UUID) -> Handle:
        return self._client.get_workflow_handle_for(GenerationWorkflow.run, workflow_id(generation_id))


class PipelineRuns:
    def __init__(
        self,
        client: Client,
        task_queue: str,
        origin: str | None,
        timeouts: Timeouts = TIMEOUTS,
        *,
        with_search_attributes: bool = True,
    ) -> None:
        """As `GenerationRuns`."""
        self._client = client
        self._task_queue = task_queue
        self._origin = origin
        self._timeouts = timeouts
        self._with_search_attributes = with_search_attributes

    async def start(self, pipeline: Pipeline, name: str) -> None:
        """Unless there is a run. One that follows another goes on from where the rows say. Raises: TemporalFailed."""
        async with _answered_within(self._timeouts.command):
            run_id = await self._start(pipeline, name, WorkflowIDConflictPolicy.USE_EXISTING)
            if run_id == pipeline.ended_by:  # all that it has still to hear is that it has
                await self._start(pipeline, name, WorkflowIDConflictPolicy.TERMINATE_EXISTING)

    async def decide(self, pipeline_id: UUID, decision: Decision) -> None:
        """Raises: NoRun, TemporalFailed."""
        async with _answered_within(self._timeouts.command):
            await self._handle(pipeline_id).signal(PipelineWorkflow.decide, decision)

    async def cancel(self, pipeline_id: UUID) -> None:
        """Raises: NoRun, TemporalFailed."""
        async with _answered_within(self._timeouts.command):
            await self._handle(pipeline_id).cancel()

    async def _start(self, pipeline: Pipeline, name: str, conflict: WorkflowIDConflictPolicy) -> str | None:
        """The id of the run that there is then."""
        handle = await self._client.start_workflow(
            PipelineWorkflow.run,
            replace(pipeline, with_search_attributes=self._with_search_attributes),
            id=pipeline_workflow_id(pipeline.id),
            task_queue=self._task_queue,
            id_conflict_policy=conflict,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            search_attributes=pipeline_search_attributes(pipeline) if self._with_search_attributes else None,
            static_summary=f"{name or 'Pipeline'}: {', '.join(step.id for step in pipeline.steps)}"[:200],
            static_details=pipeline_details(pipeline, self._origin) if self._origin else None,
        )
        return handle.result_run_id

    def _handle(self, pipeline_id: UUID) -> WorkflowHandle[PipelineWorkflow, PipelineStatus]:
        return self._client.get_workflow_handle_for(PipelineWorkflow.run, pipeline_workflow_id(pipeline_id))


async def prune_now(client: Client, task_queue: str) -> Pruned:
    """A pass of the housekeeping, beside the schedule's own; whoever asks meanwhile gets the same.

    Raises: RPCError, WorkflowFailureError.
    """
    return await client.execute_workflow(
        HousekeepingWorkflow.run,
        id=f"{housekeeping_id(task_queue)}-now",
        task_queue=task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )


async def reconcile_bill_now(client: Client, task_queue: str, days: int | None) -> BillReconciled:
    """A pass over the provider's bill, beside the schedule's own; whoever asks meanwhile gets the same.

    Raises: RPCError, BillNotReconciled.
    """
    try:
        return await client.execute_workflow(
            BillReconciliationWorkflow.run,
            BillToRead(days=days),
            id=f"{bill_reconciliation_id(task_queue)}-now",
            task_queue=task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            execution_timeout=timedelta(hours=3),
        )
    except WorkflowFailureError as failure:
        cause = failure.cause.__cause__ or failure.cause
        raise BillNotReconciled(cause.message if isinstance(cause, FailureError) else str(cause)) from failure


async def bill_reconciled_within(seconds: float, client: Client, task_queue: str, days: int | None) -> None:
    """The same, if it is over soon; it goes on all the same. Raises: TemporalFailed, BillNotReconciled."""
    async with _answered_within(seconds):
        await reconcile_bill_now(client, task_queue, days)


@asynccontextmanager
async def _answered_within(seconds: float) -> AsyncIterator[None]:
    """Raises: NoRun, TemporalFailed."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NoRun("The workflow is not running.") from error
        failure = TemporalUnavailable if error.status in OUTAGES else TemporalRefused
        raise failure(f"{error.status.name}: {error}") from error
    except UnreadablePayload as error:
        raise TemporalRefused(str(error)) from error
    except (TimeoutError, RuntimeError) as error:  # a lazy client that cannot connect raises RuntimeError
        raise TemporalUnavailable(f"Temporal did not answer: {error}") from error


def run_details(generation: Generation, origin: str) -> str:
    """Links for the Temporal UI: the job as its user sees it, and its webhooks as operators do."""
    return (
        f"[its page]({origin}/#/jobs/{generation.id}) (for its user)\n\n"
        f"[its webhooks]({origin}/admin#/deliveries?jobId={generation.id}) (for operators)"
    )


def pipeline_details(pipeline: Pipeline, origin: str) -> str:
    """The same of a pipeline."""
    return f"[its page]({origin}/#/pipelines/{pipeline.id}) (for its user)"


def prompt_excerpt(inputs: Mapping[str, Any]) -> str:
    """The first eight words of the prompt or text, for the Temporal UI."""
    return " ".join(str(inputs.get("prompt") or inputs.get("text") or "").split()[:8])

"""The runs of generations, as the reconciliation sees and repairs them."""

from uuid import UUID

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from activities.errors import failure_of
from reelay.db.generations import generation_of
from reelay.db.tables import GenerationJob
from reelay.domain.failure import Failure, FailureCode
from reelay.domain.reconciliation import Run, RunState
from workflows.generation import GenerationWorkflow
from workflows.ids import workflow_id
from workflows.starting import prompt_excerpt, start_generation

CLOSED = {
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED: RunState.COMPLETED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED: RunState.FAILED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED: RunState.CANCELED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED: RunState.TERMINATED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT: RunState.TIMED_OUT,
}
# The server itself calls a workflow task failed from its third try on, and then refuses queries.
FAILING_FROM_ATTEMPT = 3


class GenerationRuns:
    def __init__(self, client: Client, task_queue: str, origin: str | None) -> None:
        """`origin`: of our page, for the links that engineers follow from a run."""
        self._client = client
        self._task_queue = task_queue
        self._origin = origin

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

    async def start(self, job: GenerationJob) -> None:
        await start_generation(
            self._client,
            generation_of(job),
            task_queue=self._task_queue,
            summary=prompt_excerpt(job.input_params),
            origin=self._origin,
        )

    async def resume(self, job: GenerationJob, *, poll_first: bool) -> None:
        await start_generation(
            self._client,
            generation_of(job),
            task_queue=self._task_queue,
            summary=prompt_excerpt(job.input_params),
            origin=self._origin,
            # The attempt's row, not the id, keeps a second POST away.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            poll_first=poll_first,
        )

    async def _run(self, generation_id: UUID, described: DescribeWorkflowExecutionResponse) -> Run:
        state = CLOSED.get(described.workflow_execution_info.status, RunState.OPEN)
        return Run(
            state=state,
            failing=described.pending_workflow_task.attempt >= FAILING_FROM_ATTEMPT,
            failure=await self._failure(generation_id) if state is RunState.FAILED else None,
        )

    async def _failure(self, generation_id: UUID) -> Failure | None:
        handle = self._client.get_workflow_handle_for(GenerationWorkflow.run, workflow_id(generation_id))
        try:
            await handle.result()
        except WorkflowFailureError as error:
            return failure_of(error.cause, otherwise=FailureCode.UNKNOWN_OUTCOME)
        return None

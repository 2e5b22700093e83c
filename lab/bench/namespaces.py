"""A namespace of its own per contender, so that none finds the others' runs in its way."""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from lab.devstack.processes import Answers


async def register_namespace(temporal: Client) -> None:
    retention = Duration(seconds=int(timedelta(days=1).total_seconds()))
    await temporal.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=temporal.namespace, workflow_execution_retention_period=retention)
    )


def polls(temporal: Client, task_queue: str) -> Answers:
    """Whether a worker listens on the queue."""
    request = DescribeTaskQueueRequest(
        namespace=temporal.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )

    async def answers(pid: int, /) -> bool:
        try:
            described = await temporal.workflow_service.describe_task_queue(request)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # the server has not noticed the new namespace yet
                raise
            return False
        return bool(described.pollers)

    return answers

"""Workflow ids, both directions."""

from uuid import UUID

PREFIX = "generation-"


def workflow_id(generation_id: UUID) -> str:
    return f"{PREFIX}{generation_id}"


def generation_id(workflow_id: str) -> UUID:
    """Raises: ValueError for the id of something else."""
    return UUID(workflow_id.removeprefix(PREFIX))


def pipeline_workflow_id(pipeline_id: UUID) -> str:
    return f"pipeline-{pipeline_id}"


def endpoint_workflow_id(task_queue: str, endpoint_id: str) -> str:
    """Who asks for the same endpoint meanwhile waits for the same run."""
    return f"endpoint-{task_queue}-{endpoint_id}"


def outgoing_id(target_id: UUID) -> str:
    """Of the activity that sends to that receiver: while it runs, there is no other of its id."""
    return f"outgoing-{target_id}"


def reconciliation_id(task_queue: str) -> str:
    """Of the schedule, and the beginning of its runs' ids. Two deployments in one namespace each have their own."""
    return f"reconciliation-{task_queue}"


def housekeeping_id(task_queue: str) -> str:
    """The same of the housekeeping."""
    return f"housekeeping-{task_queue}"


def bill_reconciliation_id(task_queue: str) -> str:
    """The same of the comparison with the provider's bill."""
    return f"bill-reconciliation-{task_queue}"

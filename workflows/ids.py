"""Workflow ids, both directions."""

from uuid import UUID

PREFIX = "generation-"


def workflow_id(generation_id: UUID) -> str:
    return f"{PREFIX}{generation_id}"


def generation_id(workflow_id: str) -> UUID:
    """Raises: ValueError for the id of something else."""
    return UUID(workflow_id.removeprefix(PREFIX))

"""Deleting what is due, as an operator begins it from the command line."""

from typing import Any

from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError

from reelay.cli.checks import context_of
from reelay.cli.data_dir import DataDir
from reelay.cli.errors import StackError
from workflows.client import connect
from workflows.runs import prune_now


async def prune(data_dir: DataDir) -> dict[str, Any]:
    """What a pass that a worker made now has deleted. Raises: StackError."""
    context = context_of(data_dir)
    try:
        client = await connect(context.settings.encryption_keys, address=context.temporal_address)
        return vars(await prune_now(client, context.settings.task_queue))
    except (RPCError, RuntimeError) as error:
        raise StackError(f"Temporal does not answer: {error}") from error
    except WorkflowFailureError as error:
        raise StackError(f"the pass failed: {error.cause}") from error

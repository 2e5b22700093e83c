"""Deleting what is due, as an operator begins it from the command line."""

from typing import Any

from pydantic import ValidationError
from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError

from reelay.cli.checks import context_of
from reelay.cli.data_dir import DataDir
from reelay.cli.errors import NotRunning, StackError
from reelay.settings import complaints
from reelay.temporal_config import UnusableConnection
from workflows.client import NotConnected, connect
from workflows.runs import prune_now


async def prune(data_dir: DataDir) -> dict[str, Any]:
    """What a pass that a worker made now has deleted. Raises: StackError."""
    try:
        context = context_of(data_dir)
        client = await connect(context.settings.encryption_keys, address=context.temporal_address)
        return vars(await prune_now(client, context.settings.task_queue))
    except ValidationError as error:
        raise StackError("\n  ".join(["invalid configuration:", *complaints(error)])) from error
    except UnusableConnection as error:
        raise StackError(f"invalid configuration: {error}") from error
    except NotConnected as error:
        raise NotRunning(str(error)) from error
    except RPCError as error:
        raise StackError(f"Temporal does not answer: {error}") from error
    except WorkflowFailureError as error:
        raise StackError(f"the pass failed: {error.cause}") from error

"""What a schedule does anyway, as an operator begins it from the command line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic import ValidationError
from temporalio.client import Client, WorkflowFailureError
from temporalio.service import RPCError

from api.admin.bill import last_days, view_bill
from reelay.cli.access import find_database
from reelay.cli.api_client import open_admin_api
from reelay.cli.by_database import document
from reelay.cli.checks import context_of
from reelay.cli.data_dir import DataDir
from reelay.cli.environment import user_environment
from reelay.cli.errors import NotRunning, StackError
from reelay.cli.service import PATIENCE_SECONDS
from reelay.settings import complaints
from reelay.temporal_config import UnusableConnection
from workflows.client import NotConnected, connect
from workflows.runs import BillNotReconciled, prune_now, reconcile_bill_now


async def prune(data_dir: DataDir) -> dict[str, Any]:
    """What a pass that a worker made now has deleted. Raises: StackError."""
    async with at_temporal(data_dir) as (client, task_queue):
        return vars(await prune_now(client, task_queue))


async def reconcile_bill(data_dir: DataDir, days: int | None) -> dict[str, Any]:
    """The bill, once a worker has read it. Raises: StackError, ReelayError."""
    if key := user_environment().get("REELAY_ADMIN_KEY"):
        async with open_admin_api(data_dir, key, patience=PATIENCE_SECONDS) as reelay:
            answer: dict[str, Any] = await reelay.post("/api/admin/bill/reconcile", {"days": days})
            return answer
    database = find_database(data_dir)
    async with at_temporal(data_dir) as (client, task_queue):
        await reconcile_bill_now(client, task_queue, days)
    async with database.transaction() as session:
        return document(await view_bill(session, last_days(days)))


@asynccontextmanager
async def at_temporal(data_dir: DataDir) -> AsyncIterator[tuple[Client, str]]:
    """Temporal's client, and the name of the task queue. Raises: StackError."""
    try:
        context = context_of(data_dir)
        client = await connect(context.settings.encryption_keys, address=context.temporal_address)
        yield client, context.settings.task_queue
    except ValidationError as error:
        raise StackError("\n  ".join(["invalid configuration:", *complaints(error)])) from error
    except UnusableConnection as error:
        raise StackError(f"invalid configuration: {error}") from error
    except NotConnected as error:
        raise NotRunning(str(error)) from error
    except RPCError as error:
        raise StackError(f"Temporal does not answer: {error}") from error
    except BillNotReconciled as error:
        raise StackError(f"the bill was not read: {error}") from error
    except WorkflowFailureError as error:
        raise StackError(f"the pass failed: {error.cause}") from error

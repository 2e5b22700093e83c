"""Who sees to it that outgoing webhooks are sent: docs/decisions/027-outgoing-webhooks.md."""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from uuid import UUID

from temporalio.client import Client
from temporalio.common import ActivityIDConflictPolicy, ActivityIDReusePolicy

from activities.outgoing import OutgoingActivities
from reelay.background import Succeeded, TaskSupervisor
from reelay.db.engine import Sessions
from reelay.db.outgoing import claim_targets
from workflows.activity_options import FAST_RETRY
from workflows.ids import outgoing_id

CLAIM_EVERY_SECONDS = 1.0
CLAIMED_AT_ONCE = 1000


def waking_receivers(
    tasks: TaskSupervisor, client: Client, sessions: Sessions, task_queue: str
) -> AbstractAsyncContextManager[None]:
    """While the block runs, each receiver that something is due for has an activity that sends it."""
    return tasks.running("outgoing_webhooks", partial(_wake, client, sessions, task_queue))


async def _wake(client: Client, sessions: Sessions, task_queue: str, succeeded: Succeeded) -> None:
    while True:
        async with sessions.begin() as session:
            targets = await claim_targets(session, at_most=CLAIMED_AT_ONCE)
        # Whoever dies here has claimed them for a minute.
        await asyncio.gather(*(start_delivery(client, task_queue, target) for target in targets))
        succeeded()
        await asyncio.sleep(CLAIM_EVERY_SECONDS)


async def start_delivery(client: Client, task_queue: str, target_id: UUID) -> None:
    """Unless one is under way already: what is sent to one receiver is sent one after the other."""
    await client.start_activity_method(
        OutgoingActivities.deliver_webhooks,
        target_id,
        id=outgoing_id(target_id),
        task_queue=task_queue,
        start_to_close_timeout=timedelta(hours=1),
        heartbeat_timeout=timedelta(seconds=15),
        schedule_to_close_timeout=timedelta(hours=2),
        retry_policy=FAST_RETRY,
        id_conflict_policy=ActivityIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=ActivityIDReusePolicy.ALLOW_DUPLICATE,
        summary="What is due to one receiver of webhooks",
    )

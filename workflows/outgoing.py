"""Who sees to it that outgoing webhooks are sent: docs/decisions/027-outgoing-webhooks.md."""

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from functools import partial
from uuid import UUID

from temporalio.client import ActivityFailureError, Client
from temporalio.common import ActivityIDConflictPolicy, ActivityIDReusePolicy
from temporalio.exceptions import ActivityAlreadyStartedError

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
    async with asyncio.TaskGroup() as waiting:
        wakes = Wakes(client, task_queue, waiting)
        while True:
            async with sessions.begin() as session:
                targets = await claim_targets(session, at_most=CLAIMED_AT_ONCE)
            # Whoever dies here has claimed them for `LEASE`.
            await asyncio.gather(*map(wakes.wake, targets))
            succeeded()
            await asyncio.sleep(CLAIM_EVERY_SECONDS)


class Wakes:
    """Starts deliveries: to one receiver, one after the other."""

    def __init__(self, client: Client, task_queue: str, waiting: asyncio.TaskGroup) -> None:
        self._client = client
        self._task_queue = task_queue
        self._waiting = waiting
        self._followed: set[UUID] = set()

    async def wake(self, target_id: UUID) -> None:
        """One that is under way may have looked for the last time before this: then another follows it."""
        if target_id not in self._followed and not await self._start(target_id):
            self._followed.add(target_id)
            self._waiting.create_task(self._follow(target_id))

    async def _follow(self, target_id: UUID) -> None:
        try:
            with suppress(ActivityFailureError):
                await self._client.get_activity_handle(outgoing_id(target_id)).result()
        finally:
            self._followed.discard(target_id)
        await self._start(target_id)

    async def _start(self, target_id: UUID) -> bool:
        """False: one is under way."""
        try:
            await self._client.start_activity_method(
                OutgoingActivities.deliver_webhooks,
                target_id,
                id=outgoing_id(target_id),
                task_queue=self._task_queue,
                start_to_close_timeout=timedelta(hours=1),
                heartbeat_timeout=timedelta(seconds=15),
                schedule_to_close_timeout=timedelta(hours=2),
                retry_policy=FAST_RETRY,
                id_conflict_policy=ActivityIDConflictPolicy.FAIL,
                id_reuse_policy=ActivityIDReusePolicy.ALLOW_DUPLICATE,
                summary="What is due to one receiver of webhooks",
            )
        except ActivityAlreadyStartedError:
            return False
        return True

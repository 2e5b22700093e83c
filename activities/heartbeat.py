"""Heartbeats for long activities: by them a dead worker is noticed, and a cancellation arrives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from temporalio import activity
from temporalio.client import AsyncActivityCancelledError


class Heartbeat:
    """The next attempt finds the details of the last beat: those that are to outlive this one have to be given."""

    def __init__(self, details: tuple[object, ...]) -> None:
        self._details = details

    def beat(self) -> None:
        activity.heartbeat(*self._details)

    def change(self, *details: object) -> None:
        self._details = details
        self.beat()

    async def store(self, *details: object) -> None:
        """Change them, and return once Temporal has them: they outlive this process from now on."""
        self.change(*details)  # no older beat that the SDK still holds back comes after this one
        handle = activity.client().get_async_activity_handle(task_token=activity.info().task_token)
        with suppress(AsyncActivityCancelledError):  # stored all the same; the beat brings the cancellation
            await handle.heartbeat(*details)


@asynccontextmanager
async def heartbeating(*details: object, every: timedelta) -> AsyncIterator[Heartbeat]:
    """Beat while the block runs. The first beat comes after one interval, so that a quick activity sends none."""
    heartbeat = Heartbeat(details)
    beats = asyncio.create_task(_beat(heartbeat, every))
    try:
        yield heartbeat
    finally:
        beats.cancel()


async def _beat(heartbeat: Heartbeat, every: timedelta) -> None:
    while True:
        await asyncio.sleep(every.total_seconds())
        heartbeat.beat()

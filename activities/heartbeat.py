"""Heartbeats for steps that may take long: they notice a dead worker, and bring a cancellation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio import activity


@asynccontextmanager
async def heartbeating(*, every: timedelta) -> AsyncIterator[None]:
    """Beat while the block runs. The first beat comes after one interval, so that a quick step sends none."""
    beats = asyncio.create_task(_beat(every))
    try:
        yield
    finally:
        beats.cancel()


async def _beat(every: timedelta) -> None:
    while True:
        await asyncio.sleep(every.total_seconds())
        activity.heartbeat()

"""Heartbeats for long activities: by them a dead worker is noticed, and a cancellation arrives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio import activity


@asynccontextmanager
async def heartbeating(*details: object, every: timedelta) -> AsyncIterator[None]:
    """Beat while the block runs. The first beat comes after one interval, so that a quick activity sends none.

    The next attempt finds the details of the last beat: those that are to outlive this one have to be given.
    """
    beats = asyncio.create_task(_beat(details, every))
    try:
        yield
    finally:
        beats.cancel()


async def _beat(details: tuple[object, ...], every: timedelta) -> None:
    while True:
        await asyncio.sleep(every.total_seconds())
        activity.heartbeat(*details)

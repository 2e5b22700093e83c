"""Heartbeats for steps that may take long: they notice a dead worker, and bring a cancellation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio import activity


@asynccontextmanager
async def heartbeating(*details: object, every: timedelta) -> AsyncIterator[None]:
    """Beat while the block runs. The first beat comes after one interval, so that a quick step sends none.

    The next try of the step finds the details of the last beat: those that are to outlive this one have to be given.
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

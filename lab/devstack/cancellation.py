"""Running a task until it is done or something else ends first."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def run_until(end: Coroutine[Any, Any, T], work: Coroutine[Any, Any, None]) -> T | None:
    """Do the work. When `end` returns first, cancel the work and return its result."""
    ending, working = asyncio.create_task(end), asyncio.create_task(work)
    try:
        await asyncio.wait({ending, working}, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            return ending.result()
        working.result()
        return None
    finally:
        for task in (ending, working):
            task.cancel()
        await asyncio.gather(ending, working, return_exceptions=True)

"""Doing something for only as long as it makes sense."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

End = TypeVar("End")


async def unless(end: Coroutine[Any, Any, End], work: Coroutine[Any, Any, None]) -> End | None:
    """Do the work. When the end comes first, give the work up and return the end."""
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

"""pytest-asyncio begins and ends a fixture in two tasks; a scope of anyio is left by the task that entered it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager


@asynccontextmanager
async def in_one_task(manager: AbstractAsyncContextManager[object]) -> AsyncIterator[None]:
    """Enter and leave it in a task of its own."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with manager:
            entered.set()
            await leave.wait()

    holding, entering = asyncio.create_task(hold()), asyncio.create_task(entered.wait())
    await asyncio.wait({holding, entering}, return_when=asyncio.FIRST_COMPLETED)
    entering.cancel()
    try:
        if entered.is_set():
            yield
    finally:
        leave.set()
        await holding

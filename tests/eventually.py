"""Waiting for what another task, process or server does."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 90.0
"""Seconds, for a machine that is busy with other work. It says nothing of the product: a test that passes has waited
for as long as the event took."""


async def eventually(probe: Callable[[], Awaitable[T]], *, every: float = 0.05) -> T:
    """The probe's first true answer. A false one or an AssertionError means "not yet"; a failure shows the last.

    It is asked ever more rarely, up to five times the pause at first: what takes long is seen soon enough.
    """
    deadline, pause = time.monotonic() + PATIENCE, every
    while True:
        try:
            if answer := await probe():
                return answer
            failure = AssertionError(f"after {PATIENCE:g} s still {answer!r}")
        except AssertionError as error:
            failure = error
        if time.monotonic() > deadline:
            raise failure
        await asyncio.sleep(pause)
        pause = min(1.2 * pause, 5 * every)

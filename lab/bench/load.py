"""Callers, each with one generation under way."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

PATIENCE_SECONDS = 120
"""No single generation may take longer."""

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, kw_only=True)
class Driven(Generic[Outcome]):
    seconds: float
    """From the first creation to the last end."""
    outcomes: tuple[Outcome, ...]


async def drive(generate: Callable[[], Awaitable[Outcome]], *, count: int, concurrency: int) -> Driven[Outcome]:
    """A closed loop: each of `concurrency` callers begins its next generation when its last has ended.

    Raises: ExceptionGroup of what kept generations from completing, TimeoutError among it.
    """
    left = iter(range(count))
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        callers = [group.create_task(_call(generate, left)) for _ in range(concurrency)]
    seconds = time.perf_counter() - begun
    return Driven(seconds=seconds, outcomes=tuple(outcome for caller in callers for outcome in caller.result()))


async def _call(generate: Callable[[], Awaitable[Outcome]], left: Iterator[int]) -> list[Outcome]:
    """Generations one after the other, for as long as the callers together have any left."""
    outcomes = []
    for _ in left:
        async with asyncio.timeout(PATIENCE_SECONDS):
            outcomes.append(await generate())
    return outcomes


async def until(is_so: Callable[[], Awaitable[bool]], *, every: float = 0.25) -> None:
    """Looks every so many seconds: another process is at work."""
    while not await is_so():  # noqa: ASYNC110 - another process
        await asyncio.sleep(every)

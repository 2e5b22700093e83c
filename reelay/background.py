"""Tasks beside a process's main work, supervised: one that dies silently is an outage with a delay."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog

OK = "ok"

Succeeded = Callable[[], None]
"""What a task calls when a part of its work is done: then it has recovered from its last failure."""
Work = Callable[[Succeeded], Coroutine[Any, Any, None]]
Count = Callable[[str, int], None]
"""Adds so many failures of the task of that name to a metric."""

log = structlog.get_logger()


class TaskSupervisor:
    """Restarts the background tasks of a process when they fail, and knows which are failing."""

    def __init__(self, count_failures: Count, *, first_pause: float = 1.0, longest_pause: float = 10.0) -> None:
        """`count_failures` is called with 0 when a task starts: its series is there before its first failure.

        The pauses are in seconds.
        """
        self._count_failures = count_failures
        self._first_pause, self._longest_pause = first_pause, longest_pause
        self._states: dict[str, str] = {}

    @property
    def states(self) -> Mapping[str, str]:
        """By the task's name: `ok`, or how it failed. It has failed until a part of its work is done again."""
        return self._states

    @asynccontextmanager
    async def running(self, name: str, work: Work) -> AsyncIterator[None]:
        """While the block runs, so does the work; with the block it is canceled, and has ended when this has.

        Work that raises is logged, and begun again after a pause; work that returns is begun again, too. The pause
        grows for as long as no part of the work is done.
        """
        self._count_failures(name, 0)
        self._states[name] = OK
        task = asyncio.create_task(self._keep_running(name, work), name=name)
        try:
            yield
        finally:
            task.cancel()
            (ended,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(ended, Exception):
                log.error("background_task_failed", task=name, error=str(ended), exc_info=ended)
            del self._states[name]

    async def _keep_running(self, name: str, work: Work) -> None:
        pause = self._first_pause

        def succeeded() -> None:
            nonlocal pause
            pause = self._first_pause
            self._states[name] = OK

        while True:
            try:
                await work(succeeded)
            except (Exception, asyncio.CancelledError) as error:
                if _is_canceled():
                    raise
                self._record_failure(name, error)
            if _is_canceled():  # the work has swallowed it
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._longest_pause)

    def _record_failure(self, name: str, error: BaseException) -> None:
        state = f"failed: {type(error).__name__}"
        # Of the same failure again there is no traceback: a server that is away for hours would fill the log with it.
        is_new = state != self._states[name]
        self._states[name] = state
        self._count_failures(name, 1)
        log.error("background_task_failed", task=name, error=str(error), exc_info=error if is_new else None)


def every(seconds: float, once: Callable[[], Coroutine[Any, Any, None]]) -> Work:
    """Work that is done again and again, with so many seconds between."""

    async def repeat(succeeded: Succeeded) -> None:
        while True:
            await once()
            succeeded()
            if _is_canceled():
                return
            await asyncio.sleep(seconds)

    return repeat


def _is_canceled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

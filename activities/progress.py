"""Bytes on their way into the archive, as percent of the generation's row."""

import asyncio
from collections.abc import Callable
from typing import Any, Self
from uuid import UUID

from temporalio import activity

from activities.metrics import counting_task_failures
from reelay.background import Succeeded, TaskSupervisor
from reelay.db.engine import Sessions, one_statement
from reelay.db.generations import record_progress
from reelay.domain.generation import Stage
from reelay.domain.progress import SPANS

WRITE_EVERY_SECONDS = 1.0


class ByteProgress:
    """Counts all parts, and writes the percent at most once a second: a small file is done before the first write."""

    def __init__(self, sessions: Sessions, generation_id: UUID, *, parts: int) -> None:
        self._sessions = sessions
        self._generation_id = generation_id
        self._fractions = [0.0] * parts
        tasks = TaskSupervisor(counting_task_failures(activity.metric_meter()))
        self._writing = tasks.running("archive_progress", self._write)

    async def __aenter__(self) -> Self:
        await self._writing.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._writing.__aexit__(*error)

    def part(self, index: int) -> Callable[[int, int | None], None]:
        """What a download calls with (bytes so far, total bytes if known)."""

        def on_bytes(so_far: int, in_all: int | None) -> None:
            self._fractions[index] = so_far / in_all if in_all else 0.0

        return on_bytes

    async def _write(self, succeeded: Succeeded) -> None:
        start, end = SPANS[Stage.ARCHIVING]
        while True:
            await asyncio.sleep(WRITE_EVERY_SECONDS)
            percent = start + int((end - start) * sum(self._fractions) / len(self._fractions))
            async with one_statement(self._sessions) as session:
                await record_progress(session, self._generation_id, min(percent, end))
            succeeded()

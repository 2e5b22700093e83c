"""Starting workflows for rows that were committed but never started.

What else a row may have lost, the reconciliation's schedule repairs: slower, and not for free.
"""

from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from reelay.background import TaskSupervisor, every
from reelay.db.engine import Sessions
from reelay.db.generations import UNSTARTED_PAGE, unstarted_generations
from reelay.db.tables import GenerationJob
from workflows.runs import GenerationRuns

SWEEP_EVERY_SECONDS = 5.0
UNSTARTED_AFTER = timedelta(seconds=10)

log = structlog.get_logger()


def starting_unstarted(
    tasks: TaskSupervisor, sessions: Sessions, runs: GenerationRuns
) -> AbstractAsyncContextManager[None]:
    """While the block runs, start what a dead process or an absent Temporal left behind."""
    unstarted = UnstartedGenerations(sessions, runs)
    return tasks.running("unstarted_generations", every(SWEEP_EVERY_SECONDS, unstarted.start))


class UnstartedGenerations:
    def __init__(self, sessions: Sessions, runs: GenerationRuns) -> None:
        self._sessions = sessions
        self._runs = runs
        self._failing: set[UUID] = set()
        """Those that the last pass could not start: each is logged once."""

    async def start(self) -> None:
        """Start all, the oldest first. One that cannot be started, like that of a newer version, stops no other."""
        failing: set[UUID] = set()
        last: tuple[datetime, UUID] | None = None
        while True:
            async with self._sessions() as session:
                page = await unstarted_generations(session, older_than=UNSTARTED_AFTER, after=last)
            failing.update([job.id for job in page if not await self._start(job)])
            if len(page) < UNSTARTED_PAGE:
                break
            last = page[-1].created_at, page[-1].id
        self._failing = failing

    async def _start(self, job: GenerationJob) -> bool:
        try:
            await self._runs.start(job)
        except Exception:
            if job.id not in self._failing:
                log.error("unstarted_generation_failed", job_id=str(job.id), exc_info=True)
            return False
        log.info("unstarted_generation_started", job_id=str(job.id))
        return True

"""Starting workflows for rows that were committed but never started.

What else a row may have lost, the reconciliation's schedule repairs: slower, and not for free.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import structlog

from reelay.background import in_background
from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions
from reelay.db.generations import unstarted_generations
from workflows.runs import GenerationRuns, TemporalFailed

SWEEP_EVERY_SECONDS = 5.0
UNSTARTED_AFTER = timedelta(seconds=10)

log = structlog.get_logger()


def starting_unstarted(sessions: Sessions, runs: GenerationRuns) -> AbstractAsyncContextManager[None]:
    """While the block runs, start what a dead process or an absent Temporal left behind."""
    return in_background(_keep_sweeping(sessions, runs))


async def _keep_sweeping(sessions: Sessions, runs: GenerationRuns) -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY_SECONDS)
        try:
            async with sessions() as session:
                unstarted = await unstarted_generations(session, older_than=UNSTARTED_AFTER)
            for job in unstarted:
                await runs.start(job)
                log.info("unstarted_generation_started", job_id=str(job.id))
        except (TemporalFailed, *POSTGRES_UNAVAILABLE) as error:
            log.warning("starting_unstarted_failed", error=str(error))

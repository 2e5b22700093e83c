"""Starting workflows for rows that were committed but never started.

What else a row may have lost, the reconciliation's schedule repairs: slower, and not for free.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.service import RPCError

from reelay.background import in_background
from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions
from reelay.db.generations import generation_of, unstarted_generations
from reelay.db.tables import GenerationJob
from workflows.starting import prompt_excerpt, start_generation

LOOK_EVERY_SECONDS = 5.0
FORGOTTEN_AFTER = timedelta(seconds=10)
OUTAGES = (RPCError, RuntimeError, *POSTGRES_UNAVAILABLE)

log = structlog.get_logger()


class Starter:
    """Starts generations from their rows."""

    def __init__(self, client: Client, task_queue: str, origin: str | None) -> None:
        """`origin`: of our page, for the links that engineers follow from a run."""
        self._client = client
        self._task_queue = task_queue
        self._origin = origin

    async def start(self, job: GenerationJob) -> None:
        """Start the row's workflow, within a moment. Raises one of OUTAGES when Temporal does not take it."""
        summary = prompt_excerpt(job.input_params)
        async with asyncio.timeout(3):  # the client's own retries would go on for 10 s
            await start_generation(
                self._client, generation_of(job), task_queue=self._task_queue, summary=summary, origin=self._origin
            )


def starting_unstarted(sessions: Sessions, starter: Starter) -> AbstractAsyncContextManager[None]:
    """While the block runs, start what a dead process or an absent Temporal left behind."""
    return in_background(_keep_looking(sessions, starter))


async def _keep_looking(sessions: Sessions, starter: Starter) -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        try:
            async with sessions() as session:
                forgotten = await unstarted_generations(session, older_than=FORGOTTEN_AFTER)
            for job in forgotten:
                await starter.start(job)
                log.info("unstarted_generation_started", job_id=str(job.id))
        except OUTAGES as error:
            log.warning("starting_unstarted_failed", error=str(error))

"""Stopping a job that nobody wants any more."""

from typing import Protocol
from uuid import UUID

from reelay.db.engine import Sessions
from reelay.db.generations import cancel_unsubmitted
from reelay.db.tables import GenerationJob


class Runs(Protocol):
    """The runs of generations, as far as it takes them."""

    async def stop(self, generation_id: UUID) -> None:
        """Cancel the run. Nothing where there is none, or Temporal does not answer."""


async def stop_job(sessions: Sessions, runs: Runs, job: GenerationJob) -> None:
    """What was not submitted ends here; everything else is its run's to stop, which hears of either."""
    async with sessions.begin() as session:
        await cancel_unsubmitted(session, job.user_id, job.id)
    await runs.stop(job.id)

"""Stopping a generation."""

from contextlib import suppress
from uuid import UUID

from api.context import RequestContext
from api.generations.read import find_job, job_view
from api.generations.schemas import JobView
from reelay.domain.generation import Status
from workflows.runs import NoRun


async def cancel_job(context: RequestContext, name: UUID | str) -> JobView:
    """Stop it, here and as far as possible at the provider. Once ended, it stays as it ended.

    Raises: NotFound, TemporalFailed.
    """
    row = await find_job(context, name)
    if not Status(row.status).is_final:
        with suppress(NoRun):  # it has ended meanwhile
            await context.services.runs.cancel(row)
    return await job_view(context, row.id)

"""A generation as its owner sees it: the row, the files, and what the living workflow says."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query
from sqlalchemy.ext.asyncio import AsyncSession

from api.context import RequestContext
from api.generations.schemas import JobView
from api.http.problems import NotFound
from api.http.wire import Text
from api.identity.dependencies import revalidate_caller
from reelay.db.generations import files_of, find_generation_named
from reelay.db.logs import read_log
from reelay.db.pushes import pushed_data_of
from reelay.db.tables import GenerationJob, MediaFileRow
from reelay.domain.generation import Status
from reelay.domain.messages import Sentence

LONGEST_WAIT_SECONDS = 300.0

Logs = Annotated[
    bool | None,
    Query(
        description="Whether the answer shows what the provider printed, as far as it was collected: with each poll,"
        " thus after `POST /api/jobs/{id}/poll`, and by default setting of the service also at the end."
    ),
]


class Until(StrEnum):
    """What a wait is for."""

    END = "end"


JobName = Annotated[Text, Path(description="The job's id, or your `externalId` for it.")]


async def find_job(context: RequestContext, name: UUID | str) -> GenerationJob:
    """The caller's job by our id or by the caller's. Raises: NotFound, also for another user's."""
    return (await _read(context, name))[0]


async def job_view(context: RequestContext, name: UUID | str) -> JobView:
    """The job now. A finished one is answered by the row; a living one by its workflow too. Raises: NotFound."""
    row, files = await _read(context, name)
    live = None if Status(row.status).is_final else await context.services.runs.status(row.id)
    if live and live.status is not Status(row.status):  # the row was read before an activity wrote it
        row, files = await _read(context, row.id)
    live = None if Status(row.status).is_final else live
    forecast = await context.services.forecasts.of(row)
    return JobView.from_row(row, files, context.links, context.language, live, forecast=forecast)


async def listed_views(context: RequestContext, session: AsyncSession, rows: Sequence[GenerationJob]) -> list[JobView]:
    """Of the context's user, by the rows alone, which are read without their `result_data`."""
    files = await files_of(session, context.user_id, [row.id for row in rows])
    pushed = await pushed_data_of(session, context.user_id, rows)
    return [
        JobView.from_row(
            row,
            [file for file in files if file.job_id == row.id],
            context.links,
            context.language,
            forecast=await context.services.forecasts.of(row),
            pushed=pushed.get(row.id),
        )
        for row in rows
    ]


async def next_view(context: RequestContext, name: UUID | str, *, wait: float) -> JobView:
    """The job after its next change, or after `wait` seconds. Raises: NotFound, Unauthenticated."""
    generation_id = (await find_job(context, name)).id
    with context.services.changes.subscribe(generation_id) as changed:
        row = await find_job(context, generation_id)
        if not Status(row.status).is_final:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await changed.wait()
    await revalidate_caller(context.services, context.caller)
    return await job_view(context, generation_id)


async def view_at_end(context: RequestContext, generation_id: UUID, *, wait: float) -> JobView:
    """The job once it has ended; as it is after `wait` seconds, or when this process stops.

    Raises: NotFound, Unauthenticated.
    """
    changes = context.services.changes
    with changes.subscribe(generation_id) as changed, suppress(TimeoutError):
        async with asyncio.timeout(wait):
            while not Status((await find_job(context, generation_id)).status).is_final and not changes.closing:
                await changed.wait()
                changed.clear()
    await revalidate_caller(context.services, context.caller)
    return await job_view(context, generation_id)


async def final_view(context: RequestContext, generation_id: UUID, *, wait: float) -> JobView | None:
    """As `view_at_end`; None when the job has not ended."""
    view = await view_at_end(context, generation_id, wait=wait)
    return view if view.status.is_final else None


async def with_logs(context: RequestContext, view: JobView, *, wanted: bool | None) -> JobView:
    """The job with what its provider printed, if that is wanted; None: by `FAL_QUEUE_LOGS_DEFAULT`."""
    if not (context.services.settings.provider_logs if wanted is None else wanted):
        return view
    async with context.transaction() as session:
        return view.model_copy(update={"logs": await read_log(session, context.user_id, view.id)})


def preferred_wait(prefer: str | None) -> float:
    """Seconds of `Prefer: wait=N` (RFC 7240) as far as we grant them, 0 without one."""
    wait = re.search(r"\bwait=(\d{1,9})\b", prefer or "")
    return min(float(wait[1]), LONGEST_WAIT_SECONDS) if wait else 0.0


async def _read(context: RequestContext, name: UUID | str) -> tuple[GenerationJob, Sequence[MediaFileRow]]:
    async with context.transaction() as session:
        row = await find_generation_named(session, context.user_id, str(name))
        if row is None:
            raise NotFound(Sentence("job_not_found"))
        completed = Status(row.status) is Status.COMPLETED
        return row, await files_of(session, row.user_id, [row.id]) if completed else []

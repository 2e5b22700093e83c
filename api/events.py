"""A job's changes as server-sent events."""

from collections.abc import AsyncGenerator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from api.identity import Rechecked
from api.reading import Jobs

router = APIRouter(prefix="/api", tags=["generations"])

HEARTBEAT_SECONDS = 10.0
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
LARGEST_EVENT = 2**63 - 1


@router.get("/jobs/{job_id}/events", response_class=StreamingResponse)
async def stream_job(
    job_id: UUID,
    jobs: Jobs,
    recheck: Rechecked,
    last_event_id: Annotated[int, Header(ge=0, le=LARGEST_EVENT, description="Go on after this one.")] = 0,
) -> StreamingResponse:
    """The job now, then at every change, until it has ended: `job.updated` with the whole job and a growing id."""
    await jobs.row(job_id)
    return StreamingResponse(
        recheck.guard(events(jobs, job_id, last_event_id)), headers=HEADERS, media_type="text/event-stream"
    )


async def events(jobs: Jobs, job_id: UUID, after: int) -> AsyncGenerator[str, None]:
    async for change in jobs.changes(job_id, after=after, quiet=HEARTBEAT_SECONDS):
        if change is None:
            yield ": still here\n\n"
        else:
            number, view = change
            yield f"id: {number}\nevent: job.updated\ndata: {view.model_dump_json(by_alias=True)}\n\n"

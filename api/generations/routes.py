"""Creating generations, reading them, and telling them what to do."""

import asyncio
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response, status
from temporalio.service import RPCError, RPCStatusCode

from api.generations.create import Create, CreatingRoute, find_model, resolve_model
from api.generations.provider_log import ProviderLog
from api.generations.read import JobName, Jobs
from api.generations.schemas import (
    AmbientRequest,
    CreatedView,
    CreateRequest,
    EventView,
    FirstFrameRequest,
    History,
    JobList,
    JobRequest,
    JobView,
    TranscribeRequest,
    VideoRequest,
    VoiceRequest,
    WaitedView,
)
from api.http.conditional import UNCHANGED, IfNoneMatch, answered
from api.http.pagination import make_cursor, read_cursor
from api.http.problems import Conflict, InvalidParams, ServiceUnavailable, problems
from api.identity.dependencies import Rows
from api.services import Services, ServicesDep
from reelay.catalog.model import JobKind, Model
from reelay.db.generations import files_of, newest_generations, timeline
from reelay.db.pushes import pushed_data_of
from reelay.db.tables import GenerationJob
from reelay.domain.generation import ACTIVE, JobType, Status
from reelay.domain.messages import Sentence
from workflows.generation import GenerationWorkflow
from workflows.ids import workflow_id

creating = APIRouter(prefix="/api", tags=["generate"], route_class=CreatingRoute)


CREATED: dict[str, Any] = {
    "status_code": status.HTTP_202_ACCEPTED,
    "response_model": CreatedView,
    "responses": {
        200: {"model": WaitedView, "description": "The finished job, as preferred."},
        **problems(HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.CONFLICT),
    },
}


@creating.post("/generate/video", **CREATED)
async def generate_video(body: VideoRequest, services: ServicesDep, create: Create) -> Response:
    """Create a video from a prompt, and from a first frame if one is given."""
    defaults = services.settings.generate_video_defaults
    return await create.of_kind(JobKind.VIDEO, body, quality=body.quality, defaults=defaults)


@creating.post("/generate/first-frame", **CREATED)
async def generate_first_frame(body: FirstFrameRequest, create: Create) -> Response:
    """Create an image to start a video from."""
    return await create.of_kind(JobKind.FIRST_FRAME, body)


@creating.post("/generate/voice", **CREATED)
async def generate_voice(body: VoiceRequest, create: Create) -> Response:
    """Create speech from a text."""
    return await create.of_kind(JobKind.VOICE, body)


@creating.post("/generate/ambient", **CREATED)
async def generate_ambient(body: AmbientRequest, create: Create) -> Response:
    """Create an ambient sound from a prompt."""
    return await create.of_kind(JobKind.AMBIENT, body)


@creating.post("/generate/transcribe", **CREATED)
async def transcribe(body: TranscribeRequest, create: Create) -> Response:
    """Write down what is said in a recording."""
    return await create.of_kind(JobKind.TRANSCRIBE, body)


@creating.post("/jobs", **CREATED)
async def create_job(body: JobRequest, services: ServicesDep, create: Create) -> Response:
    """Create with any model of the catalogue."""
    words = body.words()
    return await create.of_model(resolve_model(services, None, body.model_named, words), words, body)


@creating.post("/jobs/{job_id}/retry", **CREATED)
async def retry_job(job_id: JobName, services: ServicesDep, create: Create, jobs: Jobs) -> Response:
    """A new job with the input of one that failed or was canceled."""
    row = await jobs.row(job_id)
    if row.status not in (Status.FAILED, Status.CANCELED):
        raise Conflict(Sentence("retry_conflict", status=row.status))
    again = CreateRequest(campaign_id=row.campaign_id, clip_id=row.clip_id, confirm=True, metadata=row.metadata_)
    return await create.of_model(model_of(services, row), row.arguments, again, said=row.input_params)


def model_of(services: Services, row: GenerationJob) -> Model:
    """The one that a job was created with; where its endpoint is no more (another version), the one of its name.

    Raises: InvalidParams.
    """
    known = {model.endpoint: model for model in services.catalog.models}
    return known.get(row.endpoint) or find_model(services, row.model, row.arguments)


router = APIRouter(prefix="/api", tags=["generations"])


RUNNING = [Status.SUBMITTED, Status.IN_PROGRESS]


SEVERAL = {"active": sorted(ACTIVE), "running": RUNNING, "processing": RUNNING}
"""Words for more than one status."""


# The client's own retries would go on for 6-9 s while Temporal is down.
TELLING_SECONDS = 3.0


@router.get("/jobs")
async def list_jobs(
    rows: Rows,
    jobs: Jobs,
    status: Annotated[
        str | None,
        Query(
            description="A status, `active` for what is not finished, or `running` (the same: `processing`) for what "
            "the provider has accepted and not finished: `submitted` and `in_progress`."
        ),
    ] = None,
    type: Annotated[str | None, Query(description="A job's `type`, or `video` for all videos.")] = None,
    clip_id: Annotated[UUID | None, Query(alias="clipId")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(description="`nextCursor` of the page before.")] = None,
) -> JobList:
    """The caller's jobs, newest first, each without its `resultData`."""
    async with rows() as session:
        found = await newest_generations(
            session,
            limit=limit + 1,
            statuses=statuses_named(status),
            job_types=types_named(type),
            clip_id=clip_id,
            before=read_cursor(after) if after else None,
        )
        page = found[:limit]
        files = await files_of(session, [row.id for row in page])
        pushed = await pushed_data_of(session, page)
    views = [
        JobView.from_row(
            row,
            [file for file in files if file.job_id == row.id],
            jobs.links,
            jobs.language,
            pushed=pushed.get(row.id),
        )
        for row in page
    ]
    has_more = len(found) > limit
    return JobList(
        data=views, has_more=has_more, next_cursor=make_cursor(page[-1].created_at, page[-1].id) if has_more else None
    )


@router.get("/jobs/{job_id}", response_model=JobView, responses=UNCHANGED)
async def read_job(
    job_id: JobName,
    jobs: Jobs,
    log: ProviderLog,
    wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for a change.")] = 0,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The job now, or with `wait` after its next change."""
    view = await jobs.next_view(job_id, wait=wait) if wait else await jobs.view(job_id)
    return answered(await log.shown_in(view), if_none_match)


@router.get("/jobs/{job_id}/history")
async def read_history(job_id: JobName, rows: Rows, jobs: Jobs) -> History:
    """The timeline: every step with its time."""
    row = await jobs.row(job_id)
    async with rows() as session:
        return History(data=[EventView.from_row(event) for event in await timeline(session, row.id)])


@router.post("/jobs/{job_id}/poll", status_code=status.HTTP_202_ACCEPTED)
async def poll_job(job_id: JobName, services: ServicesDep, jobs: Jobs) -> JobView:
    """Ask the provider now instead of at the next interval."""
    row = await jobs.row(job_id)
    if not Status(row.status).is_final:
        await told(services.temporal.get_workflow_handle(workflow_id(row.id)).signal(GenerationWorkflow.poll))
    return await jobs.view(row.id)


@router.post("/jobs/{job_id}/cancel", status_code=status.HTTP_202_ACCEPTED)
async def cancel_job(job_id: JobName, services: ServicesDep, jobs: Jobs) -> JobView:
    """Stop it, here and as far as possible at the provider. Once ended, it stays as it ended."""
    row = await jobs.row(job_id)
    if not Status(row.status).is_final:
        await told(services.starter.start(row))  # a row that was not started yet is canceled like any other
        await told(services.temporal.get_workflow_handle(workflow_id(row.id)).cancel())
    return await jobs.view(row.id)


def statuses_named(name: str | None) -> list[Status]:
    if name is None:
        return []
    if name in SEVERAL:
        return SEVERAL[name]
    if name not in set(Status):
        raise InvalidParams(Sentence("filter_invalid"), errors=[wrong("status", name, [*Status, *SEVERAL])])
    return [Status(name)]


def types_named(name: str | None) -> list[JobType]:
    if name is None:
        return []
    if name == JobType.VIDEO:
        return [JobType.VIDEO, JobType.VIDEO_VEO31]
    if name not in set(JobType):
        raise InvalidParams(Sentence("filter_invalid"), errors=[wrong("type", name, list(JobType))])
    return [JobType(name)]


def wrong(field: str, value: str, allowed: list[str]) -> dict[str, Any]:
    message = Sentence("field_choice", choices=", ".join(allowed))
    return {"field": field, "message": message, "limit": allowed, "value": value[:100]}


async def told(call: Awaitable[None]) -> None:
    """A run that ended meanwhile needs no telling. Raises: ServiceUnavailable when Temporal does not take it soon."""
    try:
        async with asyncio.timeout(TELLING_SECONDS):
            await call
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
    except RuntimeError as error:  # a lazy client that cannot connect
        raise ServiceUnavailable(Sentence("unavailable")) from error

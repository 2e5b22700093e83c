"""The calls that create generations, read them, and tell them what to do."""

from contextlib import suppress
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response, status

from api.context import Context
from api.generations import cancel, create
from api.generations.create import CreateOptionsDep, CreatingRoute, JobSpec
from api.generations.gallery import VIDEO_TYPES
from api.generations.read import JobName, Logs, find_job, job_view, next_view, with_logs
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
from api.http.conditional import UNCHANGED, IfNoneMatch, conditional_response
from api.http.pagination import Cursor, PageSize, read_cursor, split_page
from api.http.problems import Conflict, InvalidParams, problems
from reelay.catalog.model import JobKind
from reelay.db.generations import files_of, newest_generations, timeline
from reelay.db.pushes import pushed_data_of
from reelay.domain.generation import ACTIVE, JobType, Status
from reelay.domain.messages import Sentence
from workflows.runs import NoRun

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
async def generate_video(body: VideoRequest, context: Context, options: CreateOptionsDep) -> Response:
    """Create a video from a prompt, and from a first frame if one is given."""
    defaults = context.services.settings.generate_video_defaults
    return await create.create_of_kind(context, options, JobKind.VIDEO, body, quality=body.quality, defaults=defaults)


@creating.post("/generate/first-frame", **CREATED)
async def generate_first_frame(body: FirstFrameRequest, context: Context, options: CreateOptionsDep) -> Response:
    """Create an image to start a video from."""
    return await create.create_of_kind(context, options, JobKind.FIRST_FRAME, body)


@creating.post("/generate/voice", **CREATED)
async def generate_voice(body: VoiceRequest, context: Context, options: CreateOptionsDep) -> Response:
    """Create speech from a text."""
    return await create.create_of_kind(context, options, JobKind.VOICE, body)


@creating.post("/generate/ambient", **CREATED)
async def generate_ambient(body: AmbientRequest, context: Context, options: CreateOptionsDep) -> Response:
    """Create an ambient sound from a prompt."""
    return await create.create_of_kind(context, options, JobKind.AMBIENT, body)


@creating.post("/generate/transcribe", **CREATED)
async def transcribe(body: TranscribeRequest, context: Context, options: CreateOptionsDep) -> Response:
    """Write down what is said in a recording."""
    return await create.create_of_kind(context, options, JobKind.TRANSCRIBE, body)


@creating.post("/jobs", **CREATED)
async def create_job(body: JobRequest, context: Context, options: CreateOptionsDep) -> Response:
    """Create with any model of the catalogue."""
    inputs = body.inputs()
    model = create.resolve_model(context.services, None, body.model_name, inputs)
    return await create.create_and_answer(context, options, JobSpec(model=model, inputs=inputs, request=body))


@creating.post("/jobs/{job_id}/retry", **CREATED)
async def retry_job(job_id: JobName, context: Context, options: CreateOptionsDep) -> Response:
    """A new job with the input of one that failed or was canceled."""
    row = await find_job(context, job_id)
    if row.status not in (Status.FAILED, Status.CANCELED):
        raise Conflict(Sentence("retry_conflict", status=row.status))
    spec = JobSpec(
        model=create.model_of(context.services, row),
        inputs=row.arguments,
        request=CreateRequest(campaign_id=row.campaign_id, clip_id=row.clip_id, confirm=True, metadata=row.metadata_),
        shown_input=row.input_params,
    )
    return await create.create_and_answer(context, options, spec)


router = APIRouter(prefix="/api", tags=["generations"])


RUNNING = [Status.SUBMITTED, Status.IN_PROGRESS]


STATUS_GROUPS = {"active": sorted(ACTIVE), "running": RUNNING, "processing": RUNNING}
"""Filters that stand for more than one status."""


@router.get("/jobs")
async def list_jobs(
    context: Context,
    status: Annotated[
        str | None,
        Query(
            description="A status, `active` for what is not finished, or `running` (the same: `processing`) for what "
            "the provider has accepted and not finished: `submitted` and `in_progress`."
        ),
    ] = None,
    type: Annotated[str | None, Query(description="A job's `type`, or `video` for all videos.")] = None,
    clip_id: Annotated[UUID | None, Query(alias="clipId")] = None,
    limit: PageSize = 20,
    after: Cursor = None,
) -> JobList:
    """The caller's jobs, newest first, each without its `resultData`."""
    async with context.transaction() as session:
        found = await newest_generations(
            session,
            limit=limit + 1,
            statuses=statuses_of(status),
            job_types=job_types_of(type),
            clip_id=clip_id,
            before=read_cursor(after),
        )
        page, next_cursor = split_page(found, limit, lambda row: (row.created_at, row.id))
        files = await files_of(session, [row.id for row in page])
        pushed = await pushed_data_of(session, page)
    views = [
        JobView.from_row(
            row,
            [file for file in files if file.job_id == row.id],
            context.links,
            context.language,
            pushed=pushed.get(row.id),
        )
        for row in page
    ]
    return JobList(data=views, has_more=next_cursor is not None, next_cursor=next_cursor)


@router.get("/jobs/{job_id}", response_model=JobView, responses=UNCHANGED)
async def read_job(
    job_id: JobName,
    context: Context,
    logs: Logs = None,
    wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for a change.")] = 0,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The job now, or with `wait` after its next change."""
    view = await next_view(context, job_id, wait=wait) if wait else await job_view(context, job_id)
    return conditional_response(await with_logs(context, view, wanted=logs), if_none_match)


@router.get("/jobs/{job_id}/history")
async def read_history(job_id: JobName, context: Context) -> History:
    """The timeline: every step with its time."""
    row = await find_job(context, job_id)
    async with context.transaction() as session:
        return History(data=[EventView.from_row(event) for event in await timeline(session, row.id)])


@router.post("/jobs/{job_id}/poll", status_code=status.HTTP_202_ACCEPTED)
async def poll_job(job_id: JobName, context: Context) -> JobView:
    """Ask the provider now instead of at the next interval."""
    row = await find_job(context, job_id)
    if not Status(row.status).is_final:
        with suppress(NoRun):  # it has ended meanwhile, or was not started yet
            await context.services.runs.poll(row.id)
    return await job_view(context, row.id)


@router.post("/jobs/{job_id}/cancel", status_code=status.HTTP_202_ACCEPTED)
async def cancel_job(job_id: JobName, context: Context) -> JobView:
    """Stop it, here and as far as possible at the provider. Once ended, it stays as it ended."""
    return await cancel.cancel_job(context, job_id)


def statuses_of(name: str | None) -> list[Status]:
    if name is None:
        return []
    if name in STATUS_GROUPS:
        return STATUS_GROUPS[name]
    if name not in set(Status):
        raise InvalidParams(
            Sentence("filter_invalid"), errors=[_choice_error("status", name, [*Status, *STATUS_GROUPS])]
        )
    return [Status(name)]


def job_types_of(name: str | None) -> list[JobType]:
    if name is None:
        return []
    if name == JobType.VIDEO:
        return VIDEO_TYPES
    if name not in set(JobType):
        raise InvalidParams(Sentence("filter_invalid"), errors=[_choice_error("type", name, list(JobType))])
    return [JobType(name)]


def _choice_error(field: str, value: str, allowed: list[str]) -> dict[str, Any]:
    message = Sentence("field_choice", choices=", ".join(allowed))
    return {"field": field, "message": message, "limit": allowed, "value": value[:100]}

"""The calls that create generations, read them, and tell them what to do."""

from contextlib import suppress
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response, status

from api.context import Context
from api.generations import cancel, create, delete
from api.generations.any_job import JobContext, record_act_on
from api.generations.create import CreateOptionsDep, CreatingRoute, JobSpec
from api.generations.filters import Filters
from api.generations.progress import timeline_messages
from api.generations.read import (
    JobName,
    Logs,
    Until,
    find_job,
    job_view,
    listed_views,
    next_view,
    view_at_end,
    with_logs,
)
from api.generations.retry import retry_spec
from api.generations.schemas import (
    AmbientRequest,
    CreatedView,
    EventView,
    FirstFrameRequest,
    History,
    JobList,
    JobRequest,
    JobView,
    RetryRequest,
    TranscribeRequest,
    VideoRequest,
    VoiceRequest,
    WaitedView,
)
from api.http.conditional import UNCHANGED, IfNoneMatch, conditional_response
from api.http.openapi import with_headers
from api.http.pagination import PageSize, split_page
from api.http.problems import Conflict, InvalidParams, field_error, problems
from reelay.catalog.model import JobKind
from reelay.db.audit_log import AuditAction
from reelay.db.generations import newest_generations, timeline
from reelay.domain.generation import Status
from reelay.domain.messages import Sentence
from workflows.runs import NoRun

UNCHANGED_JOB = RetryRequest()

creating = APIRouter(prefix="/api", tags=["generate"], route_class=CreatingRoute)


QUOTAS = ("Idempotency-Replayed", "Preference-Applied", "RateLimit", "RateLimit-Policy")
CREATED: dict[str, Any] = {
    "status_code": status.HTTP_202_ACCEPTED,
    "response_model": CreatedView,
    "response_description": "The job is stored and goes on by itself.",
    "responses": {
        200: {
            "model": WaitedView,
            "description": "The ended job, where the request preferred to wait for it.",
            **with_headers(*QUOTAS),
        },
        202: with_headers("Location", "Retry-After", *QUOTAS),
        **problems(HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.CONFLICT),
    },
}


@creating.post("/generate/video", **CREATED)
async def generate_video(body: VideoRequest, context: Context, options: CreateOptionsDep) -> Response:
    """Generate a video from a prompt, and from a first frame if one is given."""
    defaults = context.services.settings.generate_video_defaults
    return await create.create_of_kind(context, options, JobKind.VIDEO, body, quality=body.quality, defaults=defaults)


@creating.post("/generate/first-frame", **CREATED)
async def generate_first_frame(body: FirstFrameRequest, context: Context, options: CreateOptionsDep) -> Response:
    """Generate an image to start a video from."""
    return await create.create_of_kind(context, options, JobKind.FIRST_FRAME, body)


@creating.post("/generate/voice", **CREATED)
async def generate_voice(body: VoiceRequest, context: Context, options: CreateOptionsDep) -> Response:
    """Generate speech from a text."""
    return await create.create_of_kind(context, options, JobKind.VOICE, body)


@creating.post("/generate/ambient", **CREATED)
async def generate_ambient(body: AmbientRequest, context: Context, options: CreateOptionsDep) -> Response:
    """Generate an ambient sound from a prompt."""
    return await create.create_of_kind(context, options, JobKind.AMBIENT, body)


@creating.post("/generate/transcribe", **CREATED)
async def transcribe(body: TranscribeRequest, context: Context, options: CreateOptionsDep) -> Response:
    """Transcribe a recording."""
    return await create.create_of_kind(context, options, JobKind.TRANSCRIBE, body)


@creating.post("/jobs", **CREATED)
async def create_job(body: JobRequest, context: Context, options: CreateOptionsDep) -> Response:
    """Generate with any model of the catalogue, or with any endpoint of fal by its id."""
    inputs = body.inputs()
    model = await create.resolve_model(context.services, None, body.model_name, inputs)
    return await create.create_and_answer(context, options, JobSpec(model=model, inputs=inputs, request=body))


router = APIRouter(prefix="/api", tags=["generations"])


@router.get("/jobs")
async def list_jobs(
    context: Context,
    filters: Filters,
    limit: PageSize = 20,
) -> JobList:
    """The caller's jobs, newest first, each without its `resultData`."""
    async with context.transaction() as session:
        found = await newest_generations(session, context.user_id, limit=limit + 1, **filters)
        page, next_cursor = split_page(found, limit, lambda row: (row.created_at, row.id))
        views = await listed_views(context, session, page)
    return JobList(data=views, has_more=next_cursor is not None, next_cursor=next_cursor)


@router.get("/jobs/{job_id}", response_model=JobView, responses=UNCHANGED)
async def read_job(
    job_id: JobName,
    context: JobContext,
    logs: Logs = None,
    wait: Annotated[
        float | None,
        Query(ge=0, le=60, description="Seconds to wait for the job's next change, or for its end. Default: 0."),
    ] = None,
    until: Annotated[
        Until | None, Query(description="`end`: wait for the job's end instead of its next change. Needs `wait`.")
    ] = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The job now, with `wait` after its next change, with `wait` and `until=end` after its end; or, when that does
    not come within `wait` seconds, as it is then."""
    if until and wait is None:
        raise InvalidParams(Sentence("request_invalid"), errors=[field_error("wait", Sentence("field_required"), None)])
    if not wait:
        view = await job_view(context, job_id)
    elif until is Until.END:
        view = await view_at_end(context, (await find_job(context, job_id)).id, wait=wait)
    else:
        view = await next_view(context, job_id, wait=wait)
    return conditional_response(await with_logs(context, view, wanted=logs), if_none_match)


@router.get("/jobs/{job_id}/history")
async def read_history(job_id: JobName, context: JobContext) -> History:
    """The job's timeline: everything that happened to it, with its time."""
    row = await find_job(context, job_id)
    async with context.transaction() as session:
        events = await timeline(session, row.user_id, row.id)
    told = zip(events, timeline_messages(events, row, context.language), strict=True)
    return History(data=[EventView.from_row(event, detail) for event, detail in told])


@router.post("/jobs/{job_id}/poll", status_code=status.HTTP_202_ACCEPTED)
async def poll_job(job_id: JobName, context: JobContext) -> JobView:
    """Ask the provider now instead of at the next interval. The answer is the job as it is meanwhile."""
    row = await find_job(context, job_id)
    if not Status(row.status).is_final:
        await record_act_on(context, AuditAction.JOB_POLLED, row)
        with suppress(NoRun):  # it has ended meanwhile, or was not started yet
            await context.services.runs.poll(row.id)
    return await job_view(context, row.id)


@router.post("/jobs/{job_id}/cancel", status_code=status.HTTP_202_ACCEPTED)
async def cancel_job(job_id: JobName, context: JobContext) -> JobView:
    """Cancel the job, also at the provider as far as possible. A job that has ended stays as it is."""
    return await cancel.cancel_job(context, job_id)


@router.post("/jobs/{job_id}/retry", **CREATED)
async def retry_job(
    job_id: JobName, context: JobContext, options: CreateOptionsDep, body: RetryRequest = UNCHANGED_JOB
) -> Response:
    """Create a new job from one that failed or was canceled: with its input, or with what the body changes of it."""
    row = await find_job(context, job_id)
    if row.status not in (Status.FAILED, Status.CANCELED):
        raise Conflict(Sentence("retry_conflict", status=row.status))
    await record_act_on(context, AuditAction.JOB_RETRIED, row)
    spec = await retry_spec(context.services, row, body)
    return await create.create_and_answer(context, options, spec)


@router.delete(
    "/jobs/{job_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
)
async def delete_job(job_id: JobName, context: Context) -> None:
    """Delete an ended job with its files, its timeline and what its provider stores, where that can be deleted.

    What it cost stays in the books, without content. Safe to repeat with the job's id.
    """
    await delete.delete(context, job_id)

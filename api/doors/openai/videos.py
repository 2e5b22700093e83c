"""OpenAI's videos: create, read, list, delete, the files, and the same again with another prompt.

https://platform.openai.com/docs/api-reference/videos; four statuses and no other one leave here.
"""

from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel

from api.assets.uploads import FILE, file_problems
from api.context import Context, RequestContext
from api.doors.errors import named_as_sent
from api.doors.openai.forms import SentFile, as_asset, body_of, scalar
from api.doors.openai.models import create_asked, inputs_for_size, model_named
from api.generations import delete
from api.generations.gallery import VIDEO_TYPES
from api.generations.read import find_job, job_view, listed_views
from api.generations.schemas import JobView
from api.http.idempotency import IdempotencyKey
from api.http.problems import NotFound
from api.http.wire import Text
from reelay.catalog.model import FIRST_FRAME, JobKind, Model
from reelay.db.generations import StoredFile, find_stored_file, newest_generations, oldest_generations
from reelay.domain.generation import Status
from reelay.domain.messages import Sentence
from reelay.media.archive import media_prefix
from reelay.media.errors import NotInArchive
from reelay.media.saving import save

POLL_AFTER_MS = "openai-poll-after-ms"
SOONEST_POLL_MS, LATEST_POLL_MS = 1000, 10_000
OURS = "openai"
"""The member of a job's metadata with what its caller asked for, as it is shown again."""
DEFAULT_MODEL = "sora-2"
MOST_SHEET_BYTES = 512 * 1024**2
"""Of a video that a sheet of sprites is made of."""

VideoStatus = Literal["queued", "in_progress", "completed", "failed"]
STATUSES: dict[Status, VideoStatus] = {
    Status.PENDING: "queued",
    Status.SUBMITTED: "queued",
    Status.IN_PROGRESS: "in_progress",
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.CANCELED: "failed",
}
"""Another word ends their clients' polling."""

router = APIRouter(prefix="/v1/videos", include_in_schema=False)


class Failure(BaseModel):
    code: str
    message: str


class Video(BaseModel):
    """All keys are there, for clients that require them."""

    id: str
    object: Literal["video"] = "video"
    status: VideoStatus
    progress: int
    model: str
    prompt: str | None
    seconds: str
    size: str
    created_at: int
    completed_at: int | None
    expires_at: int | None = None
    remixed_from_video_id: str | None
    error: Failure | None

    @classmethod
    def from_job(cls, job: JobView) -> Self:
        asked = job.metadata.get(OURS)
        asked = asked if isinstance(asked, dict) else {}
        video = next((file for file in job.files if file.width), None)
        failure = Failure(code=str(job.error_code), message=job.error_message or "") if job.error_code else None
        return cls(
            id=str(job.id),
            status=STATUSES[job.status],
            progress=job.progress,
            model=str(asked.get("model") or job.model),
            prompt=job.prompt,
            seconds=str(asked.get("seconds") or (video and f"{video.duration_seconds or 0:g}") or "0"),
            size=str(asked.get("size") or (video and f"{video.width}x{video.height}") or ""),
            created_at=int(job.created_at.timestamp()),
            completed_at=int(job.completed_at.timestamp()) if job.completed_at else None,
            remixed_from_video_id=asked.get("remixed_from_video_id"),
            error=failure,
        )


@router.post("")
async def create_video(request: Request, context: Context, key: IdempotencyKey) -> JSONResponse:
    fields = await body_of(request)
    name = str(fields.pop("model", None) or DEFAULT_MODEL)
    size, seconds = fields.pop("size", None), fields.pop("seconds", None)
    webhook_url = fields.pop("webhook_url", None)
    inputs, sent_for = {"prompt": fields.pop("prompt", None)}, {}
    if reference := fields.pop("input_reference", None):
        with named_as_sent({FILE: "input_reference"}):
            inputs[FIRST_FRAME] = await _address_of(context, reference)
        sent_for[FIRST_FRAME] = "input_reference"
    inputs |= {field: scalar(value) for field, value in fields.items()}
    model = await model_named(context.services, name, JobKind.VIDEO, inputs)
    if size is None and model.openai:
        size = next(iter(model.openai.sizes), None)
    if size is not None:
        by_size = inputs_for_size(model, str(size))
        sent_for |= {field: "size" for field in by_size if field not in inputs}
        inputs = by_size | inputs
    by_seconds = _duration(model, seconds)
    sent_for |= dict.fromkeys(by_seconds, "seconds")
    inputs |= by_seconds
    asked = {"model": name, "size": size, "seconds": seconds or _usual_seconds(model)}
    return await _created(request, context, key, model, inputs, asked, webhook_url=webhook_url, sent_for=sent_for)


@router.post("/{video_id}/remix")
async def remix_video(request: Request, video_id: Text, context: Context, key: IdempotencyKey) -> JSONResponse:
    """The same inputs with another prompt: no model of the catalogue changes a video and keeps the rest of it."""
    fields = await body_of(request)
    original = await _find(context, video_id)
    view = Video.from_job(original)
    model = await model_named(context.services, view.model, JobKind.VIDEO, original.input)
    asked = {"model": view.model, "size": view.size, "seconds": view.seconds, "remixed_from_video_id": view.id}
    inputs = {**original.input, "prompt": fields.get("prompt")}
    return await _created(request, context, key, model, inputs, asked, webhook_url=fields.get("webhook_url"))


@router.get("/{video_id}")
async def read_video(video_id: Text, context: Context) -> JSONResponse:
    job = await _find(context, video_id)
    headers = {} if job.status.is_final else {POLL_AFTER_MS: str(_poll_after_ms(job))}
    return _shown(job, headers)


@router.get("")
async def list_videos(
    context: Context,
    after: Text | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> dict[str, Any]:
    last = await find_job(context, after) if after else None
    place = (last.created_at, last.id) if last else None
    user_id = context.user_id
    async with context.transaction() as session:
        if order == "asc":
            rows = await oldest_generations(session, user_id, limit=limit + 1, job_types=VIDEO_TYPES, after=place)
        else:
            rows = await newest_generations(session, user_id, limit=limit + 1, job_types=VIDEO_TYPES, before=place)
        views = await listed_views(context, session, rows[:limit])
    data = [Video.from_job(view).model_dump() for view in views]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(rows) > limit,
    }


@router.delete("/{video_id}")
async def delete_video(video_id: Text, context: Context) -> dict[str, Any]:
    job = await _find(context, video_id)
    await delete.delete(context, str(job.id))
    return {"id": str(job.id), "object": "video.deleted", "deleted": True}


@router.get("/{video_id}/content")
async def read_content(
    video_id: Text, context: Context, variant: Literal["video", "thumbnail", "spritesheet"] = "video"
) -> Response:
    """A redirect to the file, which needs no key. A sheet of sprites is made when it is first asked for."""
    job = await _find(context, video_id)
    video = next((file for file in job.files if file.format.startswith("video/")), None)
    if video and variant == "spritesheet":
        return Response(await _sheet_of(context, job, video.name), media_type="image/jpeg")
    address = video and (video.poster_url if variant == "thumbnail" else video.file_url)
    if not address:
        raise NotFound(Sentence("video_not_ready"))
    return RedirectResponse(address, HTTPStatus.FOUND)


async def _sheet_of(context: RequestContext, job: JobView, name: str) -> bytes:
    """Made once, and kept beside the video. Raises: NotFound, PayloadTooLarge, ServiceUnavailable."""
    services, storage = context.services, context.services.storage
    stored = await _stored_video(context, job, name)
    key = f"{media_prefix(context.user_id, job.id)}/{PurePosixPath(name).stem}-sheet.jpg"
    with file_problems(services), storage.scratch() as folder:
        with suppress(NotInArchive):
            return b"".join([piece async for piece in storage.read(key)])
        video = await save(storage.read(stored.key), folder / FILE, max_bytes=MOST_SHEET_BYTES)
        sheet = folder / "sheet.jpg"
        await services.decoders.write_sheet(video.path, sheet)
        content = sheet.read_bytes()
        await storage.put_file(sheet, key, "image/jpeg")
        try:
            await _stored_video(context, job, name)
        except NotFound:  # deleted meanwhile, with all that there was of it
            await storage.delete(key)
            raise
    return content


async def _stored_video(context: RequestContext, job: JobView, name: str) -> StoredFile:
    """Raises: NotFound."""
    async with context.transaction() as session:
        stored = await find_stored_file(session, context.user_id, job.id, name)
    if stored is None:
        raise NotFound(Sentence("video_not_ready"))
    return stored


async def _find(context: RequestContext, video_id: str) -> JobView:
    """Raises: NotFound, also for what is no video."""
    job = await job_view(context, video_id)
    if job.type not in VIDEO_TYPES:
        raise NotFound(Sentence("job_not_found"))
    return job


async def _created(
    request: Request,
    context: RequestContext,
    key: str | None,
    model: Model,
    inputs: dict[str, Any],
    asked: dict[str, Any],
    *,
    webhook_url: Any,
    sent_for: Mapping[str, str] = MappingProxyType({}),
) -> JSONResponse:
    created = await create_asked(
        request, context, key, model, inputs, metadata={OURS: asked}, webhook_url=webhook_url, sent_for=sent_for
    )
    return _shown(await job_view(context, created.job.id), created.headers)


def _shown(job: JobView, headers: dict[str, str]) -> JSONResponse:
    return JSONResponse(Video.from_job(job).model_dump(), headers=headers)


async def _address_of(context: RequestContext, reference: Any) -> Any:
    """Of a picture to start from: a file of the form, or an object that names one."""
    match reference:
        case SentFile():
            return await as_asset(context, reference)
        case {"image_url": address}:
            return address
        case {"file_id": str(name)}:
            return name if name.startswith("asset:") else f"asset:{name}"
    return reference


def _duration(model: Model, seconds: Any) -> dict[str, Any]:
    return {} if seconds is None or "duration" not in model.inputs else {"duration": scalar(seconds)}


def _usual_seconds(model: Model) -> str | None:
    usual = getattr(model.inputs.get("duration"), "default", None)
    return None if usual is None else f"{usual:g}"


def _poll_after_ms(job: JobView) -> int:
    """Half of what is left, as far as somebody knows."""
    half = (job.seconds_left or 0) * 500
    return min(max(half, SOONEST_POLL_MS), LATEST_POLL_MS)

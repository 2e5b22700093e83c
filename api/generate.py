"""The calls that create generations."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response, status

from api.creation import Create, CreatingRoute, find_model, resolve_model
from api.problems import Conflict, problems
from api.reading import JobName, Jobs
from api.requests import (
    AmbientRequest,
    CreateRequest,
    FirstFrameRequest,
    JobRequest,
    TranscribeRequest,
    VideoRequest,
    VoiceRequest,
)
from api.services import Services, ServicesDep
from api.views import CreatedView, WaitedView
from reelay.catalog.model import JobKind, Model
from reelay.db.tables import GenerationJob
from reelay.domain.generation import Status
from reelay.domain.messages import Sentence

router = APIRouter(prefix="/api", tags=["generate"], route_class=CreatingRoute)

CREATED: dict[str, Any] = {
    "status_code": status.HTTP_202_ACCEPTED,
    "response_model": CreatedView,
    "responses": {
        200: {"model": WaitedView, "description": "The finished job, as preferred."},
        **problems(HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.CONFLICT),
    },
}


@router.post("/generate/video", **CREATED)
async def generate_video(body: VideoRequest, services: ServicesDep, create: Create) -> Response:
    """Create a video from a prompt, and from a first frame if one is given."""
    defaults = services.settings.generate_video_defaults
    return await create.of_kind(JobKind.VIDEO, body, quality=body.quality, defaults=defaults)


@router.post("/generate/first-frame", **CREATED)
async def generate_first_frame(body: FirstFrameRequest, create: Create) -> Response:
    """Create an image to start a video from."""
    return await create.of_kind(JobKind.FIRST_FRAME, body)


@router.post("/generate/voice", **CREATED)
async def generate_voice(body: VoiceRequest, create: Create) -> Response:
    """Create speech from a text."""
    return await create.of_kind(JobKind.VOICE, body)


@router.post("/generate/ambient", **CREATED)
async def generate_ambient(body: AmbientRequest, create: Create) -> Response:
    """Create an ambient sound from a prompt."""
    return await create.of_kind(JobKind.AMBIENT, body)


@router.post("/generate/transcribe", **CREATED)
async def transcribe(body: TranscribeRequest, create: Create) -> Response:
    """Write down what is said in a recording."""
    return await create.of_kind(JobKind.TRANSCRIBE, body)


@router.post("/jobs", **CREATED)
async def create_job(body: JobRequest, services: ServicesDep, create: Create) -> Response:
    """Create with any model of the catalogue."""
    words = body.words()
    return await create.of_model(resolve_model(services, None, body.model_named, words), words, body)


@router.post("/jobs/{job_id}/retry", **CREATED)
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

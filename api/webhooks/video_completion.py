"""The studio backend reports here: the progress of its jobs, and their videos."""

import time
from http import HTTPStatus
from uuid import UUID, uuid4

from fastapi import APIRouter, BackgroundTasks, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security.utils import get_authorization_scheme_param
from pydantic import BaseModel

from api.http.problems import MEDIA_TYPE, problem_body, problems
from api.services import Services, ServicesDep
from api.webhooks import schemas
from api.webhooks.delivery_log import log_received
from api.webhooks.inbox import Handover
from api.webhooks.routes import CODES, PROBLEMS, RETRY_SOON, logged_headers
from api.webhooks.verdicts import DEFERRED, IGNORED, REJECTIONS, UNAVAILABLE, Verdict
from reelay.db.keys import KEY_MARK
from reelay.db.tables import WebhookDelivery
from reelay.domain.generation import ProviderName
from reelay.providers.errors import Forged
from reelay.providers.registry import STUDIO_WEBHOOK_PATH
from reelay.providers.studio_push import read_push, verify_secret
from reelay.settings import Settings

PROCESSED = "Video generation webhook processed successfully"
NOTHING_NEW = {Handover.DUPLICATE: "The job has ended, or its end is known.", IGNORED: "Nothing new."}
REFUSALS = {
    HTTPStatus.UNAUTHORIZED: "Unauthorized: Invalid webhook secret",
    HTTPStatus.NOT_FOUND: "VideoGeneration not found",
}
"""As backends know them, in `error`. A malformed push is told what is wrong with it instead."""

NAMING_THE_JOB = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)

router = APIRouter(tags=["webhooks"])


class PushAnswer(BaseModel):
    """What the backend is answered. It is no part of `/api`'s own spelling: the backend's words are snake case."""

    success: bool
    message: str
    job_id: str
    """As the backend named the job."""
    num_videos: int
    processing_time_ms: int
    """Of this request."""


class Health(BaseModel):
    status: str
    message: str


@router.get(STUDIO_WEBHOOK_PATH)
async def push_health() -> Health:
    """For the backend to see that it reaches us."""
    return Health(status="healthy", message="POST the progress and the end of a job here.")


@router.post(
    STUDIO_WEBHOOK_PATH,
    response_model=PushAnswer,
    responses=problems(*PROBLEMS, HTTPStatus.CONFLICT),
    openapi_extra=schemas.STUDIO,
)
async def receive_push(request: Request, services: ServicesDep, tasks: BackgroundTasks) -> Response:
    """A push. 2xx once it is durable: written to the job, or kept with its end for the workflow."""
    arrived = time.perf_counter()
    delivery = WebhookDelivery(
        id=uuid4(),
        provider=ProviderName.STUDIO,
        verdict=DEFERRED,
        status_code=HTTPStatus.OK,
        headers=logged_headers(request.headers),
        body=await request.body(),
    )
    try:
        check_secret(request, services.settings)
        delivery.key_owner_id = await owner_of_key(request, services)
    except Forged as rejected:
        verdict = Verdict(*REJECTIONS[Forged], str(rejected))
    else:
        delivery.verified = True
        verdict = await services.pushes.take(delivery)
    took_ms = (time.perf_counter() - arrived) * 1000
    services.metrics.note_webhook(ProviderName.STUDIO, verdict.word, took_ms / 1000)
    if not await kept(services, tasks, delivery, verdict, took_ms):
        verdict = Verdict(UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE)
    log_received(ProviderName.STUDIO, verdict, took_ms)
    return taken(delivery, verdict, took_ms) if verdict.status is HTTPStatus.OK else refused(delivery, verdict)


def check_secret(request: Request, settings: Settings) -> None:
    """In development one is needed only where one is set. Raises: Forged."""
    if settings.webhook_secret is not None or not settings.is_development:
        verify_secret(request.headers, settings.webhook_secret)


async def owner_of_key(request: Request, services: Services) -> UUID | None:
    """The user whose API key came along; None when none did. Raises: Forged."""
    _, key = get_authorization_scheme_param(request.headers.get("authorization"))
    if not key.startswith(KEY_MARK):
        return None
    caller = await services.callers.named_by(key)
    if caller is None:
        raise Forged("the API key is unknown, expired or revoked")
    return caller.user_id


async def kept(
    services: Services, tasks: BackgroundTasks, delivery: WebhookDelivery, verdict: Verdict, took_ms: float
) -> bool:
    """Whether what has still to be done with it is safe. The log itself is written after the answer."""
    delivery.verdict, delivery.status_code, delivery.detail = verdict.word, verdict.status, verdict.detail
    delivery.took_ms = took_ms
    if verdict.word in (DEFERRED, Handover.UNKNOWN):
        return await services.inbox.keep(delivery)
    if verdict.word != IGNORED:  # of ten thousand repetitions nobody wants to read
        tasks.add_task(services.delivery_log.write, delivery)
    return True


def taken(delivery: WebhookDelivery, verdict: Verdict, took_ms: float) -> Response:
    push = read_push(delivery.body)
    body = PushAnswer(
        success=True,
        message=NOTHING_NEW.get(verdict.word, PROCESSED),
        job_id=push.job_id,
        num_videos=len(push.videos),
        processing_time_ms=round(took_ms),
    )
    return JSONResponse(body.model_dump())


def refused(delivery: WebhookDelivery, verdict: Verdict) -> Response:
    """A problem document that also has the backend's words. A forger learns nothing but that."""
    error = REFUSALS.get(verdict.status, verdict.detail)
    named = {"job_id": read_push(delivery.body).job_id} if verdict.status in NAMING_THE_JOB else {}
    body = problem_body(verdict.status, CODES.get(verdict.status, "INVALID_PARAMS"), error, error=error, **named)
    headers = RETRY_SOON if verdict.status is HTTPStatus.SERVICE_UNAVAILABLE else {}
    return JSONResponse(body, verdict.status, headers, MEDIA_TYPE)

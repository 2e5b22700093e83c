"""The studio backend reports here: the progress of its jobs, and their videos."""

import time
from http import HTTPStatus
from uuid import uuid4

from fastapi import APIRouter, BackgroundTasks, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from api.problems import problems
from api.services import Services, TheServices
from api.webhooks import bodies
from api.webhooks.inbox import Handover
from api.webhooks.routes import PROBLEMS, answer, logged_headers
from api.webhooks.verdicts import DEFERRED, IGNORED, REJECTIONS, UNAVAILABLE, Verdict
from db.tables import WebhookDelivery
from domain.generation import ProviderName
from providers.errors import Forged
from providers.registry import STUDIO_WEBHOOK_PATH
from providers.studio_push import read_push, verify_secret

NOTHING_NEW = {Handover.DUPLICATE: "The job has ended, or its end is known.", IGNORED: "Nothing new."}

router = APIRouter(tags=["webhooks"])


class PushAnswer(BaseModel):
    """What the backend is answered. It is no part of `/api`'s own spelling: the backend's words are snake case."""

    success: bool
    message: str
    job_id: str
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


@router.post(STUDIO_WEBHOOK_PATH, response_model=PushAnswer, responses=problems(*PROBLEMS), openapi_extra=bodies.STUDIO)
async def receive_push(request: Request, services: TheServices, tasks: BackgroundTasks) -> Response:
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
        verify_secret(request.headers, services.settings.webhook_secret)
    except Forged as rejected:
        verdict = Verdict(*REJECTIONS[Forged], str(rejected))
    else:
        delivery.verified = True
        verdict = await services.pushes.take(delivery)
    took_ms = (time.perf_counter() - arrived) * 1000
    services.metrics.note_webhook(ProviderName.STUDIO, verdict.word, took_ms / 1000)
    if not await kept(services, tasks, delivery, verdict, took_ms):
        verdict = Verdict(UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE)
    if verdict.status is not HTTPStatus.OK:
        is_malformed = verdict.status is HTTPStatus.BAD_REQUEST
        return answer(verdict.word, verdict.status, why=verdict.detail if is_malformed else "")
    return taken(delivery, verdict, took_ms)


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
    said = push.phase.message if push.phase else verdict.detail
    body = PushAnswer(
        success=True,
        message=NOTHING_NEW.get(verdict.word, said),
        job_id=str(verdict.job_id),
        num_videos=len(push.videos),
        processing_time_ms=round(took_ms),
    )
    return JSONResponse(body.model_dump())

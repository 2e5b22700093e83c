"""Providers report here: verified, pinned to an attempt, handed to the workflow. Nothing slow, nothing started."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID, uuid4

import structlog
from fastapi import APIRouter, BackgroundTasks, Query, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError, RPCStatusCode

from api.problems import MEDIA_TYPE, problem_body, problems
from api.services import Services, TheServices
from db.deliveries import log_delivery
from db.generations import find_generation, find_generation_by_request
from db.tables import GenerationJob, WebhookDelivery
from domain.generation import ProviderName, Report, Status
from domain.webhook_token import read_token
from providers.errors import Forged, KeysUnavailable, Malformed, Stale, WebhookRejected
from workflows.generation import GenerationWorkflow
from workflows.ids import workflow_id

# The SDK's own retries would block for 6-9 s while Temporal is down; providers wait 5-15 s.
SIGNAL_SECONDS = 1.0
FAL_PATH = "/api/webhooks/fal"
FAL_PROBLEMS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
)
LOGGED_HEADERS = ("content-type", "user-agent", "x-fal-webhook-")
LOGGED_BODY_BYTES = 256 * 1024

log = structlog.get_logger()


@dataclass(frozen=True)
class Verdict:
    """What we made of a delivery."""

    word: str
    status: HTTPStatus
    detail: str = ""
    job_id: UUID | None = None
    request_id: str | None = None


REJECTIONS = {
    Malformed: ("malformed", HTTPStatus.BAD_REQUEST),
    Forged: ("forged", HTTPStatus.UNAUTHORIZED),
    Stale: ("stale", HTTPStatus.UNAUTHORIZED),
    KeysUnavailable: ("unverifiable", HTTPStatus.SERVICE_UNAVAILABLE),
}


def webhook_routes(fal_webhook_path: str) -> APIRouter:
    """The routes; fal's second one is wherever the operator has it."""
    router = APIRouter(tags=["webhooks"])
    router.add_api_route(FAL_PATH, receive_fal, methods=["POST"], responses=problems(*FAL_PROBLEMS))
    if fal_webhook_path != FAL_PATH:
        router.add_api_route(fal_webhook_path, receive_fal, methods=["POST"], include_in_schema=False)
    return router


async def receive_fal(
    request: Request,
    services: TheServices,
    tasks: BackgroundTasks,
    job: Annotated[str | None, Query(description="The generation, in the URL that we gave to fal.")] = None,
    token: Annotated[str | None, Query(description="The attempt's token.")] = None,
) -> Response:
    """fal's report of an ended request. 2xx once the workflow has it."""
    arrived = time.perf_counter()
    delivery_id, body = uuid4(), await request.body()
    verdict = await judge_fal(services, delivery_id, request.headers, body, job, token)
    delivery = WebhookDelivery(
        id=delivery_id,
        provider=ProviderName.FAL,
        job_id=verdict.job_id,
        request_id=verdict.request_id,
        verdict=verdict.word,
        status_code=verdict.status,
        detail=verdict.detail,
        headers={name: value for name, value in request.headers.items() if name.startswith(LOGGED_HEADERS)},
        body=body[:LOGGED_BODY_BYTES],
        took_ms=(time.perf_counter() - arrived) * 1000,
    )
    tasks.add_task(write_down, services, delivery)
    return answer(verdict)


async def judge_fal(
    services: Services, delivery_id: UUID, headers: Mapping[str, str], body: bytes, job: str | None, token: str | None
) -> Verdict:
    """Token, signature, then the workflow: cheap checks first, and nothing parsed before it is verified."""
    generation_id, attempt = read_address(services, job, token)
    if job is not None and attempt is None:
        return Verdict("wrong token", HTTPStatus.UNAUTHORIZED, "The token is not the job's.")
    try:
        notice = await services.fal_webhooks.verify(headers, body)
    except WebhookRejected as rejected:
        word, status = REJECTIONS[type(rejected)]
        return Verdict(word, status, str(rejected), generation_id)
    if generation_id is None or attempt is None:
        row = await find_by_request(services, notice.request_id)
        if row is None:
            return Verdict("unknown", HTTPStatus.NOT_FOUND, "No such request.", None, notice.request_id)
        generation_id, attempt = row.id, row.attempts
    report = Report(attempt=attempt, request_id=notice.request_id, delivery_id=delivery_id)
    return await hand_over(services, generation_id, report)


def read_address(services: Services, job: str | None, token: str | None) -> tuple[UUID | None, int | None]:
    """The generation and the attempt that a webhook URL of ours names."""
    secret = services.settings.fal_webhook_secret
    try:
        generation_id = UUID(job or "")
    except ValueError:
        return None, None
    if secret is None:
        return generation_id, None
    return generation_id, read_token(secret.get_secret_value().encode(), generation_id, token or "")


async def hand_over(services: Services, generation_id: UUID, report: Report) -> Verdict:
    """Signal the workflow. Whether there is (still) one decides what a repeated or late report gets."""
    handle = services.temporal.get_workflow_handle(workflow_id(generation_id))
    try:
        async with asyncio.timeout(SIGNAL_SECONDS):
            await handle.signal(GenerationWorkflow.report, report, rpc_timeout=timedelta(seconds=SIGNAL_SECONDS))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return await without_a_run(services, generation_id, report)
        return not_now(generation_id, report, str(error))
    except (TimeoutError, RuntimeError) as error:
        return not_now(generation_id, report, str(error))
    return Verdict("accepted", HTTPStatus.OK, "", generation_id, report.request_id)


async def without_a_run(services: Services, generation_id: UUID, report: Report) -> Verdict:
    async with services.service_sessions() as session:
        row = await find_generation(session, generation_id)
    if row is None:
        return Verdict("unknown", HTTPStatus.NOT_FOUND, "No such job.", generation_id, report.request_id)
    if Status(row.status).is_final:
        return Verdict("duplicate", HTTPStatus.OK, "The job has ended.", generation_id, report.request_id)
    return not_now(generation_id, report, "The job's workflow is not running yet.")


def not_now(generation_id: UUID, report: Report, why: str) -> Verdict:
    """The provider will come again."""
    return Verdict("deferred", HTTPStatus.SERVICE_UNAVAILABLE, why, generation_id, report.request_id)


def answer(verdict: Verdict) -> Response:
    if verdict.status is HTTPStatus.OK:
        return JSONResponse({"received": True, "verdict": verdict.word})
    headers = {"retry-after": "2"} if verdict.status is HTTPStatus.SERVICE_UNAVAILABLE else {}
    code = {401: "UNAUTHENTICATED", 404: "NOT_FOUND", 503: "UNAVAILABLE"}.get(verdict.status, "INVALID_PARAMS")
    # Why exactly is for our delivery log: a forger learns nothing from the answer.
    body = problem_body(verdict.status, code, f"This webhook is {verdict.word}.")
    return JSONResponse(body, verdict.status, headers, MEDIA_TYPE)


async def find_by_request(services: Services, request_id: str) -> GenerationJob | None:
    async with services.service_sessions() as session:
        return await find_generation_by_request(session, request_id)


async def write_down(services: Services, delivery: WebhookDelivery) -> None:
    """The delivery log. It is for people to read; a report is safe in its workflow without it."""
    try:
        async with services.service_sessions.begin() as session:
            await log_delivery(session, delivery)
    except (SQLAlchemyError, OSError) as error:
        log.warning("delivery not logged", delivery_id=str(delivery.id), verdict=delivery.verdict, error=str(error))

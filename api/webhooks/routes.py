"""Providers report here: verified, pinned to an attempt, signalled to the workflow. Nothing slow, nothing started."""

from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Query, Request, Response
from fastapi.responses import JSONResponse

from api.http.problems import MEDIA_TYPE, ProblemCode, problem_body, problems
from api.services import Services, ServicesDep
from api.webhooks import schemas, studio
from api.webhooks.inbox import WebhookResult
from api.webhooks.receive import judge_push, judge_report, receive
from reelay.domain.generation import ProviderName
from reelay.domain.messages import Sentence
from reelay.domain.verdict import Verdict
from reelay.providers.registry import FAL_WEBHOOK_PATH, REPLICATE_WEBHOOK_PATH, STUDIO_WEBHOOK_PATH

PROBLEMS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
CODES = {
    HTTPStatus.UNAUTHORIZED: ProblemCode.UNAUTHENTICATED,
    HTTPStatus.NOT_FOUND: ProblemCode.NOT_FOUND,
    HTTPStatus.CONFLICT: ProblemCode.CONFLICT,
    HTTPStatus.SERVICE_UNAVAILABLE: ProblemCode.UNAVAILABLE,
}
DETAILS = {
    Verdict.UNKNOWN: "There is no job for this request.",
    Verdict.MALFORMED: "The webhook is malformed.",
    Verdict.FORGED: "The signature does not match.",
    Verdict.STALE: "The timestamp is too far from the current time.",
    Verdict.WRONG_TOKEN: "The token does not match.",
    Verdict.MISMATCH: "The request does not belong to this token.",
    Verdict.UNVERIFIABLE: "The signature cannot be verified at the moment. Retry later.",
    Verdict.UNAVAILABLE: "The webhook cannot be stored at the moment. Retry later.",
}
"""A forger learns nothing more."""
RETRY_SOON = {"retry-after": "2"}

JobParameter = Annotated[str | None, Query(description="The job, in the URL that the provider was given.")]
TokenParameter = Annotated[str | None, Query(description="What proves that the URL is ours.")]


def webhook_routes(fal_webhook_path: str) -> APIRouter:
    """The routes; fal's second one is wherever the operator has it."""
    router = APIRouter(tags=["webhooks"])
    for path, endpoint, body in (
        (FAL_WEBHOOK_PATH, receive_fal, schemas.FAL),
        (REPLICATE_WEBHOOK_PATH, receive_replicate, schemas.REPLICATE),
    ):
        router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            response_model=schemas.WebhookAnswer,
            responses=problems(*PROBLEMS),
            openapi_extra=body,
        )
    if fal_webhook_path != FAL_WEBHOOK_PATH:
        router.add_api_route(fal_webhook_path, receive_fal, methods=["POST"], include_in_schema=False)
    router.add_api_route(STUDIO_WEBHOOK_PATH, push_health, methods=["GET"])
    router.add_api_route(
        STUDIO_WEBHOOK_PATH,
        receive_push,
        methods=["POST"],
        response_model=schemas.PushAnswer,
        responses=problems(*PROBLEMS, HTTPStatus.CONFLICT),
        openapi_extra=schemas.STUDIO,
    )
    return router


async def receive_fal(
    request: Request,
    services: ServicesDep,
    tasks: BackgroundTasks,
    job: JobParameter = None,
    token: TokenParameter = None,
) -> Response:
    """Receive fal's report of an ended request. 2xx once it is stored durably."""
    return await _receive_report(ProviderName.FAL, request, services, tasks, job, token)


async def receive_replicate(
    request: Request,
    services: ServicesDep,
    tasks: BackgroundTasks,
    job: JobParameter = None,
    token: TokenParameter = None,
) -> Response:
    """Receive Replicate's report of an ended prediction (Standard Webhooks). 2xx once it is stored durably."""
    return await _receive_report(ProviderName.REPLICATE, request, services, tasks, job, token)


async def push_health() -> schemas.Health:
    """Tell a backend that it reaches this webhook."""
    return schemas.Health(status="healthy", message="POST the progress and the end of a job here.")


async def receive_push(request: Request, services: ServicesDep, tasks: BackgroundTasks) -> Response:
    """Receive the progress or the end of a job from the studio backend. 2xx once it is stored durably."""
    received = await receive(ProviderName.STUDIO, request, services, tasks, partial(judge_push, services, request))
    result = received.result
    if result.status is HTTPStatus.OK:
        return JSONResponse(studio.push_answer(received.delivery, result).model_dump())
    error, named = studio.refusal(received.delivery, result)
    return _problem(result, error, error=error, **named)


async def _receive_report(
    provider: ProviderName,
    request: Request,
    services: Services,
    tasks: BackgroundTasks,
    job: str | None,
    token: str | None,
) -> Response:
    judge = partial(judge_report, services, request.headers, job, token)
    result = (await receive(provider, request, services, tasks, judge)).result
    if result.status is HTTPStatus.OK:
        return JSONResponse(schemas.WebhookAnswer(success=True, received=True, verdict=result.verdict).model_dump())
    error = Sentence("job_not_found") if result.status is HTTPStatus.NOT_FOUND else None
    return _problem(result, DETAILS[result.verdict], error=error)


def _problem(result: WebhookResult, detail: str, *, error: str | None, **extra: str) -> Response:
    headers = RETRY_SOON if result.status is HTTPStatus.SERVICE_UNAVAILABLE else {}
    body = problem_body(
        result.status, CODES.get(result.status, ProblemCode.INVALID_PARAMS), detail, error=error, **extra
    )
    return JSONResponse(body, result.status, headers, MEDIA_TYPE)

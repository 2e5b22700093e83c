"""Replicate's API over HTTP: predictions (create in both forms, get, list, cancel), versions, the webhook secret."""

import re
import secrets
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ValidationError

from lab.simulator.answers import output_files
from lab.simulator.faults import Fault
from lab.simulator.files import serve_file
from lab.simulator.queue import Submission
from lab.simulator.refusals import Refused, gateway_timeout
from lab.simulator.replicate_models import MODELS
from lab.simulator.replicate_predictions import is_gone, prediction_of
from lab.simulator.requests import Provider, SimulatedRequest
from lab.simulator.simulator import Running, Simulator
from lab.simulator.submissions import accept, faults_in, lost_answer

PAGE_LENGTH = 100
ID_LETTERS = "abcdefghjkmnpqrstvwxyz0123456789"
ID_LENGTH = 26
PREFERENCE = re.compile(r"wait(?:=([1-9]|[1-5][0-9]|60))?")
DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
NOT_FOUND = {"title": "Not found", "detail": "The requested resource could not be found.", "status": 404}
NO_VERSION = {
    "title": "Invalid version or not permitted",
    "detail": "The specified version does not exist (or perhaps you don't have permission to use it?)",
    "status": 422,
}


class ModelPrediction(BaseModel):
    """The body for an official model."""

    input: dict[str, Any]
    webhook: str | None = None
    webhook_events_filter: list[Literal["start", "output", "logs", "completed"]] | None = None


class VersionPrediction(ModelPrediction):
    version: str


async def authorize(simulator: Running, authorization: Annotated[str | None, Header()] = None) -> None:
    """Every call needs `Authorization: Bearer <token>`."""
    scheme, _, token = (authorization or "").partition(" ")
    accepted = simulator.settings.accepted_keys
    if scheme not in ("Bearer", "Token") or not token or (accepted is not None and token not in accepted):
        detail = "You did not pass a valid authentication token"
        raise Refused(401, {"title": "Unauthenticated", "detail": detail, "status": 401})


async def find_prediction(simulator: Running, prediction_id: str) -> SimulatedRequest:
    request = simulator.queue.find(Provider.REPLICATE, prediction_id)
    if request is None:
        raise Refused(404, NOT_FOUND)
    return request


Found = Annotated[SimulatedRequest, Depends(find_prediction)]
router = APIRouter(prefix="/v1", dependencies=[Depends(authorize)])


class Creation:
    """What creating a prediction needs beside its body."""

    def __init__(
        self,
        simulator: Running,
        http: Request,
        prefer: Annotated[str | None, Header()] = None,
        cancel_after: Annotated[str | None, Header()] = None,
    ) -> None:
        self._simulator = simulator
        self._origin = simulator.settings.public_url or f"{http.url.scheme}://{http.url.netloc}"
        self._wait = _wait_of(prefer)
        self._cancel_after = _duration_of(cancel_after)

    async def create(self, endpoint: str, body: ModelPrediction) -> Response:
        simulator = self._simulator
        submission = Submission(
            provider=Provider.REPLICATE,
            request_id="".join(secrets.choice(ID_LETTERS) for _ in range(ID_LENGTH)),
            endpoint=endpoint,
            input=body.input,
            origin=self._origin,
            webhook_url=body.webhook,
            faults=faults_in(body.input),
            webhook_events=None if body.webhook_events_filter is None else frozenset(body.webhook_events_filter),
            cancel_after=self._cancel_after,
        )
        fault = simulator.queue.submit_fault(submission)
        try:
            _admit(submission, fault)
        except Refused as refused:
            simulator.queue.refuse(submission, refused.status_code)
            raise
        request = await accept(simulator, submission)
        return await lost_answer(simulator, request, fault) or await self._created(request)

    async def _created(self, request: SimulatedRequest) -> Response:
        """201; after a wait that ran out, 202."""
        clock = self._simulator.clock
        if self._wait is not None:
            await clock.sleep_until(min(request.ends_at, clock.now() + self._wait))
        ended = request.ends_at <= clock.now()
        return JSONResponse(_body(self._simulator, request), 201 if self._wait is None or ended else 202)


Creating = Annotated[Creation, Depends(Creation)]


@router.post("/predictions")
async def create_by_version(creation: Creating, body: VersionPrediction) -> Response:
    """`version` is a version's id, `owner/name:id`, or the `owner/name` of an official model."""
    endpoint = next((endpoint for endpoint in MODELS if body.version in (endpoint, endpoint.partition(":")[2])), None)
    if endpoint is None:
        raise Refused(422, NO_VERSION)
    return await creation.create(endpoint, body)


@router.post("/models/{owner}/{name}/predictions")
async def create_by_model(creation: Creating, owner: str, name: str, body: ModelPrediction) -> Response:
    """Official models alone can be run by name."""
    if f"{owner}/{name}" not in MODELS:
        raise Refused(404, NOT_FOUND)
    return await creation.create(f"{owner}/{name}", body)


@router.get("/predictions")
async def predictions(
    simulator: Running, http: Request, cursor: int = 0, created_after: datetime | None = None
) -> dict[str, Any]:
    """The latest first, a hundred at a time. Where a webhook goes is not shown."""
    now = simulator.clock.now()
    listed = [
        request
        for request in reversed(simulator.queue.requests_of(Provider.REPLICATE))
        if _is_listed(request, now) and (created_after is None or request.accepted_at >= created_after)
    ]
    page = listed[cursor : cursor + PAGE_LENGTH]
    pages = {"next": cursor + PAGE_LENGTH, "previous": cursor - PAGE_LENGTH}
    links = {
        name: str(http.url.include_query_params(cursor=at)) if 0 <= at < len(listed) else None
        for name, at in pages.items()
    }
    return {**links, "results": [_listed(simulator, request) for request in page]}


@router.get("/predictions/{prediction_id}")
async def get_prediction(simulator: Running, found: Found) -> Response:
    found.status_calls += 1
    found.result_calls += found.ends_at <= simulator.clock.now()
    simulator.queue.save(found)
    if found.result_calls and found.hits_gateway():
        return gateway_timeout()
    if is_gone(found, simulator.clock.now()):
        raise Refused(404, NOT_FOUND)
    return JSONResponse(_body(simulator, found))


@router.post("/predictions/{prediction_id}/cancel")
async def cancel(simulator: Running, found: Found) -> Response:
    simulator.queue.cancel(found)
    simulator.webhook_sender.dispatch(found)
    return JSONResponse(_body(simulator, found))


router.add_api_route("/files/{request_id}/{name}", serve_file, methods=["GET"])


@router.get("/models/{owner}/{name}/versions/{version_id}")
async def get_version(owner: str, name: str, version_id: str) -> dict[str, Any]:
    model = MODELS.get(f"{owner}/{name}:{version_id}")
    if model is None:
        raise Refused(404, NOT_FOUND)
    schemas = {"Input": model.model_json_schema(), "Output": model.output_schema()}
    return {
        "id": version_id,
        "created_at": "2023-07-01T12:00:00.000000Z",
        "cog_version": "0.7.2",
        "openapi_schema": {"openapi": "3.0.2", "components": {"schemas": schemas}},
    }


@router.get("/webhooks/default/secret")
async def webhook_secret(simulator: Running) -> dict[str, str]:
    return {"key": simulator.settings.replicate_webhook_secret}


def _admit(submission: Submission, fault: Fault | None) -> None:
    """Raises: Refused, when no prediction is made of this submission."""
    match fault:
        case Fault.SUBMIT_429:
            detail = "Request was throttled. Your rate limit resets in ~1s."
            raise Refused(429, {"detail": detail, "status": 429}, {"ratelimit-remaining": "0", "ratelimit-reset": "1"})
        case Fault.SUBMIT_500:
            raise Refused(500, {"detail": "Internal server error.", "status": 500})
        case Fault.SUBMIT_403_LOCKED:
            detail = "You have insufficient credit to run this model."
            raise Refused(402, {"title": "Insufficient credit", "detail": detail, "status": 402})
    try:
        MODELS[submission.endpoint].model_validate(submission.input)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise _invalid("; ".join(wrong)) from None
    if Fault.FAIL_422 in submission.faults:
        raise _invalid("prompt: This input is not supported")


def _invalid(description: str) -> Refused:
    field = {"type": "invalid", "field": "input", "description": description}
    detail = f"- input: {description}\n"
    body = {"title": "Input validation failed", "detail": detail, "status": 422, "invalid_fields": [field]}
    return Refused(422, body)


def _body(simulator: Simulator, request: SimulatedRequest) -> dict[str, Any]:
    now = simulator.clock.now()
    return prediction_of(request, now, output_files(request, simulator.samples)) | {"webhook": request.webhook_url}


def _is_listed(request: SimulatedRequest, now: datetime) -> bool:
    late = request.faults.delays.get(Fault.LISTING_LATE)
    return Fault.LISTING_LOST not in request.faults and (late is None or now >= request.ends_at + late)


def _listed(simulator: Simulator, request: SimulatedRequest) -> dict[str, Any]:
    body = prediction_of(request, simulator.clock.now(), output_files(request, simulator.samples))
    return body | {"input": {}} if Fault.LISTING_NO_INPUT in request.faults else body


def _wait_of(prefer: str | None) -> timedelta | None:
    """How long the connection is held; None: not at all."""
    match = PREFERENCE.fullmatch(prefer or "")
    return timedelta(seconds=int(match[1] or 60)) if match else None


def _duration_of(text: str | None) -> timedelta | None:
    """E.g. `30s` or `1h30m`. Raises: Refused."""
    if text is None:
        return None
    match = DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise Refused(422, {"detail": "Cancel-After must be a duration such as 30s or 1h30m", "status": 422})
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)

"""fal's queue over HTTP: submit, status, status stream, result, cancel, and the keys of its webhooks."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from lab.simulator.answers import answer_of
from lab.simulator.fal_catalogue import MODELS
from lab.simulator.faults import REPLICATES_OWN, Fault
from lab.simulator.queue import CancelStatus, Queue, Submission
from lab.simulator.refusals import Refused, gateway_timeout
from lab.simulator.requests import Provider, QueueStatus, SimulatedRequest, new_request_id
from lab.simulator.simulator import Running, Simulator
from lab.simulator.submissions import accept, faults_in, lost_answer

STREAM_INTERVAL = timedelta(seconds=0.25)
UNDOCUMENTED_STATUS = "WARMING_UP"
NOT_FOUND = {"status": "NOT_FOUND"}
LOCKED = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
CANCEL_CODES = {CancelStatus.OK: 200, CancelStatus.CANCELLATION_REQUESTED: 202, CancelStatus.ALREADY_COMPLETED: 400}


async def authorize(simulator: Running, authorization: Annotated[str | None, Header()] = None) -> None:
    """Every call needs `Authorization: Key <id>:<secret>`."""
    scheme, _, key = (authorization or "").partition(" ")
    accepted = simulator.settings.accepted_keys
    if scheme != "Key" or not key or (accepted is not None and key not in accepted):
        raise Refused(401, {"detail": "Invalid key credentials"})


async def find_request(simulator: Running, owner: str, app: str, request_id: str) -> SimulatedRequest:
    request = simulator.queue.find(Provider.FAL, request_id)
    if request is None or request.app != f"{owner}/{app}":
        raise Refused(404, NOT_FOUND)
    return request


Found = Annotated[SimulatedRequest, Depends(find_request)]
public = APIRouter()
router = APIRouter(dependencies=[Depends(authorize)])


@public.get("/.well-known/jwks.json")
async def jwks(simulator: Running) -> dict[str, list[dict[str, str]]]:
    return simulator.keys.jwks()


@router.get("/{owner}/{app}/requests/{request_id}/status")
@router.get("/{owner}/{app}/requests/{request_id}/status/")
async def status(simulator: Running, found: Found, logs: bool = False) -> Response:
    found.status_calls += 1
    simulator.queue.save(found)
    body = status_body(simulator, found, logs=logs)
    return _answer(found, 200 if body["status"] == QueueStatus.COMPLETED else 202, body)


@router.get("/{owner}/{app}/requests/{request_id}/status/stream")
@router.get("/{owner}/{app}/requests/{request_id}/status/stream/")
async def status_stream(simulator: Running, found: Found, logs: bool = False) -> Response:
    found.status_calls += 1
    simulator.queue.save(found)
    return StreamingResponse(_status_events(simulator, found, logs=logs), media_type="text/event-stream")


@router.get("/{owner}/{app}/requests/{request_id}")
@router.get("/{owner}/{app}/requests/{request_id}/")
async def result(simulator: Running, found: Found) -> Response:
    found.result_calls += 1
    simulator.queue.save(found)
    now = simulator.clock.now()
    if found.status(now) is not QueueStatus.COMPLETED:
        raise Refused(400, {"detail": "Request is still in progress"})
    if found.hits_gateway():
        return gateway_timeout()
    answer = answer_of(found, now, simulator.samples)
    if found.payloads_deleted or now >= found.ends_at + answer.retention:
        raise Refused(404, NOT_FOUND)
    return _answer(found, answer.status_code, answer.body, answer.headers)


@router.put("/{owner}/{app}/requests/{request_id}/cancel")
@router.put("/{owner}/{app}/requests/{request_id}/cancel/")
async def cancel(simulator: Running, found: Found) -> Response:
    answer = simulator.queue.cancel(found)
    if answer is not CancelStatus.ALREADY_COMPLETED:
        simulator.webhook_sender.dispatch(found)
    return _answer(found, CANCEL_CODES[answer], {"status": answer})


@router.post("/{owner}/{app}")
@router.post("/{owner}/{app}/{sub:path}")
async def submit(
    simulator: Running,
    http: Request,
    owner: str,
    app: str,
    arguments: dict[str, Any],
    sub: str = "",
    fal_webhook: str | None = None,
    fal_max_queue_length: str | None = None,
) -> Response:
    """Whatever is wrong with the input shows on the result: the queue accepts it, as fal's does."""
    submission = Submission(
        provider=Provider.FAL,
        request_id=new_request_id(simulator.clock.now()),
        endpoint="/".join(part for part in (owner, app, sub.strip("/")) if part),
        input=arguments,
        origin=simulator.settings.public_url or f"{http.url.scheme}://{http.url.netloc}",
        webhook_url=fal_webhook,
        faults=faults_in(arguments),
        key=http.headers["authorization"].removeprefix("Key "),
    )
    fault = simulator.queue.submit_fault(submission)
    try:
        _admit(simulator.queue, submission, fault, fal_max_queue_length)
    except Refused as refused:
        simulator.queue.refuse(submission, refused.status_code)
        raise
    request = await accept(simulator, submission)
    return await lost_answer(simulator, request, fault) or _submitted(simulator, request)


def _admit(queue: Queue, submission: Submission, fault: Fault | None, longest_queue: str | None) -> None:
    """Raises: Refused, when the queue does not take this submission."""
    if submission.endpoint not in MODELS:
        raise Refused(404, NOT_FOUND)
    if foreign := submission.faults.asked & REPLICATES_OWN:
        raise Refused(400, {"detail": f"no faults of fal's: {', '.join(sorted(foreign))}"})
    if submission.key in queue.locked_keys:
        raise Refused(403, {"detail": LOCKED})
    match fault:
        case Fault.SUBMIT_429:
            raise Refused(429, {"detail": "Too many requests"}, {"retry-after": "1"})
        case Fault.SUBMIT_500:
            raise Refused(500, {"detail": "Internal Server Error"})
        case Fault.SUBMIT_403_LOCKED:
            raise Refused(403, {"detail": LOCKED})
    if longest_queue is None:
        return
    if not longest_queue.isdecimal():
        raise Refused(400, {"error": "fal_max_queue_length must be an integer"})
    if queue.waiting(submission.app) > int(longest_queue):
        raise Refused(429, {"detail": "Queue length exceeds fal_max_queue_length"})


def _submitted(simulator: Simulator, request: SimulatedRequest) -> Response:
    queued = simulator.queue.waiting(request.app, before=request.accepted_at)
    body: dict[str, Any] = {
        "status": QueueStatus.IN_QUEUE,
        **_addresses(request),
        "logs": None,
        "metrics": {},
        "queue_position": queued,
        "user_queue_position": queued,
        "user_queued_count": queued + 1,
    }
    return _answer(request, 200, body)


def status_body(simulator: Simulator, request: SimulatedRequest, *, logs: bool) -> dict[str, Any]:
    now = simulator.clock.now()
    status = request.status(now)
    body: dict[str, Any] = {
        "status": status,
        **_addresses(request),
        "logs": request.logs(now) if logs else None,
        "metrics": {},
    }
    match status:
        case QueueStatus.IN_QUEUE:
            body["queue_position"] = simulator.queue.waiting(request.app, before=request.accepted_at)
        case QueueStatus.IN_PROGRESS if Fault.STATUS_UNKNOWN_WORD in request.faults:
            body["status"] = UNDOCUMENTED_STATUS
        case QueueStatus.COMPLETED:
            answer = answer_of(request, now, simulator.samples)
            body |= {"cancel_url": None, "metrics": {"inference_time": request.inference_time}}
            if answer.error is not None:
                body |= {"error": answer.error, "error_type": answer.error_type}
    return body


async def _status_events(simulator: Simulator, request: SimulatedRequest, *, logs: bool) -> AsyncIterator[str]:
    seen = None
    while seen is None or seen["status"] != QueueStatus.COMPLETED:
        body = status_body(simulator, request, logs=logs)
        if body != seen:
            yield f"data: {json.dumps(body)}\n\n"
        seen = body
        await simulator.clock.sleep_until(min(simulator.clock.now() + STREAM_INTERVAL, request.ends_at))


def _addresses(request: SimulatedRequest) -> dict[str, str]:
    url = f"{request.origin}/{request.app}/requests/{request.id}"
    return {
        "request_id": request.id,
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
    }


def _answer(
    request: SimulatedRequest, status_code: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    return JSONResponse(body, status_code, {"x-fal-request-id": request.id, **(headers or {})})

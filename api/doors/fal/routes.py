"""fal's queue and its direct calls, as its clients make them. Undocumented here: fal's own documents describe them.

A request's addresses begin with the app: an endpoint's id without its sub-path, of two segments, or of three in the
namespaces `workflows` and `comfy`.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response
from fastapi.responses import JSONResponse

from api.context import Context, RequestContext
from api.doors.fal.errors import REQUEST_ID, FalRoute
from api.doors.fal.replays import Listener
from api.doors.fal.results import USER_TIMEOUT, answer_of
from api.doors.fal.statuses import COMPLETED, addresses, moments, next_status, status_events
from api.doors.fal.submissions import WishesDep, submitted
from api.events.stream import HEARTBEAT, EventResponse
from api.generations import cancel
from api.generations.read import find_job
from api.http.problems import NotFound
from api.identity.dependencies import revalidate_caller
from reelay.db.generations import files_of
from reelay.db.tables import GenerationJob
from reelay.domain.generation import Status
from reelay.domain.messages import Sentence, message
from reelay.providers.fal import app_of

QUEUE = "/fal/queue"
RUN = "/fal/run"
RUN_SECONDS = 285.0
"""Node's fetch waits five minutes for the headers of an answer; fal-client has no limit."""
STREAM = "/stream"

Arguments = Annotated[dict[str, Any] | None, Body()]
Logs = Annotated[bool, Query()]

router = APIRouter(route_class=FalRoute, include_in_schema=False)


@router.get(f"{QUEUE}/{{app:path}}/requests/{{request_id}}/status")
async def read_status(app: str, request_id: str, context: Context, logs: Logs = False) -> Response:
    job = await _find(context, app, request_id)
    body = await next_status(context, context.services.fal_door.pollers, job, _base(context), logs=logs)
    await revalidate_caller(context.services, context.caller)
    code = HTTPStatus.OK if body["status"] == COMPLETED else HTTPStatus.ACCEPTED
    return JSONResponse(body, code, _named(job))


@router.get(f"{QUEUE}/{{app:path}}/requests/{{request_id}}/status/stream")
async def stream_status(
    request: Request, app: str, request_id: str, context: Context, logs: Logs = False
) -> EventResponse:
    job = await _find(context, app, request_id)
    return _stream(request, context, job, status_events(context, job.id, _base(context), logs=logs))


@router.get(f"{QUEUE}/{{app:path}}/requests/{{request_id}}")
async def read_result(app: str, request_id: str, context: Context) -> Response:
    return await _answer(context, await _find(context, app, request_id))


@router.put(f"{QUEUE}/{{app:path}}/requests/{{request_id}}/cancel")
async def cancel_request(app: str, request_id: str, context: Context) -> Response:
    job = await _find(context, app, request_id)
    if Status(job.status).is_final:
        return JSONResponse({"status": "ALREADY_COMPLETED"}, HTTPStatus.BAD_REQUEST, _named(job))
    await cancel.cancel_job(context, job.id)
    return JSONResponse({"status": "CANCELLATION_REQUESTED"}, HTTPStatus.ACCEPTED, _named(job))


@router.post(f"{QUEUE}/{{endpoint:path}}")
async def submit(
    request: Request, endpoint: str, context: Context, wishes: WishesDep, arguments: Arguments = None
) -> Response:
    """200 with the request's id, which is the job's, once the job is written down."""
    async with submitted(request, context, endpoint.strip("/"), arguments or {}, wishes) as (job, _):
        body: dict[str, Any] = {
            "status": "IN_QUEUE",
            **addresses(_base(context), job),
            "logs": None,
            "metrics": {},
            "queue_position": 0,
        }
    return JSONResponse(body, headers=_named(job) | wishes.headers)


@router.post(f"{RUN}/{{endpoint:path}}")
async def run(
    request: Request, endpoint: str, context: Context, wishes: WishesDep, arguments: Arguments = None
) -> Response:
    """The result itself, as far as it is there within `RUN_SECONDS`: after that the job goes on, and is in the queue.

    `.../stream` answers it as the one event of a stream, however long it takes.
    """
    endpoint, is_stream = endpoint.strip("/").removesuffix(STREAM), endpoint.rstrip("/").endswith(STREAM)
    async with submitted(request, context, endpoint, arguments or {}, wishes) as (job, listener):
        if not is_stream:
            job = await _wait_for_end(context, job, listener)
    if is_stream:
        return _stream(request, context, job, _result_events(context, job), wishes.headers)
    if Status(job.status).is_final:
        return await _answer(context, job, wishes.headers)
    address = addresses(_base(context), job)["response_url"]
    body = {"detail": message("fal_door_goes_on", context.language, address=address), "error_type": "request_timeout"}
    return JSONResponse(body, HTTPStatus.GATEWAY_TIMEOUT, _named(job) | wishes.headers | USER_TIMEOUT)


async def _find(context: RequestContext, app: str, request_id: str) -> GenerationJob:
    """The caller's job, at the app or the endpoint that it is of. Raises: NotFound."""
    job = await find_job(context, request_id)
    if app.strip("/") not in (app_of(job.endpoint), job.endpoint):
        raise NotFound(Sentence("job_not_found"))
    await context.services.fal_door.replays.used(context.user_id, job.id)
    return job


async def _wait_for_end(context: RequestContext, job: GenerationJob, listener: Listener) -> GenerationJob:
    """The job once it has ended, or as it is when nobody waits for it any longer. Raises: Unauthenticated."""
    changes = context.services.changes
    with changes.subscribe(job.id) as changed, suppress(TimeoutError):
        listener.on_gone = changed.set
        async with asyncio.timeout(RUN_SECONDS):
            while not (listener.is_gone or changes.closing):
                job = await find_job(context, job.id)
                if Status(job.status).is_final:
                    break
                await changed.wait()
                changed.clear()
    await revalidate_caller(context.services, context.caller)
    return job


async def _result_events(context: RequestContext, job: GenerationJob) -> AsyncGenerator[bytes]:
    async with aclosing(moments(context, job.id)) as passing:
        async for now in passing:
            if now is None:
                yield HEARTBEAT
            elif Status(now.status).is_final:
                yield b"data: " + bytes((await _answer(context, now)).body) + b"\n\n"


async def _answer(context: RequestContext, job: GenerationJob, headers: dict[str, str] | None = None) -> JSONResponse:
    async with context.transaction() as session:
        files = await files_of(session, context.user_id, [job.id])
    answer = answer_of(job, files, context.links, context.language)
    answer.headers.update(headers or {})
    return answer


def _stream(
    request: Request,
    context: RequestContext,
    job: GenerationJob,
    content: AsyncGenerator[bytes],
    headers: dict[str, str] | None = None,
) -> EventResponse:
    """Raises: RateLimited."""
    streams, address = context.services.open_streams, request.client.host if request.client else ""
    streams.admit(context.caller.user_id, address)
    response = EventResponse(content, counted=streams.counted(context.caller.user_id, address))
    response.headers.update(_named(job) | (headers or {}))
    return response


def _base(context: RequestContext) -> str:
    return context.links.to(QUEUE)


def _named(job: GenerationJob) -> dict[str, str]:
    return {REQUEST_ID: str(job.id)}

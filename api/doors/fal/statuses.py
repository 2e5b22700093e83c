"""A job's status in fal's words, and how it is told: held back from those who ask all the time, or as a stream."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any
from uuid import UUID

import structlog

from api.context import RequestContext
from api.doors.fal.pollers import Pollers
from api.doors.fal.results import error_type_of, failure_code, failure_message
from api.events.revalidation import REVALIDATE_SECONDS
from api.events.stream import HEARTBEAT, RETRY_READ_SECONDS
from api.generations.progress import newest, queue_position
from api.generations.read import find_job
from api.http.problems import Unauthenticated
from api.identity.dependencies import revalidate_caller
from reelay.db.engine import POSTGRES_UNAVAILABLE
from reelay.db.logs import read_log
from reelay.db.tables import GenerationJob
from reelay.domain.generation import Status, WaitingFor
from reelay.providers.fal import app_of

COMPLETED = "COMPLETED"
HELD_SECONDS = 20.0
"""fal-client gives a status call two minutes, and proxies often one."""
HEARTBEAT_SECONDS = 15.0

Body = dict[str, Any]

log = structlog.get_logger()


async def next_status(context: RequestContext, pollers: Pollers, job: GenerationJob, base: str, *, logs: bool) -> Body:
    """At once for a first look; a poller is answered when there is something new, or after `HELD_SECONDS`.

    It is read from the row alone, which costs the engine nothing, however many ask.
    """
    question = context.user_id, job.id, logs
    body = await status_of(context, job, base, logs=logs)
    if body["status"] != COMPLETED and pollers.knows(question, body):
        body = await _changed_status(context, job.id, base, body, logs=logs)
    pollers.tell(question, body)
    return body


async def _changed_status(context: RequestContext, job_id: UUID, base: str, told: Body, *, logs: bool) -> Body:
    changes, body = context.services.changes, told
    with changes.subscribe(job_id) as changed, suppress(TimeoutError):
        async with asyncio.timeout(HELD_SECONDS):
            while body == told and not changes.closing:
                body = await status_of(context, await find_job(context, job_id), base, logs=logs)
                if body == told:
                    await changed.wait()
                    changed.clear()
    return body


async def status_events(context: RequestContext, job_id: UUID, base: str, *, logs: bool) -> AsyncGenerator[bytes]:
    """Server-sent events: the status now and after each change, each with the log lines that are new, to the end."""
    told, lines = None, 0
    async with aclosing(moments(context, job_id)) as passing:
        async for job in passing:
            if job is None:
                yield HEARTBEAT
                continue
            body = await status_of(context, job, base, logs=logs)
            if body != told:
                news = body["logs"][lines:] if body["logs"] is not None else None
                yield f"data: {json.dumps(body | {'logs': news})}\n\n".encode()
                told, lines = body, lines + len(news or ())


async def moments(context: RequestContext, job_id: UUID) -> AsyncGenerator[GenerationJob | None]:
    """The job now and after each change, and None where nothing happens for a while, until it has ended, or its reader
    may not read it any more."""
    services = context.services
    silent_since = time.monotonic()
    with services.changes.subscribe(job_id) as changed:
        changed.set()
        while True:
            if changed.is_set():
                changed.clear()
                try:
                    job = await find_job(context, job_id)
                except POSTGRES_UNAVAILABLE as error:
                    log.warning("event_stream_waits_for_postgres", error=str(error))
                    await asyncio.sleep(RETRY_READ_SECONDS)
                    changed.set()
                    continue
                yield job
                silent_since = time.monotonic()
                if Status(job.status).is_final or services.changes.closing:
                    return
            elif time.monotonic() - silent_since >= HEARTBEAT_SECONDS:
                yield None
                silent_since = time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(REVALIDATE_SECONDS):
                    await changed.wait()
            try:
                await revalidate_caller(services, context.caller)
            except Unauthenticated:
                return


async def status_of(context: RequestContext, job: GenerationJob, base: str, *, logs: bool) -> Body:
    """`base`: of the queue's addresses here."""
    status = Status(job.status)
    body: Body = {
        "status": word_for(status),
        **addresses(base, job),
        "logs": await _logs(context, job) if logs else None,
        "metrics": {},
    }
    if body["status"] == "IN_QUEUE":
        ahead = (await context.services.forecasts.of(job)).ahead if job.waiting_for == WaitingFor.SLOT else None
        body["queue_position"] = queue_position(job, newest(job, None), ahead) or 0
    if status.is_final and job.submitted_at and job.completed_at:
        body["metrics"] = {"inference_time": (job.completed_at - job.submitted_at).total_seconds()}
    if status in (Status.FAILED, Status.CANCELED):
        body |= {"error": failure_message(job, context.language), "error_type": error_type_of(failure_code(job))}
    return body


def word_for(status: Status) -> str:
    """fal has three words; whoever reads another one raises."""
    if status.is_final:
        return COMPLETED
    return "IN_PROGRESS" if status is Status.IN_PROGRESS else "IN_QUEUE"


def addresses(base: str, job: GenerationJob) -> dict[str, str]:
    url = f"{base}/{app_of(job.endpoint)}/requests/{job.id}"
    return {
        "request_id": str(job.id),
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
    }


async def _logs(context: RequestContext, job: GenerationJob) -> list[Body]:
    async with context.transaction() as session:
        lines = await read_log(session, context.user_id, job.id)
    at = job.created_at.isoformat()  # when each was printed is not kept
    return [{"message": line, "level": "INFO", "source": "USER", "timestamp": at} for line in lines]

"""What a test may ask of the simulator itself: counts, the requests as they were seen, and a reset."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from lab.simulator.answers import is_billed, output_files
from lab.simulator.requests import Delivery, Provider, QueueStatus, SimulatedRequest
from lab.simulator.simulator import Running, Simulator

router = APIRouter(prefix="/__sim")


class SeenFile(BaseModel):
    """The whole, unbroken file; `sha256` is lower-case hex."""

    name: str
    size: int
    sha256: str
    downloads: int


class SeenRequest(BaseModel):
    request_id: str
    provider: Provider = Provider.FAL
    endpoint: str
    input: dict[str, Any]
    webhook_url: str | None
    job: str
    status: QueueStatus
    created: datetime
    ended: datetime | None
    billed: bool
    payloads_deleted: bool
    deliveries: list[Delivery]
    webhook_settled: bool
    """No more deliveries will be made."""
    media: list[SeenFile]


class Counts(BaseModel):
    """`accepted` counts POSTs; `billed` counts ended generations that cost money: neither a 5xx, nor an input
    that the model refused unread, nor one canceled in the queue. A refused prompt and a canceled run do cost."""

    accepted: int = 0
    refused: dict[str, int] = {}
    """POSTs that were not accepted, by status code."""
    billed: int = 0
    status_calls: int = 0
    result_calls: int = 0
    cancel_calls: int = 0
    downloads: int = 0
    deliveries: int = 0


class JobCounts(Counts):
    requests: list[str]
    webhooks: list[Delivery]


class Stats(BaseModel):
    totals: Counts
    jobs: dict[str, JobCounts]
    """By the submitter's job id, or by request id where the webhook URL names no job."""


class Advance(BaseModel):
    seconds: float = Field(gt=0)


class Lock(BaseModel):
    key: str
    locked: bool = True


@router.get("/requests")
async def requests(simulator: Running) -> list[SeenRequest]:
    return [_seen(simulator, request) for request in simulator.queue.requests.values()]


@router.get("/stats")
async def stats(simulator: Running) -> Stats:
    queue = simulator.queue
    by_job: dict[str, list[SimulatedRequest]] = {}
    for request in queue.requests.values():
        by_job.setdefault(request.job, []).append(request)
    refused = {sender: posts.refused for sender, posts in queue.posts.items() if posts.refused}
    jobs = {job: _job_counts(simulator, found, refused.get(job, {})) for job, found in by_job.items()}
    return Stats(totals=_counts(simulator, queue.requests.values(), _sum(refused.values())), jobs=jobs)


@router.post("/reset", status_code=204)
async def reset(simulator: Running) -> None:
    await simulator.reset()


@router.post("/clock", status_code=204)
async def advance_clock(simulator: Running, advance: Advance) -> None:
    """Let time pass at once: queues, runs, webhook retries and the retention of results."""
    simulator.advance(timedelta(seconds=advance.seconds))


@router.post("/requests/{request_id}/end", status_code=204)
async def end_request(simulator: Running, request_id: str) -> None:
    """Let a request end now, and its webhook be sent."""
    request = simulator.queue.requests[request_id]
    simulator.queue.end(request)
    simulator.webhook_sender.dispatch(request)


@router.post("/lock", status_code=204)
async def lock_account(simulator: Running, lock: Lock) -> None:
    """Refuse the submissions with this key as fal does when the balance is used up, or take them again."""
    keys = simulator.queue.locked_keys
    (keys.add if lock.locked else keys.discard)(lock.key)


@router.post("/keys/rotate")
async def rotate_keys(simulator: Running) -> dict[str, list[dict[str, str]]]:
    """Sign with a new key from now on. Answers the new JWKS document."""
    simulator.keys.rotate()
    return simulator.keys.jwks()


def _seen(simulator: Simulator, request: SimulatedRequest) -> SeenRequest:
    now = simulator.clock.now()
    return SeenRequest(
        request_id=request.id,
        provider=request.provider,
        endpoint=request.endpoint,
        input=request.input,
        webhook_url=request.webhook_url,
        job=request.job,
        status=request.status(now),
        created=request.accepted_at,
        ended=request.ends_at if request.ends_at <= now else None,
        billed=is_billed(request, now),
        payloads_deleted=request.payloads_deleted,
        deliveries=request.deliveries,
        webhook_settled=request.webhook_settled or request.webhook_url is None,
        media=[
            SeenFile(
                name=file.name,
                size=len(file.content),
                sha256=hashlib.sha256(file.content).hexdigest(),
                downloads=request.downloads.get(file.name, 0),
            )
            for file in output_files(request, simulator.samples)
        ],
    )


def _job_counts(simulator: Simulator, requests: list[SimulatedRequest], refused: dict[str, int]) -> JobCounts:
    return JobCounts(
        **_counts(simulator, requests, refused).model_dump(),
        requests=[request.id for request in requests],
        webhooks=[delivery for request in requests for delivery in request.deliveries],
    )


def _counts(simulator: Simulator, requests: Iterable[SimulatedRequest], refused: dict[str, int]) -> Counts:
    now = simulator.clock.now()
    counts = Counts(refused=refused)
    for request in requests:
        counts.accepted += 1
        counts.billed += is_billed(request, now)
        counts.status_calls += request.status_calls
        counts.result_calls += request.result_calls
        counts.cancel_calls += request.cancel_calls
        counts.downloads += sum(request.downloads.values())
        counts.deliveries += len(request.deliveries)
    return counts


def _sum(refusals: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for refused in refusals:
        total.update(refused)
    return dict(total)

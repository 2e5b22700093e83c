"""`reelay webhooks listen`: what an endpoint would be sent, to an address of the developer's own machine."""

import json
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import httpx
import typer
from standardwebhooks import Webhook

from reelay.domain.outgoing import EventType
from reelay_client import AsyncReelay, Job

NAMESPACE = UUID("3f0c2f66-6a43-5f0f-8f0a-0f2d2d2f5c11")
TIMEOUT_SECONDS = 15
TYPES = {
    "submitted": EventType.JOB_SUBMITTED,
    "in_progress": EventType.JOB_SUBMITTED,
    "completed": EventType.JOB_COMPLETED,
    "failed": EventType.JOB_FAILED,
    "canceled": EventType.JOB_CANCELED,
}
"""By the status that a job comes into."""


async def listen(
    opening: AbstractAsyncContextManager[AsyncReelay], forward: str, secret: str, *, as_json: bool
) -> None:
    """Until it is canceled. What has happened before is not posted."""
    seen = SeenJobs(datetime.now(UTC))
    async with (
        opening as reelay,
        httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as client,
        aclosing(reelay.changes()) as changes,
    ):
        sequence = 0
        async for job in changes:
            if kind := seen.event_of(job):
                sequence += 1
                event = {"type": kind, "timestamp": datetime.now(UTC).isoformat(), "sequence": sequence}
                result = await post(client, forward, secret, uuid5(NAMESPACE, f"{job.id} {kind}"), event, job)
                shown = {**event, "jobId": str(job.id), "answer": result}
                typer.echo(json.dumps(shown) if as_json else f"{kind}  {job.id}  {result}")


class SeenJobs:
    def __init__(self, since: datetime) -> None:
        self._since = since
        self._told: dict[UUID, EventType] = {}

    def event_of(self, job: Job) -> EventType | None:
        """What it has come into; None when that was told, or is older than we are."""
        kind = TYPES.get(job.status)
        is_news = kind is not None and self._told.get(job.id) != kind
        if kind is None or not is_news:
            return None
        self._told[job.id] = kind
        moment = job.completed_at or job.submitted_at
        return kind if moment is not None and moment >= self._since else None


async def post(
    client: httpx.AsyncClient, url: str, secret: str, event_id: UUID, event: dict[str, Any], job: Job
) -> int | str:
    """The answer's status, or why there was none."""
    body = json.dumps({**event, "data": job.document})
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "webhook-id": str(event_id),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(str(event_id), now, body),
    }
    try:
        return (await client.post(url, content=body, headers=headers)).status_code
    except httpx.TransportError as error:
        return f"{type(error).__name__}: {error}"

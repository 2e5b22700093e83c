"""The studio backend, played by hand: what it pushes, with the secret or without."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from sqlmodel import col, select

from reelay.db.tables import WebhookDelivery
from tests.eventually import eventually
from tests.running import Job, Service

PATH = "/api/webhooks/video-completion"


@dataclass(frozen=True, kw_only=True)
class Studio:
    service: Service
    videos: list[dict[str, Any]]
    """Three, as it serves and describes them."""

    @property
    def secret(self) -> str:
        secret = self.service.settings.webhook_secret
        assert secret
        return secret.get_secret_value()

    async def started(self, **words: Any) -> str:
        """A job that the backend has begun by itself, announced through the API; once its pushes are waited for."""
        body = {"model": "studio-push", "input": {}, **words}
        response = await self.service.client.post("/api/jobs", json=body)
        assert response.status_code == 202, response.text
        job_id = str(response.json()["jobId"])
        await self.service.until_accepted(job_id)
        return job_id

    async def push(self, job_id: str, status: str, **more: Any) -> httpx.Response:
        body = {"job_id": job_id, "content_type": "video", "status": status, **more}
        return await self.send(json.dumps(body).encode())

    async def complete(self, job_id: str, **more: Any) -> httpx.Response:
        """With its videos, and with what else its `data` is to say."""
        return await self.push(job_id, "completed", data={"videos": self.videos, **more})

    async def send(self, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        """Without the API key that the client has: a backend has none."""
        given = {"x-webhook-secret": self.secret} if headers is None else headers
        return await self.service.client.post(PATH, content=body, headers={"authorization": ""} | given)

    async def says(self, job_id: str, status: str, **more: Any) -> Job:
        """The job after a push that was taken."""
        answer = await self.push(job_id, status, **more)
        assert answer.status_code == 200, answer.text
        return await self.service.job(job_id)

    async def logged(self, job_id: str, *verdicts: str) -> list[WebhookDelivery]:
        """The job's deliveries, oldest first, once the log has these verdicts."""
        statement = select(WebhookDelivery).where(col(WebhookDelivery.job_id) == UUID(job_id))

        async def found() -> list[WebhookDelivery]:
            async with self.service.sessions() as session:
                rows = list(await session.scalars(statement.order_by(col(WebhookDelivery.received_at))))
            assert sorted(row.verdict for row in rows) == sorted(verdicts)
            return rows

        return await eventually(found)


async def playing(service: Service) -> Studio:
    """A backend with three videos of a job that has ended."""
    body = {"model": "studio-video", "input": {"prompt": "three takes", "numVideos": 3}}
    job_id = (await service.client.post("/api/jobs", json=body)).json()["jobId"]
    ended = await service.until(job_id, "completed")
    return Studio(service=service, videos=ended["resultData"]["videos"])

"""What several of these files say."""

from typing import Any
from uuid import UUID

import httpx
from sqlmodel import col, select

from reelay.db.tables import WebhookDelivery
from tests.eventually import eventually
from tests.running import Service


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The body of an error in the one shape that all errors have."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"]
    body: dict[str, Any] = response.json()
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"]
    assert isinstance(body["error"], str)
    assert (body["status"], body["code"]) == (status, code)
    return body


def wrong_fields(response: httpx.Response) -> list[str]:
    """The fields that an answer to invalid parameters names."""
    errors = problem(response, 422, "INVALID_PARAMS")["errors"]
    assert all(error.keys() == {"field", "message", "limit", "value"} for error in errors)
    return [error["field"] for error in errors]


async def new_clip(service: Service) -> dict[str, Any]:
    """A clip of ann's, in a campaign of its own."""
    campaign = (await service.client.post("/api/campaigns", json={"name": "Autumn"})).json()
    clip = await service.client.post(f"/api/campaigns/{campaign['id']}/clips", json={"title": "Harbour"})
    assert clip.status_code == 201, clip.text
    created: dict[str, Any] = clip.json()
    return created


async def logged(
    service: Service, *, request_id: str | None = None, job_id: str | None = None
) -> list[WebhookDelivery]:
    """The delivery log's rows, which are written after the answer."""
    statement = select(WebhookDelivery).order_by(col(WebhookDelivery.received_at))
    if request_id:
        statement = statement.where(col(WebhookDelivery.request_id) == request_id)
    if job_id:
        statement = statement.where(col(WebhookDelivery.job_id) == UUID(job_id))

    async def rows() -> list[WebhookDelivery]:
        async with service.sessions() as session:
            return list(await session.scalars(statement))

    return await eventually(rows)

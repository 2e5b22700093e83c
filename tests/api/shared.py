"""What several of these files say."""

from typing import Any

import httpx

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

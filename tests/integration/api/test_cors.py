"""Pages of other origins: those that are named read everything that their user may, all others nothing."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import Request

from api.app import create_app
from reelay.settings import Settings
from tests.eventually import PATIENCE
from tests.running import Service, running_service
from tests.servers import Servers

FRONT, EVIL = "https://front.example.com", "https://evil.example.com"


@pytest.fixture(scope="module")
async def open_service(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, cors_origins=f"{FRONT}, http://localhost:3000/") as service:
        yield service


def lets_in(response: httpx.Response, origin: str = FRONT) -> bool:
    headers = response.headers
    if headers.get("access-control-allow-origin") is None:
        return False
    assert headers["access-control-allow-origin"] == origin
    assert headers["access-control-allow-credentials"] == "true"
    assert "origin" in headers["vary"].lower()
    return True


async def asked_before(client: httpx.AsyncClient, origin: str, method: str, path: str) -> httpx.Response:
    """What a browser asks before it sends what a page wants."""
    words = "authorization, apikey, content-type, idempotency-key, last-event-id, prefer, x-client-info"
    headers = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": words,
    }
    return await client.options(path, headers=headers)


async def test_a_named_origin_may_send_and_read(open_service: Service) -> None:
    client = open_service.client
    for method, path in (("POST", "/api/generate/video"), ("DELETE", "/api/campaigns/x"), ("GET", "/api/events")):
        answer = await asked_before(client, FRONT, method, path)
        assert (answer.status_code, lets_in(answer)) == (200, True)
        assert "idempotency-key" in answer.headers["access-control-allow-headers"]
        assert answer.headers["x-request-id"]
    assert lets_in(await asked_before(client, "http://localhost:3000", "GET", "/api/jobs"), "http://localhost:3000")

    listed = await client.get("/api/jobs", headers={"origin": FRONT})
    exposed = listed.headers["access-control-expose-headers"].lower()
    assert lets_in(listed)
    assert {"x-request-id", "location", "retry-after", "etag", "idempotency-replayed", "content-range"} <= set(
        exposed.split(", ")
    )


async def test_errors_can_be_read_as_well(open_service: Service) -> None:
    async with httpx.AsyncClient(base_url=open_service.origin, headers={"origin": FRONT}, timeout=PATIENCE) as page:
        answers = [
            await page.get("/api/jobs"),
            await page.get("/api/nothing"),
            await page.post("/api/jobs", content=b"x" * (2 << 20), headers=dict(open_service.client.headers)),
        ]
    assert [answer.status_code for answer in answers] == [401, 404, 413]
    assert all(map(lets_in, answers))


async def test_the_answer_to_a_bug_of_ours_can_be_read() -> None:
    app = create_app(Settings.model_validate({"environment": "development", "cors_origins": FRONT}))

    @app.get("/bug")
    async def bug(_: Request) -> None:
        raise LookupError("a bug")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers={"origin": FRONT}, timeout=PATIENCE
    ) as page:
        answer = await page.get("/bug")
    assert (answer.status_code, lets_in(answer)) == (500, True)
    assert len(answer.headers.get_list("x-request-id")) == 1


async def test_streams_and_media_can_be_read(open_service: Service) -> None:
    job = await open_service.until(await open_service.create(), "completed")
    headers = dict(open_service.client.headers) | {"origin": FRONT}
    async with httpx.AsyncClient(base_url=open_service.origin, timeout=PATIENCE) as page:
        async with page.stream("GET", f"/api/jobs/{job['id']}/events", headers=headers) as stream:
            assert lets_in(stream)
        part = await page.get(job["resultUrl"], headers={"origin": FRONT, "range": "bytes=0-9"})
    assert (part.status_code, lets_in(part)) == (206, True)


async def test_the_client_module_is_imported_from_another_origin(open_service: Service) -> None:
    module = await open_service.client.get("/web/reelay.js", headers={"origin": FRONT})
    assert lets_in(module)
    assert module.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("origin", [EVIL, "null", f"{FRONT}:8443", "http://front.example.com"])
async def test_no_other_origin_is_let_in(open_service: Service, origin: str) -> None:
    client = open_service.client
    assert not lets_in(await client.get("/api/jobs", headers={"origin": origin}))
    refused = await asked_before(client, origin, "POST", "/api/generate/video")
    assert (refused.status_code, lets_in(refused)) == (400, False)


async def test_unless_origins_are_named_there_are_none(patient_service: Service) -> None:
    assert not lets_in(await patient_service.client.get("/api/jobs", headers={"origin": FRONT}))
    refused = await asked_before(patient_service.client, FRONT, "POST", "/api/generate/video")
    assert (refused.status_code, lets_in(refused)) == (405, False)

"""The codec endpoint: the Temporal UI and its command show operators what is encrypted."""

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator

import httpx
import pytest

from reelay.db.tables import Scope
from tests.integration.api.shared import problem
from tests.running import Service, running_service
from tests.servers import Servers

KEYS = f"k1:{b64encode(b'1' * 32).decode()}"
UI = "https://temporal.example.com"
PLAIN = {"metadata": {"encoding": b64encode(b"json/plain").decode()}, "data": b64encode(b'"harbour"').decode()}


@pytest.fixture(scope="module")
async def service(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, worker=False, payload_keys=KEYS, temporal_ui_url=f"{UI}/ui") as running:
        yield running


@pytest.fixture(scope="module")
async def operator(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with await service.user("operator", scope=Scope.ADMIN) as client:
        yield client


async def test_an_operator_decodes_and_encodes(operator: httpx.AsyncClient) -> None:
    encoded = (await operator.post("/api/admin/codec/encode", json={"payloads": [PLAIN]})).json()
    decoded = await operator.post("/api/admin/codec/decode", json={"payloads": [*encoded["payloads"], PLAIN]})

    (payload,) = encoded["payloads"]
    assert b64decode(payload["metadata"]["encoding"]) == b"binary/encrypted"
    assert b"harbour" not in b64decode(payload["data"])
    assert decoded.json() == {"payloads": [PLAIN, PLAIN]}


async def test_nobody_else_does(service: Service) -> None:
    body = {"payloads": [PLAIN]}
    for call in ("decode", "encode"):
        problem(await service.client.post(f"/api/admin/codec/{call}", json=body), 403, "FORBIDDEN")
        async with httpx.AsyncClient(base_url=service.origin) as anybody:
            problem(await anybody.post(f"/api/admin/codec/{call}", json=body), 401, "UNAUTHENTICATED")


async def test_what_no_key_opens_is_said(operator: httpx.AsyncClient) -> None:
    metadata = {"encoding": b"binary/encrypted", "encryption-key-id": b"k9"}
    payload = {"metadata": {name: b64encode(value).decode() for name, value in metadata.items()}, "data": ""}
    refused = await operator.post("/api/admin/codec/decode", json={"payloads": [payload]})
    assert "'k9'" in problem(refused, 422, "INVALID_PARAMS")["detail"]
    problem(await operator.post("/api/admin/codec/decode", json={"payloads": [{"data": "A"}]}), 422, "INVALID_PARAMS")


async def test_the_pages_of_the_ui_may_ask_here_and_nowhere_else(service: Service, operator: httpx.AsyncClient) -> None:
    words = {
        "origin": UI,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, content-type, x-namespace",
    }
    asked = await operator.options("/api/admin/codec/decode", headers=words)
    answered = await operator.post("/api/admin/codec/decode", json={"payloads": []}, headers={"origin": UI})
    elsewhere = await operator.options("/api/jobs", headers=words)

    assert asked.status_code == 200
    for answer in (asked, answered):
        assert answer.headers["access-control-allow-origin"] == UI
        assert answer.headers["access-control-allow-credentials"] == "true"
    assert "x-namespace" in asked.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in elsewhere.headers


async def at_the_ui(service: Service, cookie: str, *, origin: str = UI) -> httpx.Response:
    """As a page of that origin asks when it includes its credentials: the browser asks first, without them."""
    path, words = "/api/admin/codec/decode", {"origin": origin, "sec-fetch-site": "same-site"}
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-namespace"}
    async with httpx.AsyncClient(base_url=service.origin) as browser:
        asked = await browser.options(path, headers=words | preflight)
        if asked.headers.get("access-control-allow-origin") != origin:
            return asked
        assert asked.headers["access-control-allow-credentials"] == "true"
        return await browser.post(
            path, json={"payloads": [PLAIN]}, headers=words | {"cookie": cookie, "x-namespace": "default"}
        )


async def passed(operator: httpx.AsyncClient) -> str:
    """What the browser keeps of the answer."""
    opened = await operator.post("/api/admin/codec/session")
    assert opened.status_code == 204
    cookie, *attributes = opened.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict", "Path=/api/admin/codec"} <= set(attributes)
    operator.cookies.clear()
    return str(cookie)


async def test_a_ui_without_a_login_decodes_for_an_operator_at_the_same_browser(
    service: Service, operator: httpx.AsyncClient
) -> None:
    cookie = await passed(operator)
    decoded = await at_the_ui(service, cookie)

    assert decoded.json() == {"payloads": [PLAIN]}
    assert decoded.headers["access-control-allow-origin"] == UI
    problem(await at_the_ui(service, f"{cookie[:-4]}AAAA"), 401, "UNAUTHENTICATED")
    problem(await at_the_ui(service, "other=cookie"), 401, "UNAUTHENTICATED")


async def test_the_pass_opens_nothing_else_and_to_no_other_page(service: Service, operator: httpx.AsyncClient) -> None:
    cookie = await passed(operator)
    refused = await at_the_ui(service, cookie, origin="https://evil.example.com")
    assert "access-control-allow-origin" not in refused.headers
    async with httpx.AsyncClient(base_url=service.origin, headers={"cookie": cookie}) as browser:
        problem(await browser.get("/api/admin/stats"), 401, "UNAUTHENTICATED")
        problem(await browser.post("/api/admin/codec/session"), 401, "UNAUTHENTICATED")
        for words in ({"origin": "https://evil.example.com"}, {}):  # without CORS, as a form would
            decoded = await browser.post("/api/admin/codec/decode", json={"payloads": []}, headers=words)
            problem(decoded, 403, "FORBIDDEN")


async def test_the_pass_ends_with_the_operators_session(service: Service) -> None:
    async with await service.user("leaving", scope=Scope.ADMIN) as leaving:
        cookie = await passed(leaving)
        assert (await at_the_ui(service, cookie)).status_code == 200
        assert (await leaving.post("/api/sign-out")).status_code == 204
    problem(await at_the_ui(service, cookie), 401, "UNAUTHENTICATED")


async def test_no_user_is_given_a_pass(service: Service) -> None:
    problem(await service.client.post("/api/admin/codec/session"), 403, "FORBIDDEN")

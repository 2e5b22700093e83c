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

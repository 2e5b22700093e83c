"""Finding a request in fal's list: what counts as ours, and what a list has to be to say anything."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import pytest

from reelay.providers.errors import NotListed, Unavailable
from reelay.providers.provider import SubmissionRequest
from tests.unit.providers.scripted_server import ScriptedServer, answer, json_answer, reset
from tests.unit.providers.test_fal import KEY, provider

SENT_AT = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
BETWEEN = (SENT_AT - timedelta(seconds=30), SENT_AT + timedelta(seconds=30))
ORIGINAL = SubmissionRequest(
    job_id=UUID(int=1),
    endpoint="fal-ai/veo3.1/fast",
    arguments={"prompt": "a reef", "duration": "8s", "seed": 7},
    attempt=1,
    webhook_url=None,
)


def listed(request_id: str = "request-1", **changes: Any) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "endpoint_id": ORIGINAL.endpoint,
        "sent_at": "2026-11-21T12:00:31Z",
        "started_at": "2026-11-21T12:00:32Z",
        "ended_at": "2026-11-21T12:02:00Z",
        "status_code": 200,
        "duration": 88.0,
        "json_input": {"seed": 7, "duration": "8s", "prompt": "a reef"},
    } | changes


def page(*items: Any, cursor: str | None = None) -> dict[str, Any]:
    return {"items": list(items), "has_more": cursor is not None, "next_cursor": cursor}


async def found(server: ScriptedServer, client: httpx.AsyncClient) -> list[str]:
    return await provider(client, server.url).requests_like(ORIGINAL, sent_between=BETWEEN)


async def test_it_asks_for_the_endpoints_requests_with_their_inputs(
    server: ScriptedServer, client: httpx.AsyncClient
) -> None:
    server.script = [json_answer(200, page(listed()))]

    assert await found(server, client) == ["request-1"]
    (call,) = server.seen
    target = urlsplit(call.target)
    assert (call.method, target.path) == ("GET", "/v1/models/requests/by-endpoint")
    assert call.headers["authorization"] == f"Key {KEY}"
    query = {name: value for name, (value,) in parse_qs(target.query).items()}
    assert query == {
        "endpoint_id": ORIGINAL.endpoint,
        "start": "2026-11-21T12:00:00+00:00",
        "expand": "payloads",
        "limit": "100",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint_id": "fal-ai/veo3.1"},
        {"json_input": {"prompt": "a reef", "duration": "8s", "seed": 8}},
        {"json_input": {"prompt": "a reef", "duration": "8s"}},
        {"json_input": None},
        {"sent_at": "2026-11-21T11:59:59Z"},
        {"sent_at": "2026-11-21T12:01:01Z"},
        {"sent_at": "yesterday"},
        {"sent_at": None},
        {"request_id": "../x"},
        {"request_id": 7},
    ],
)
async def test_what_differs_in_any_way_is_another(
    server: ScriptedServer, client: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    server.script = [json_answer(200, page(listed(**changes), "no object"))]

    assert await found(server, client) == []


async def test_all_pages_are_read_and_all_that_match_are_told(
    server: ScriptedServer, client: httpx.AsyncClient
) -> None:
    server.script = [
        json_answer(200, page(listed("one"), cursor="Mg==")),
        json_answer(200, page(listed("one"), listed("two"))),
    ]

    assert await found(server, client) == ["one", "two"]
    assert parse_qs(urlsplit(server.seen[1].target).query)["cursor"] == ["Mg=="]


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_list_that_is_not_for_us_is_none(
    server: ScriptedServer, client: httpx.AsyncClient, status: int
) -> None:
    server.script = [json_answer(status, {"error": {"type": "authorization_error", "message": "no"}})]

    with pytest.raises(NotListed):
        await found(server, client)


@pytest.mark.parametrize(
    "behaviour",
    [
        json_answer(429, {}, Retry_After="3"),
        json_answer(500, {}),
        json_answer(302, {}, Location="http://127.0.0.1:9/"),
        answer(200, b"<html>"),
        json_answer(200, []),
        json_answer(200, {"items": None}),
        json_answer(200, {"items": [listed()], "has_more": True}),
        reset,
    ],
)
async def test_half_a_list_says_nothing(server: ScriptedServer, client: httpx.AsyncClient, behaviour: Any) -> None:
    server.script = [behaviour]

    with pytest.raises(Unavailable):
        await found(server, client)


async def test_a_list_without_an_end_says_nothing(server: ScriptedServer, client: httpx.AsyncClient) -> None:
    server.always = json_answer(200, page(listed(), cursor="more"))

    with pytest.raises(Unavailable):
        await found(server, client)
    assert len(server.seen) == 10

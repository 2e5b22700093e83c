"""An agent with the official client of the Model Context Protocol, by streamable HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx2
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from lab.simulator.samples import Medium
from tests.acceptance.doors.conftest import Door, code_of

TOOLS = ["budget", "cancel", "check", "estimate", "generate", "list_jobs", "list_models", "upload_from_url"]


@asynccontextmanager
async def agent(door: Door, key: str = "") -> AsyncIterator[ClientSession]:
    headers = {"authorization": f"Bearer {key or door.key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        streamable_http_client(f"{door.service.origin}/mcp", http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        yield session


async def call(session: ClientSession, tool: str, **arguments: Any) -> Any:
    answer = await session.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    content = answer.structured_content or json.loads(answer.content[0].text)  # type: ignore[union-attr]
    return content.get("result", content)


async def refused(session: ClientSession, tool: str, **arguments: Any) -> str:
    answer = await session.call_tool(tool, arguments)
    assert answer.is_error
    return str(answer.content[0].text)  # type: ignore[union-attr]


async def test_an_agent_generates_once_whatever_it_repeats(door: Door) -> None:
    wanted = {"model": "veo3.1-fast", "input": {"prompt": "a lake", "duration": 4}, "idempotency_key": "the lake"}
    async with agent(door) as session:
        assert sorted(tool.name for tool in (await session.list_tools()).tools) == TOOLS
        models = await call(session, "list_models", kind="video")
        assert "veo3.1-fast" in [model["name"] for model in models]
        price = await call(session, "estimate", model="veo3.1-fast", input=wanted["input"])
        first = await call(session, "generate", **wanted)
        again = await call(session, "generate", **wanted)
        assert first["id"] == again["id"]
        assert first["estimatedCostCents"] == price["estimatedCostCents"] == 60
        other = await refused(session, "generate", **{**wanted, "input": {"prompt": "a sea"}})
        assert "IDEMPOTENCY_KEY_REUSED" in other
        done = await call(session, "check", job_id=first["id"], wait_seconds=60)
        assert (done["status"], len(done["files"])) == ("completed", 1)
        listed = await call(session, "list_jobs", status="completed")
        assert [job["id"] for job in listed] == [first["id"]]
    assert (await door.service.simulated(first["id"]))["accepted"] == 1


async def test_an_agent_stops_a_job_and_brings_a_file(door: Door) -> None:
    picture = f"{door.service.servers.simulator}/files/samples/{Medium.IMAGE.file_name}"
    async with agent(door) as session:
        asset = await call(session, "upload_from_url", url=picture)
        assert (asset["contentType"], UUID(asset["assetId"])) == (
            "image/png",
            UUID(asset["uri"].removeprefix("asset:")),
        )
        started = await call(
            session,
            "generate",
            model="veo3.1-fast",
            input={"prompt": "it moves [sim: latency=10m]", "firstFrameUrl": asset["uri"]},
            idempotency_key="moving",
        )
        await call(session, "cancel", job_id=started["id"])
        assert (await call(session, "check", job_id=started["id"], wait_seconds=60))["status"] == "canceled"
        assert "INVALID_PARAMS" in await refused(session, "upload_from_url", url="http://10.0.0.1/a.png")


async def test_an_agent_is_told_what_is_wrong_and_asks_before_it_spends_much(door: Door) -> None:
    async with agent(door) as session:
        wrong = await refused(session, "generate", model="veo3.1", input={"duration": 5}, idempotency_key="wrong")
        assert "prompt" in wrong
        assert "duration" in wrong
        much = {"model": "seedance-2.0", "input": {"prompt": "a lake", "duration": 10, "resolution": "1080p"}}
        assert "max_cost_cents" in await refused(session, "generate", **much, idempotency_key="much")
        agreed = await call(session, "generate", **much, idempotency_key="much", max_cost_cents=2000)
        assert agreed["estimatedCostCents"] == 682
        assert "NOT_FOUND" in await refused(session, "check", job_id="nothing")


async def test_an_agent_spends_its_keys_budget_and_no_more(door: Door) -> None:
    user = door.service.user_name
    async with await door.service.user(user, credits=0, key_budget_cents=100) as client:
        key = client.headers["authorization"].removeprefix("Bearer ")
    wanted = {"model": "veo3.1-fast", "input": {"prompt": "a lake [sim: latency=10m]", "duration": 4}}
    async with agent(door, key) as session:
        await call(session, "generate", **wanted, idempotency_key="one")
        told = await refused(session, "generate", **wanted, idempotency_key="two")
        assert told.startswith("KEY_BUDGET_SPENT: ")
        left = await call(session, "budget")
        assert left["keyBudget"] == {"budgetCents": 100, "spentCents": 60, "leftCents": 40}
    async with agent(door) as session:
        assert (await call(session, "budget"))["keyBudget"] is None


@pytest.mark.parametrize("key", ["rk_wrong", ""])
async def test_without_a_key_there_is_no_agent(door: Door, key: str) -> None:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx2.AsyncClient(base_url=door.service.origin, headers=headers) as http:
        answer = await http.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert answer.status_code == 401


async def test_the_guides_code_runs(door: Door) -> None:
    variables = {"REELAY_KEY": door.key, "REELAY_MCP": f"{door.service.origin}/mcp"}
    status, address = (await door.run_python(code_of("agents.md", "python"), variables)).split()
    assert status == "completed"
    assert address.startswith(f"{door.front.origin}/api/media/")

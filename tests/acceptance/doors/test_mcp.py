"""An agent with the official client of the Model Context Protocol, by streamable HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal
from uuid import UUID, uuid4

import httpx2
import pytest
from mcp import Client, ClientSession
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolResult,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    Request,
    RequestParams,
    Result,
    TextContent,
)

from lab.simulator.samples import Medium
from tests.acceptance.doors.conftest import Door, code_of
from tests.eventually import eventually

TOOLS = ["budget", "cancel", "check", "estimate", "generate", "list_jobs", "list_models", "upload_from_url"]


class TaskParams(RequestParams):
    task_id: str


class TaskRequest(Request[TaskParams, Literal["tasks/get", "tasks/update", "tasks/cancel"]]):
    name_param = "taskId"


class Task(Result):
    task_id: str
    status: str
    poll_interval_ms: int
    result: dict[str, Any] | None = None


class CreatedTask(Task):
    result_type: Literal["task"] = "task"


class TaskClient(ClientExtension):
    """As an agent's host follows tasks, by the client's own means for extensions."""

    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self) -> None:
        self.seen: list[Task] = []

    def claims(self) -> list[ResultClaim[CreatedTask]]:
        return [ResultClaim(result_type="task", model=CreatedTask, resolve=self.finish)]

    async def finish(self, created: CreatedTask, ctx: ClaimContext) -> CallToolResult:
        self.seen.append(created)

        async def ended() -> Task:
            task = await read_task(ctx.session, created.task_id)
            assert task.status != "working"
            return task

        task = await eventually(ended)
        self.seen.append(task)
        if task.result is None:
            return CallToolResult(content=[TextContent(type="text", text=task.status)], is_error=True)
        return CallToolResult.model_validate(task.result)


async def read_task(session: ClientSession, task_id: str) -> Task:
    return await session.send_request(TaskRequest(method="tasks/get", params=TaskParams(task_id=task_id)), Task)


async def send(session: ClientSession, method: Literal["tasks/update", "tasks/cancel"], task_id: str) -> None:
    await session.send_request(TaskRequest(method=method, params=TaskParams(task_id=task_id)), Result)


@asynccontextmanager
async def host(door: Door, **more: Any) -> AsyncIterator[Client]:
    """An agent with the protocol's newest version."""
    headers = {"authorization": f"Bearer {door.key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        transport = streamable_http_client(f"{door.service.origin}/mcp", http_client=http)
        async with Client(transport, **more) as client:
            yield client


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
        no_media = f"{door.service.servers.simulator}/.well-known/jwks.json"
        assert "url " in await refused(session, "upload_from_url", url=no_media)


async def test_an_agent_is_told_what_is_wrong_and_asks_before_it_spends_much(door: Door) -> None:
    async with agent(door) as session:
        wrong = await refused(session, "generate", model="veo3.1", input={"duration": 5}, idempotency_key="wrong")
        assert "prompt" in wrong
        assert "duration" in wrong
        much = {"model": "seedance-2.0", "input": {"prompt": "a lake", "duration": 10, "resolution": "1080p"}}
        assert "max_cost_cents" in await refused(session, "generate", **much, idempotency_key="much")
        too_little = await refused(session, "generate", **much, idempotency_key="much", max_cost_cents=1)
        assert "max_cost_cents" in too_little
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
        assert "KEY_BUDGET_SPENT: " in told
        left = await call(session, "budget")
        assert left["keyBudget"] == {"budgetCents": 100, "spentCents": 60, "leftCents": 40}
    async with agent(door) as session:
        assert (await call(session, "budget"))["keyBudget"] is None


async def test_a_client_that_takes_tasks_is_given_one_for_a_job(door: Door) -> None:
    tasks = TaskClient()
    lake = {"model": "veo3.1-fast", "input": {"prompt": "a lake", "duration": 4}, "idempotency_key": "the lake"}
    async with host(door, extensions=[tasks]) as client:
        done = await client.call_tool("generate", lake)
        job = done.structured_content
        assert job is not None
        assert (done.is_error, job["status"], len(job["files"])) == (False, "completed", 1)
        assert [(task.task_id, task.status) for task in tasks.seen] == [
            (job["id"], "working"),
            (job["id"], "completed"),
        ]

        bad = {**lake, "input": {"prompt": "bad [sim: fail=422]"}, "idempotency_key": "bad"}
        failed = await client.call_tool("generate", bad)
        assert failed.is_error
        assert failed.structured_content
        assert failed.structured_content["errorCode"] == "provider_rejected"
        again = await client.call_tool("generate", lake)
        assert again.structured_content == job

        # What is no job stays an answer.
        assert (await client.call_tool("list_jobs", {})).structured_content
        wrong = await client.call_tool("generate", {**lake, "idempotency_key": "wrong", "input": {}})
        assert wrong.is_error
        with pytest.raises(MCPError, match="no such task"):
            await read_task(client.session, str(uuid4()))
    async with host(door) as plain:
        assert (await plain.call_tool("generate", lake)).structured_content == job


async def test_a_task_is_canceled(door: Door) -> None:
    tasks = TaskClient()
    endless = {"model": "veo3.1-fast", "input": {"prompt": "[sim: latency=10m]"}, "idempotency_key": "endless"}
    async with host(door, extensions=[tasks]) as client:
        created = await client.session.call_tool("generate", endless, allow_claimed=True)
        assert isinstance(created, CreatedTask)
        await send(client.session, "tasks/update", created.task_id)
        await send(client.session, "tasks/cancel", created.task_id)
        canceled = await tasks.finish(
            created, ClaimContext(session=client.session, tool_name="generate", read_timeout_seconds=None)
        )
    assert (canceled.is_error, tasks.seen[-1].status) == (True, "cancelled")
    assert (await door.service.job(created.task_id))["status"] == "canceled"


async def test_a_client_that_can_ask_its_user_is_asked_about_a_price(door: Door) -> None:
    much = {"model": "seedance-2.0", "input": {"prompt": "a lake", "duration": 10, "resolution": "1080p"}}
    asked: list[ElicitRequestFormParams] = []
    answers = iter(
        [
            ElicitResult(action="decline"),
            ElicitResult(action="accept", content={"max_cost_cents": 600}),
            ElicitResult(action="accept", content={"max_cost_cents": 700}),
        ]
    )

    async def ask(_: Any, params: ElicitRequestParams) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        asked.append(params)
        return next(answers)

    async with host(door, elicitation_callback=ask) as client:
        declined, too_little, agreed = [
            await client.call_tool("generate", {**much, "idempotency_key": "much"}) for _ in range(3)
        ]
    assert "682 cents" in asked[0].message
    assert asked[0].requested_schema["properties"]["max_cost_cents"]["default"] == 682
    assert (declined.is_error, too_little.is_error, agreed.is_error) == (True, True, False)
    assert "does not agree" in declined.content[0].text  # type: ignore[union-attr]
    jobs = (await door.service.client.get("/api/jobs")).json()["data"]
    assert [job["estimatedCostCents"] for job in jobs] == [682]


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

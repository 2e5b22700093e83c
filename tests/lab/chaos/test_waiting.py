"""500 jobs wait for a slot while every part is killed: none is sent before its turn, forgotten, or charged."""

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from lab.chaos.driver import NO_ANSWER
from lab.chaos.evidence import IN_LINE
from lab.chaos.plan import Part, Times
from lab.chaos.run import run_stack
from reelay.cli.access import local_key
from reelay.cli.data_dir import DataDir
from tests.eventually import eventually

JOBS, SLOTS = 500, 2
STATES = """
    select count(*) filter (where attempts > 0 and status in ('submitted', 'in_progress')) as sent,
        count(*) filter (where status = 'pending' and waiting_for = 'slot' and attempts = 0) as waiting,
        count(*) filter (where status = 'completed') as completed,
        count(*) filter (where status = 'canceled') as canceled,
        count(*) filter (where status = 'failed') as failed
    from generation_jobs
"""


@dataclass
class Stack:
    data_dir: DataDir
    api: httpx.AsyncClient
    simulator: httpx.AsyncClient

    async def ask(self, method: str, path: str, **words: Any) -> Any:
        """The first answer, however long the API is away."""

        async def answered() -> Any:
            with suppress(*NO_ANSWER):
                response = await self.api.request(method, path, **words)
                assert response.status_code < 500 or response.status_code == 503, response.text
                if response.is_success:
                    return response.json()
            return None

        return await eventually(answered)

    async def fetch(self, statement: str) -> asyncpg.Record:
        connection = await asyncpg.connect(self.data_dir.find_stack().database_admin_url)
        try:
            return await connection.fetchrow(statement)
        finally:
            await connection.close()

    async def until(self, **wanted: int) -> None:
        async def is_so() -> bool:
            with suppress(OSError, asyncpg.PostgresError):
                states = await self.fetch(STATES)
                return all(states[name] == count for name, count in wanted.items())
            return False

        await eventually(is_so)

    async def kill(self, part: Part) -> None:
        """SIGKILL; returns when the part is back."""
        killed = self.data_dir.find_stack().parts[part].find()
        assert killed
        os.kill(killed.pid, signal.SIGKILL)

        async def is_back() -> bool:
            process = self.data_dir.find_stack().parts[part].find()
            return process is not None and process.pid != killed.pid

        await eventually(is_back)

    async def requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.simulator.get("/__sim/requests")).json()
        return found


@pytest.mark.fault("O36")
async def test_nobody_who_waits_is_forgotten_sent_early_or_charged(tmp_path: Path) -> None:
    done: list[bool] = []

    async def work(data_dir: DataDir) -> None:
        running, key = data_dir.find_stack(), await local_key(data_dir)
        headers = {"authorization": f"Bearer {key}"}
        async with (
            httpx.AsyncClient(base_url=running.api_url, headers=headers, timeout=60, trust_env=False) as api,
            httpx.AsyncClient(base_url=running.simulator_url or "", timeout=60, trust_env=False) as simulator,
        ):
            await kill_everything_while_they_wait(Stack(data_dir, api, simulator))
            done.append(True)

    # Without a webhook's patience and a deadline that could end a job by themselves.
    times = Times(slots=SLOTS, wait=3600, deadline=3600, patience=3600)
    await run_stack(tmp_path / "waiting", times.environment(), work)
    assert done


async def kill_everything_while_they_wait(stack: Stack) -> None:
    job = {"model": "veo3.1-fast", "input": {"prompt": "a harbour [sim: latency=10m]"}}
    batch = await stack.ask("POST", "/api/batches", json={"jobs": [job] * JOBS}, headers={"idempotency-key": "one"})
    await stack.until(sent=SLOTS, waiting=JOBS - SLOTS)
    for part in Part:
        await stack.kill(part)
    await stack.ask("GET", "/api/credits")
    await stack.until(sent=SLOTS, waiting=JOBS - SLOTS)
    first = await stack.requests()
    assert len(first) == SLOTS  # whichever of the batch arrived first

    for request in first:
        (await stack.simulator.post(f"/__sim/requests/{request['request_id']}/end")).raise_for_status()
    await stack.until(completed=SLOTS, sent=SLOTS, waiting=JOBS - 2 * SLOTS)
    sent = [request["job"] for request in await stack.requests()]
    assert len(set(sent)) == len(sent) == 2 * SLOTS
    assert set(sent) <= set(batch["jobIds"])

    await asyncio.gather(*(stack.kill(part) for part in (Part.WORKER, Part.API)))
    await stack.ask("POST", f"/api/batches/{batch['batchId']}/cancel")
    await stack.until(completed=SLOTS, canceled=JOBS - SLOTS, failed=0)
    assert len(await stack.requests()) == 2 * SLOTS
    assert (await stack.fetch(f"select count(*) from generation_jobs where {IN_LINE}"))[0] == 0
    assert (await stack.ask("GET", "/api/credits"))["heldCents"] == 0

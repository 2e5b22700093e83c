"""Several processes of a kind, one of which dies; and what a process says of itself while it cannot work."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import asyncpg
import httpx
import pytest

from tests.eventually import PATIENCE, eventually
from tests.integration.service.killed_worker import kill, worker_process
from tests.running import PATIENT, Service, running_service
from tests.servers import Servers
from tests.tcp_lines import Lines, open_line

ENDED_WITHIN_MS = int(PATIENCE * 1000)


async def events(
    client: httpx.AsyncClient, job_id: str, *, after: int | None = None
) -> AsyncGenerator[tuple[int, Any], None]:
    """Number and job of each event, until the stream ends or breaks."""
    headers = {} if after is None else {"last-event-id": str(after)}
    number = 0
    async with client.stream("GET", f"/api/jobs/{job_id}/events", headers=headers) as response:
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                number = int(value)
            elif name == "data":
                yield number, json.loads(value)


@pytest.mark.fault("O8")
async def test_one_of_two_apis_and_one_of_two_workers_are_enough(servers: Servers) -> None:
    async with AsyncExitStack() as stack, AsyncExitStack() as doomed:
        database = await servers.postgres.copy()
        staying = await stack.enter_async_context(
            running_service(servers, worker=False, database=database, webhook_patience=2)
        )
        leaving = await doomed.enter_async_context(
            running_service(servers, worker=False, task_queue=staying.settings.task_queue, database=database)
        )
        leaving.client.headers.update(staying.client.headers)
        victim = await doomed.enter_async_context(worker_process(staying.settings))
        jobs = [await leaving.create(f"number {number} [sim: latency=10m]") for number in range(3)]
        watched = events(leaving.client, jobs[0])
        seen, job = await anext(watched)
        while job["status"] == "pending":
            seen, job = await anext(watched)
        await stack.enter_async_context(staying.worker())
        await kill(victim)
        await watched.aclose()
        await doomed.aclose()
        for job_id in jobs:
            await servers.end_at_provider(job_id)

        rest = [number async for number, _ in events(staying.client, jobs[0], after=seen)]
        assert rest
        assert rest == sorted(set(rest))
        assert rest[0] > seen
        for job_id in jobs:
            await staying.until(job_id, "completed")
            counted = await staying.simulated(job_id)
            assert (counted["accepted"], counted["billed"]) == (1, 1)
            assert (await staying.trail(job_id)).count("Completed") == 1


@pytest.mark.fault("O11", "O4")
async def test_readiness_names_what_is_away_and_the_process_stays_alive(servers: Servers) -> None:
    async with (
        open_line(servers.temporal.port) as temporal,
        open_line(servers.postgres.server.port) as postgres,
        running_service(
            servers, worker=False, lines=Lines(temporal, postgres), timeouts=replace(PATIENT, readiness=3)
        ) as service,
    ):
        await ready_again(service)
        for part, line in (("temporal", temporal), ("postgres", postgres)):
            with line.silent():
                parts, alive = await asyncio.gather(
                    eventually(partial(parts_not_ready, service)), service.client.get("/healthz")
                )
                assert alive.status_code == 200
                assert [name for name, word in parts.items() if word != "ok"] == [part]
            await ready_again(service)


async def parts_not_ready(service: Service) -> dict[str, str]:
    """An answer is shared for a second: it may be of the moment before."""
    answer = await service.client.get("/readyz")
    assert answer.status_code == 503
    parts: dict[str, str] = answer.json()["parts"]
    return parts


async def ready_again(service: Service) -> None:
    async def answers() -> bool:
        return (await service.client.get("/readyz")).status_code == 200

    await eventually(answers)


@pytest.mark.fault("O4", "O3")
async def test_database_that_ends_all_sessions_again_and_again_costs_no_job(servers: Servers) -> None:
    async with running_service(servers, webhook_patience=0.5) as service:
        jobs = [await service.create(f"number {number} [sim: latency=1s]") for number in range(3)]
        name = service.settings.database_url.get_secret_value().rpartition("/")[2]
        connection = await asyncpg.connect(servers.postgres.server.superuser_url)
        sessions = "from pg_stat_activity where datname = $1"
        for _ in range(5):
            await eventually(partial(connection.fetchval, f"select count(*) {sessions}", name))
            # It waits until they are gone: a session that is about to end fails the request that it is given.
            await connection.execute(f"select pg_terminate_backend(pid, {ENDED_WITHIN_MS}) {sessions}", name)
        await connection.close()

        for job_id in [*jobs, await service.create("a fresh one")]:
            await completed(service, job_id)


async def completed(service: Service, job_id: str) -> None:
    await service.until(job_id, "completed")
    counted = await service.simulated(job_id)
    assert (counted["accepted"], counted["billed"]) == (1, 1)
    assert (await service.trail(job_id)).count("Completed") == 1

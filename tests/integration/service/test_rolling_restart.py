"""Every process is restarted in turn behind a balancer, while jobs and streams run: nobody notices."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func
from sqlmodel import col, select

from lab.devstack.ports import HOST, free_ports
from reelay.db.engine import make_engine, make_sessions
from reelay.db.tables import JobEvent
from reelay.settings import Environment, Settings
from tests.eventually import PATIENCE, eventually
from tests.integration.service.balancer import Balancer, balancing
from tests.integration.service.killed_worker import environment_of
from tests.reelay_process import ReelayProcess, start_reelay
from tests.running import Service
from tests.servers import Servers
from workflows.client import connect

APIS, WORKERS = 3, 2
JOBS = int(os.environ.get("ROLLING_RESTART_JOBS", "60"))
STREAMS = int(os.environ.get("ROLLING_RESTART_STREAMS", "20"))
RETRY_AFTER_SECONDS = 0.5


@dataclass
class Part:
    """One process of ours, and where it tells whether it is ready."""

    words: tuple[str, ...]
    port: int
    environment: Mapping[str, str]
    log: Path
    process: ReelayProcess | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await start_reelay(*self.words, environment=self.environment, stdout=log, stderr=log)
        await eventually(self.is_ready)

    async def is_ready(self) -> bool:
        assert self.process
        assert self.process.returncode is None, self.log.read_text()
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            with suppress(httpx.TransportError):
                return (await client.get(f"http://{HOST}:{self.port}/readyz")).status_code == 200
        return False

    async def restart(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        assert await self.process.wait() in (0, -signal.SIGTERM)
        await self.start()

    async def kill(self) -> None:
        if self.process:
            self.process.kill()
            await self.process.wait()


@dataclass
class Cluster:
    service: Service
    """By the balancer."""
    parts: Sequence[Part]
    balancer: Balancer


@pytest.fixture
async def cluster(servers: Servers, tmp_path: Path) -> AsyncIterator[Cluster]:
    database = await servers.postgres.copy()
    ports = free_ports(APIS + WORKERS)
    async with AsyncExitStack() as stack:
        origin, balancer = await stack.enter_async_context(balancing(ports[:APIS]))
        settings = Settings.model_validate(
            {
                "environment": Environment.DEVELOPMENT,
                "app_url": origin,
                "data_dir": tmp_path,
                "task_queue": f"rolling-{uuid4()}",
                "database_url": database.app_url,
                "database_service_url": database.service_url,
                "fal_key": "key:secret",
                "webhook_token_secret": "a secret for tests",
                "api_key_pepper": "pepper for tests",
                "fal_queue_base": servers.simulator,
                "fal_api_base": servers.simulator,
                "fal_platform_base": f"{servers.simulator}/v1",
                "fal_jwks_url": f"{servers.simulator}/.well-known/jwks.json",
            }
        )
        variables = {**os.environ, **environment_of(settings), "DRAIN_SECONDS": "1", "WEBHOOK_PATIENCE_SECONDS": "5"}
        parts = [
            Part(("api", "--port", str(port)), port, variables, tmp_path / f"api-{port}.log") for port in ports[:APIS]
        ] + [
            Part(("worker",), port, {**variables, "WORKER_HEALTH_PORT": str(port)}, tmp_path / f"worker-{port}.log")
            for port in ports[APIS:]
        ]
        for part in parts:
            stack.push_async_callback(part.kill)
        await asyncio.gather(*(part.start() for part in parts))
        engine = make_engine(database.admin_url)
        stack.push_async_callback(engine.dispose)
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=origin, timeout=PATIENCE, limits=httpx.Limits(max_connections=None))
        )
        service = Service(
            settings=settings,
            origin=origin,
            servers=servers,
            sessions=make_sessions(engine),
            temporal=await connect(),
            client=client,
        )
        async with await service.user("ann") as ann:
            client.headers.update(ann.headers)
        yield Cluster(service, parts, balancer)


@dataclass
class Caller:
    """A client that asks once more when a request fails."""

    client: httpx.AsyncClient
    retried: int = 0

    async def call(self, method: str, path: str, **words: Any) -> httpx.Response:
        with suppress(httpx.TransportError):
            answer = await self.client.request(method, path, **words)
            if answer.status_code < 500:
                return answer
        self.retried += 1
        await asyncio.sleep(RETRY_AFTER_SECONDS)
        return await self.client.request(method, path, **words)

    async def create(self, prompt: str) -> str:
        answer = await self.call(
            "POST",
            "/api/generate/video",
            json={"prompt": prompt, "quality": "fast"},
            headers={"idempotency-key": str(uuid4())},
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["jobId"])

    async def read(self, job_id: str) -> None:
        """Ask for the job, and wait for its next change, again and again."""
        while True:
            answer = await self.call("GET", f"/api/jobs/{job_id}", params={"wait": 2})
            assert answer.status_code == 200, answer.text


@dataclass
class Watcher:
    """An event stream, which is opened again where it ended."""

    client: httpx.AsyncClient
    job_id: str
    ids: list[int] = field(default_factory=list)
    connections: int = 0
    retry_seconds: float = 0.1
    is_over: bool = False

    async def watch(self) -> None:
        failed = 0
        while not self.is_over:
            try:
                await self._read()
                failed = 0
            except httpx.TransportError:
                failed += 1
                assert failed < 2, "one retry did not heal it"
                await asyncio.sleep(RETRY_AFTER_SECONDS)

    async def _read(self) -> None:
        headers = {"last-event-id": str(self.ids[-1])} if self.ids else {}
        path = f"/api/jobs/{self.job_id}/events"
        async with self.client.stream("GET", path, headers=headers, timeout=None) as stream:
            assert stream.status_code == 200
            self.connections += 1
            async for line in stream.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    self.ids.append(int(value))
                elif name == "retry":
                    self.retry_seconds = int(value) / 1000
                elif name == "data":
                    self.is_over = '"status":"completed"' in value
        if not self.is_over:
            await asyncio.sleep(self.retry_seconds)


@asynccontextmanager
async def running(*work: Any) -> AsyncIterator[list[asyncio.Task[None]]]:
    """While the block runs; what has failed by its end is raised."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield tasks
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.fault("O21")
async def test_a_rolling_restart_loses_no_request_no_event_and_no_job(cluster: Cluster) -> None:
    service, caller = cluster.service, Caller(cluster.service.client)
    share = (JOBS - STREAMS) // len(cluster.parts)
    watched = await asyncio.gather(*(caller.create("long [sim: latency=10m]") for _ in range(STREAMS)))
    watchers = [Watcher(service.client, job_id) for job_id in watched]
    created: list[str] = []
    async with running(*(each.watch() for each in watchers)) as watching:
        async with running(caller.read(watched[0]), caller.read(watched[-1])):
            for part in cluster.parts:
                restarting = asyncio.create_task(part.restart())
                created += await asyncio.gather(*(caller.create("short") for _ in range(share)))
                await restarting
        for job_id in watched:
            await service.until_accepted(job_id)
            await service.servers.end_at_provider(job_id)
        await asyncio.gather(*watching)

    jobs = [*watched, *created]
    for job_id in jobs:
        await service.until(job_id, "completed")
    counted = await service.servers.simulated_jobs()
    assert {counted[job_id]["accepted"] for job_id in jobs} == {1}
    for watcher in watchers:
        assert watcher.ids == sorted(set(watcher.ids))
        assert watcher.ids[-1] == await newest_event(service, watcher.job_id)
    assert sum(watcher.connections for watcher in watchers) > len(watchers)


async def newest_event(service: Service, job_id: str) -> int:
    newest = select(func.max(JobEvent.id)).where(col(JobEvent.job_id) == UUID(job_id))
    async with service.sessions() as session:
        return int((await session.scalars(newest)).one() or 0)

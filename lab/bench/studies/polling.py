"""Many who ask for one living job every few seconds, beside asking its workflow: what they cost the engine."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from statistics import median
from typing import Any
from uuid import UUID

import httpx
from psutil import CONN_LISTEN, Process
from temporalio.client import Client, WorkflowHandle

from lab.bench.contenders.reelay import CREATING, api_headers
from lab.bench.ground import Ground
from lab.bench.over_http import clients
from lab.bench.rows import Row
from reelay.domain.generation import AT_THE_PROVIDER
from workflows.generation import GenerationWorkflow
from workflows.ids import workflow_id

RAW_QUERIES = 20
POLL_EVERY_SECONDS = 0.05
QUERIES = re.compile(
    r'^service_requests\{namespace="default",operation="QueryWorkflow",service_name="frontend"\} (\S+)$', re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class Poll:
    seconds: float
    is_unchanged: bool
    """It was answered 304."""


@dataclass(frozen=True, kw_only=True)
class EngineMetrics:
    """What Temporal's server counts by itself."""

    url: str
    client: httpx.AsyncClient

    async def queries(self) -> float:
        """Of workflows, since the server began."""
        counted = QUERIES.search((await self.client.get(self.url)).text)
        return float(counted[1]) if counted else 0.0


@dataclass(frozen=True, kw_only=True)
class Polling:
    api: httpx.AsyncClient
    provider: httpx.AsyncClient
    temporal: Client
    engine: EngineMetrics
    every_seconds: float
    say: Callable[[str], None]

    async def rows(self, pollers: int, polls: int) -> AsyncIterator[Row]:
        section = f"{pollers} readers of one living job, each {polls} times, every {self.every_seconds:g} s"
        await self._hold(True)
        try:
            job = await self._submitted_job()
            before = await self.engine.queries()
            answers = await self._all_polls(job, pollers, polls)
            queries = await self.engine.queries() - before
            raw = await self._raw_queries(job)
        finally:
            await self._hold(False)
        await self._workflow(job).result()
        self.say(f"{pollers} pollers asked {len(answers)} times: {queries:g} queries of the engine")
        values = {"Reelay": 1000 * median(each.seconds for each in answers), "raw query": 1000 * median(raw)}
        yield Row(section=section, label="one answer, p50, ms", values=values)
        values = {"Reelay": 100 * queries / len(answers), "raw query": 100.0}
        yield Row(section=section, label="queries of the engine per 100 polls", values=values)
        unchanged = 100 * sum(each.is_unchanged for each in answers) / len(answers)
        yield Row(section=section, label="304 answers per 100 polls", values={"Reelay": unchanged})

    async def _submitted_job(self) -> str:
        """One that waits for its webhook."""
        answer = await self.api.post(CREATING.path, json=dict(CREATING.body))
        job = str(answer.raise_for_status().json()[CREATING.id_field])
        while await self._stage(job) not in AT_THE_PROVIDER:  # noqa: ASYNC110 - another process
            await asyncio.sleep(POLL_EVERY_SECONDS)
        return job

    async def _stage(self, job: str) -> str:
        answer = await self.api.get(CREATING.status_path.format(job=job))
        return str(answer.raise_for_status().json()["stage"])

    async def _all_polls(self, job: str, pollers: int, polls: int) -> list[Poll]:
        """Readers that came one after the other."""
        path = CREATING.status_path.format(job=job)
        delays = [self.every_seconds * number / pollers for number in range(pollers)]
        found = await asyncio.gather(*(self._polls(path, delay, polls) for delay in delays))
        return [poll for each in found for poll in each]

    async def _polls(self, path: str, delay: float, polls: int) -> Sequence[Poll]:
        found, tag, due = list[Poll](), "", time.monotonic() + delay
        for _ in range(polls):
            await asyncio.sleep(due - time.monotonic())
            begun = time.monotonic()
            answer = await self.api.get(path, headers={"if-none-match": tag} if tag else None)
            seconds = time.monotonic() - begun
            is_unchanged = answer.status_code == HTTPStatus.NOT_MODIFIED
            if not is_unchanged:
                answer.raise_for_status()
            found.append(Poll(seconds=seconds, is_unchanged=is_unchanged))
            tag, due = answer.headers["etag"], due + self.every_seconds
        return found

    async def _raw_queries(self, job: str) -> list[float]:
        """Seconds of each, one after the other."""
        found = []
        for _ in range(RAW_QUERIES):
            begun = time.monotonic()
            await self._workflow(job).query(GenerationWorkflow.current_status)
            found.append(time.monotonic() - begun)
        return found

    def _workflow(self, job: str) -> WorkflowHandle[Any, Any]:
        return self.temporal.get_workflow_handle(workflow_id(UUID(job)))

    async def _hold(self, held: bool) -> None:
        (await self.provider.post("/bench/hold", json={"held": held})).raise_for_status()


@asynccontextmanager
async def open_engine_metrics(temporal_pid: int) -> AsyncIterator[EngineMetrics]:
    """Served on a port of the server's own choice: the one that answers as Prometheus expects.

    Raises: LookupError.
    """
    listening = [each.laddr for each in Process(temporal_pid).net_connections("tcp") if each.status == CONN_LISTEN]
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        for address in listening:
            url = f"http://{address.ip}:{address.port}/metrics"
            if await _tells_requests(client, url):
                yield EngineMetrics(url=url, client=client)
                return
        raise LookupError("Temporal's server serves no metrics")


async def _tells_requests(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return "\nservice_requests{" in (await client.get(url)).text
    except httpx.TransportError:  # gRPC
        return False


async def polling_rows(
    ground: Ground, *, pollers: int, polls: int, every_seconds: float, say: Callable[[str], None]
) -> AsyncIterator[Row]:
    """Of so many readers, each with so many polls."""
    headers = await api_headers(ground)
    temporal_pid = ground.data_dir.find_stack().parts["temporal"].pid
    async with (
        clients(ground.stack.api_url, ground.provider_url, headers=headers) as (api, provider),
        open_engine_metrics(temporal_pid) as engine,
    ):
        temporal = await ground.connect("default")
        polling = Polling(
            api=api, provider=provider, temporal=temporal, engine=engine, every_seconds=every_seconds, say=say
        )
        async for row in polling.rows(pollers, polls):
            yield row

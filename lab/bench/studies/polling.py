"""Many who ask for one living job every few seconds, beside asking its workflow: what they cost the engine."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from statistics import median
from typing import Any

import httpx
from psutil import CONN_LISTEN, Process
from temporalio.client import WorkflowHandle

from lab.bench.contenders.reelay import CREATING
from lab.bench.load import until
from lab.bench.results import Row, of_reelay
from lab.bench.studies.service import Service
from reelay.domain.generation import AT_THE_PROVIDER
from workflows.generation import GenerationWorkflow

READERS = 50
EVERY_SECONDS = 3.0
RAW_QUERIES = 20
QUERIES = re.compile(
    r'^service_requests\{namespace="default",operation="QueryWorkflow",service_name="frontend"\} (\S+)$', re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class Poll:
    seconds: float
    is_unchanged: bool
    """It was answered 304."""


async def polling_rows(service: Service, polls: int) -> AsyncIterator[Row]:
    """So many of each reader."""
    section = f"{READERS} readers of one living job, each {polls} times, every {EVERY_SECONDS:g} s"
    metrics = await find_metrics(service.pids("temporal")["temporal"])
    async with service.webhooks_held():
        job = await service.reelay.create()
        await until(lambda: is_at_the_provider(service, job))
        before = await engine_queries(metrics)
        # Readers that came one after the other.
        readers = (read(service, job, EVERY_SECONDS * number / READERS, polls) for number in range(READERS))
        answers = [poll for of_reader in await asyncio.gather(*readers) for poll in of_reader]
        queries = await engine_queries(metrics) - before
        raw = await raw_queries(service.run_of(job))
    await service.run_of(job).result()
    values = {"Reelay": 1000 * median(each.seconds for each in answers), "raw query": 1000 * median(raw)}
    yield Row(section, "one answer, p50, ms", values)
    values = {"Reelay": 100 * queries / len(answers), "raw query": 100.0}
    yield Row(section, "queries of the engine per 100 polls", values)
    unchanged = 100 * sum(each.is_unchanged for each in answers) / len(answers)
    yield of_reelay(section, "304 answers per 100 polls", unchanged)


async def is_at_the_provider(service: Service, job: str) -> bool:
    answer = await service.api.get(CREATING.status_path.format(job=job))
    return answer.raise_for_status().json()["stage"] in AT_THE_PROVIDER


async def read(service: Service, job: str, delay: float, polls: int) -> list[Poll]:
    found, tag, due = list[Poll](), "", time.monotonic() + delay
    for _ in range(polls):
        await asyncio.sleep(due - time.monotonic())
        begun, headers = time.monotonic(), {"if-none-match": tag} if tag else None
        answer = await service.api.get(CREATING.status_path.format(job=job), headers=headers)
        seconds = time.monotonic() - begun
        is_unchanged = answer.status_code == HTTPStatus.NOT_MODIFIED
        if not is_unchanged:
            answer.raise_for_status()
        found.append(Poll(seconds=seconds, is_unchanged=is_unchanged))
        tag, due = answer.headers["etag"], due + EVERY_SECONDS
    return found


async def raw_queries(run: WorkflowHandle[Any, Any]) -> list[float]:
    """Seconds of each, one after the other."""
    found = []
    for _ in range(RAW_QUERIES):
        begun = time.monotonic()
        await run.query(GenerationWorkflow.current_status)
        found.append(time.monotonic() - begun)
    return found


async def engine_queries(metrics: str) -> float:
    """Of workflows, since the server began: it counts them by itself."""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        counted = QUERIES.search((await client.get(metrics)).text)
    return float(counted[1]) if counted else 0.0


async def find_metrics(temporal_pid: int) -> str:
    """Served on a port of the server's own choice: the one that answers as Prometheus expects. Raises: LookupError."""
    listening = [each.laddr for each in Process(temporal_pid).net_connections("tcp") if each.status == CONN_LISTEN]
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        for address in listening:
            url = f"http://{address.ip}:{address.port}/metrics"
            try:
                if "\nservice_requests{" in (await client.get(url)).text:
                    return url
            except httpx.TransportError:  # gRPC
                continue
    raise LookupError("Temporal's server serves no metrics")

"""Contenders that are called as Reelay is: a POST, a GET, and the provider's webhook in between."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
from temporalio.client import Client

from lab.bench.contender import CONNECTIONS, STATUS_AFTER_SECONDS, Footprint, Step, Timings
from lab.bench.history import footprint_of
from lab.bench.provider import Delivery

TRIES = 5
TRY_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Creating:
    """How a contender is asked for a generation, and looked after."""

    path: str
    body: Mapping[str, Any]
    id_field: str
    status_path: str
    """With `{job}`."""


@dataclass(frozen=True, kw_only=True)
class OverHttp:
    name: str
    promise: Footprint | None
    processes: Mapping[str, int]
    creating: Creating
    api: httpx.AsyncClient
    provider: httpx.AsyncClient
    end_of: Callable[[str], Awaitable[object]]
    """Returns when the job has ended."""
    run_of: Callable[[str], str]
    """The workflow id, where there is one."""
    temporal: Client | None

    async def generate(self) -> str:
        job = await self._create()
        await self.end_of(job)
        return job

    async def generate_timed(self) -> Timings:
        begun = time.monotonic()
        job = await self._create()
        created = time.monotonic()
        await asyncio.sleep(STATUS_AFTER_SECONDS)
        asked = time.monotonic()
        await answer_of(lambda: self.api.get(self.creating.status_path.format(job=job)))
        answered = time.monotonic()
        await self.end_of(job)
        ended = time.monotonic()
        webhook = await delivery_of(self.provider, job)
        return {
            Step.CREATE: created - begun,
            Step.STATUS: answered - asked,
            Step.WEBHOOK: webhook.acknowledged_at - webhook.sent_at,
            Step.FINISH: ended - webhook.sent_at,
            Step.WHOLE: ended - begun,
        }

    async def footprint(self, run: str) -> Footprint | None:
        return await footprint_of(self.temporal, self.run_of(run)) if self.temporal else None

    async def _create(self) -> str:
        answer = await answer_of(lambda: self.api.post(self.creating.path, json=dict(self.creating.body)))
        return str(answer.json()[self.creating.id_field])


async def answer_of(call: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Calls again where a connection was closed on it or the service was too busy, as every client has to.

    A server that gets no CPU for seconds closes a connection that seems to rest, although a request lies in it. The
    next request may make a second job, which nobody waits for. Raises: httpx.HTTPError, of the last try.
    """
    for _ in range(TRIES - 1):
        try:
            answer = await call()
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            continue
        if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
            return answer.raise_for_status()
        await asyncio.sleep(TRY_AGAIN_SECONDS)
    return (await call()).raise_for_status()


async def delivery_of(provider: httpx.AsyncClient, job: str) -> Delivery:
    """The job's webhook, once it is acknowledged."""
    return Delivery(**(await answer_of(lambda: provider.get(f"/bench/webhooks/{job}"))).json())


@asynccontextmanager
async def clients(*origins: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[list[httpx.AsyncClient]]:
    """One per origin, without a limit to its connections."""
    opened = [
        httpx.AsyncClient(base_url=origin, headers=headers, timeout=60, limits=CONNECTIONS, trust_env=False)
        for origin in origins
    ]
    try:
        yield opened
    finally:
        for client in opened:
            await client.aclose()

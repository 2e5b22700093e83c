"""Contenders that are called as Reelay is: a POST, a GET, and the provider's webhook in between."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from temporalio.client import Client

from lab.bench.contender import STATUS_AFTER_SECONDS, Delivery, Footprint, Step, Timings
from lab.bench.history import footprint_of
from lab.bench.http_clients import answer_of


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
    processes: Mapping[str, int]
    creating: Creating
    api: httpx.AsyncClient
    provider: httpx.AsyncClient
    end_of: Callable[[str], Awaitable[object]]
    """Returns when the job has ended."""
    run_of: Callable[[str], str] = str
    """The workflow id, where there is one."""
    temporal: Client | None = None

    async def generate(self) -> str:
        job = await self.create()
        await self.end_of(job)
        return job

    async def generate_timed(self) -> Timings:
        begun = time.monotonic()
        job = await self.create()
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

    async def create(self) -> str:
        """The job's id."""
        answer = await answer_of(lambda: self.api.post(self.creating.path, json=dict(self.creating.body)))
        return str(answer.json()[self.creating.id_field])


async def delivery_of(provider: httpx.AsyncClient, job: str) -> Delivery:
    """The job's webhook, once it is acknowledged."""
    return Delivery(**(await answer_of(lambda: provider.get(f"/bench/webhooks/{job}"))).json())

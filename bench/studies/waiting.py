"""Many generations that wait for their webhook on one worker process, and all webhooks at once."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import httpx
import psutil

from bench.contenders.reelay import CREATING, api_headers
from bench.ground import Ground
from bench.load import drive
from bench.over_http import clients
from bench.rows import Row

CREATORS = 32
LOOK_EVERY_SECONDS = 0.25
WAITING = "select count(*) from generation_jobs where status not in ('completed', 'failed', 'canceled')"
MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Drain:
    """From all webhooks at once to the last end."""

    generations: int
    seconds: float
    grown_bytes: dict[str, int]
    """By process, while they were waiting."""

    @property
    def per_second(self) -> float:
        return self.generations / self.seconds


@dataclass(frozen=True, kw_only=True)
class Waiting:
    ground: Ground
    api: httpx.AsyncClient
    provider: httpx.AsyncClient
    database: asyncpg.Connection
    say: Callable[[str], None]

    async def rows(self, count: int) -> AsyncIterator[Row]:
        section = f"{count:,} generations waiting on one worker"
        undisturbed = await self.drain(count, kill_worker=False)
        for process, grown in undisturbed.grown_bytes.items():
            yield _row(section, f"{process}: MiB per 1,000 waiting", grown / MIB / count * 1000)
        yield _row(section, "then all webhooks at once: completions per second", undisturbed.per_second)
        killed = await self.drain(count, kill_worker=True)
        yield _row(section, "the same after the worker was killed", killed.per_second)

    async def drain(self, count: int, *, kill_worker: bool) -> Drain:
        await self._hold(True)
        before = self._memory()
        await drive(self._create, count=count, concurrency=CREATORS)
        await self._submitted(count)
        grown = {name: now - before[name] for name, now in self._memory().items()}
        self.say(f"{count} generations wait for their webhook")
        if kill_worker:
            os.kill(self.ground.data_dir.find_stack().parts["worker"].pid, signal.SIGKILL)
        begun = time.monotonic()
        await self._hold(False)
        await self._ended()
        return Drain(generations=count, seconds=time.monotonic() - begun, grown_bytes=grown)

    async def _create(self) -> None:
        (await self.api.post(CREATING.path, json=dict(CREATING.body))).raise_for_status()

    async def _hold(self, held: bool) -> None:
        (await self.provider.post("/bench/hold", json={"held": held})).raise_for_status()

    async def _submitted(self, count: int) -> None:
        while (await self.provider.get("/bench/hold")).json()["calls"] < count:  # noqa: ASYNC110 - another process
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _ended(self) -> None:
        while await self.database.fetchval(WAITING):  # noqa: ASYNC110 - another process
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    def _memory(self) -> dict[str, int]:
        parts = self.ground.data_dir.find_stack().parts
        return {name: psutil.Process(parts[name].pid).memory_info().rss for name in ("api", "worker")}


@asynccontextmanager
async def open_waiting(ground: Ground, say: Callable[[str], None]) -> AsyncIterator[Waiting]:
    headers = await api_headers(ground)
    database = await asyncpg.connect(ground.stack.database_admin_url)
    try:
        async with clients(ground.stack.api_url, ground.provider_url, headers=headers) as (api, provider):
            yield Waiting(ground=ground, api=api, provider=provider, database=database, say=say)
    finally:
        await database.close()


async def waiting_rows(ground: Ground, *, count: int, say: Callable[[str], None]) -> list[Row]:
    async with open_waiting(ground, say) as waiting:
        return [row async for row in waiting.rows(count)]


def _row(section: str, label: str, value: float) -> Row:
    return Row(section=section, label=label, values={"Reelay": value})

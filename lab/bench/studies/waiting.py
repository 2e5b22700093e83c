"""Many generations that wait for their webhook on one worker process, and all webhooks at once."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

import asyncpg
import httpx
import psutil

from lab.bench.contender import Contender
from lab.bench.contenders.reelay import CREATING, api_headers, open_reelay
from lab.bench.ground import Ground
from lab.bench.load import drive
from lab.bench.memory import peak_memory
from lab.bench.over_http import answer_of, clients
from lab.bench.rows import Row

CREATORS = 32
STEADY_CONCURRENCY, STEADY_GENERATIONS = 64, 192
POLL_EVERY_SECONDS = 0.25
REPORT_EVERY_SECONDS = 20.0
ENDS = """
select count(*) filter (where status = 'completed') as completed,
    count(*) filter (where status in ('failed', 'canceled')) as failed,
    extract(epoch from max(completed_at) - min(completed_at))::float as seconds
from generation_jobs where created_at >= $1
"""
MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Drain:
    """All webhooks at once, until the last end."""

    generations: int
    seconds: float
    """From the webhooks; from the death, where the worker was killed."""
    first_to_last_seconds: float
    """Of the completions."""
    memory: Mapping[str, int]
    """Bytes by process, while all were waiting."""
    grown: Mapping[str, int]
    """Of which they took."""
    worker_peak: int
    """Bytes, of the worker that saw the last end."""

    @property
    def per_second(self) -> float:
        return self.generations / self.seconds


@dataclass(frozen=True, kw_only=True)
class Waiting:
    ground: Ground
    reelay: Contender
    api: httpx.AsyncClient
    provider: httpx.AsyncClient
    database: asyncpg.Connection
    say: Callable[[str], None]

    async def rows(self, count: int) -> AsyncIterator[Row]:
        section = f"{count:,} generations waiting on one worker"
        some = min(STEADY_GENERATIONS, count)
        rate = some / (await drive(self.reelay.generate, count=some, concurrency=STEADY_CONCURRENCY)).seconds
        undisturbed = await self.drain(count, kill_worker=False)
        for process, grown in undisturbed.grown.items():
            yield _row(section, f"{process}: MiB per 1,000 waiting", grown / MIB / count * 1000)
        yield _row(section, "worker: MiB while all of them wait", undisturbed.memory["worker"] / MIB)
        for row in self._drained(section, "all webhooks at once", undisturbed, rate):
            yield row
        killed = await self.drain(count, kill_worker=True)
        for row in self._drained(section, "the same when the worker is killed first", killed, rate):
            yield row

    def _drained(self, section: str, label: str, drain: Drain, rate: float) -> Iterator[Row]:
        values = {"Reelay": drain.per_second, f"steady rate at {STEADY_CONCURRENCY}": rate}
        yield Row(section=section, label=f"{label}: completions per second", values=values)
        yield _row(section, f"{label}: first to last completion, s", drain.first_to_last_seconds)
        yield _row(section, f"{label}: most MiB of the worker", drain.worker_peak / MIB)

    async def drain(self, count: int, *, kill_worker: bool) -> Drain:
        """Raises: RuntimeError when not every generation completes."""
        start = await self.database.fetchval("select now()")
        before = self._memory()
        await self._hold(True)
        try:
            await drive(self._create, count=count, concurrency=CREATORS)
            await self._submitted(count)
            memory = self._memory()
            self.say(f"{count:,} generations wait for their webhook")
            begun = time.monotonic()
            if kill_worker:
                os.kill(self.ground.data_dir.find_stack().parts["worker"].pid, signal.SIGKILL)
        finally:
            await self._hold(False)
        first_to_last = await self._all_completed(start, count)
        seconds = time.monotonic() - begun
        self.say(f"all {count:,} have completed after {seconds:.1f} s")
        return Drain(
            generations=count,
            seconds=seconds,
            first_to_last_seconds=first_to_last,
            memory=memory,
            grown={name: memory[name] - before[name] for name in memory},
            worker_peak=peak_memory({"worker": self.ground.data_dir.find_stack().parts["worker"].pid})["worker"],
        )

    async def _create(self) -> None:
        body, headers = dict(CREATING.body), {"idempotency-key": str(uuid4())}
        await answer_of(lambda: self.api.post(CREATING.path, json=body, headers=headers))

    async def _hold(self, held: bool) -> None:
        await answer_of(lambda: self.provider.post("/bench/hold", json={"held": held}))

    async def _held(self) -> int:
        """Webhooks that are kept back."""
        return int((await answer_of(lambda: self.provider.get("/bench/hold"))).json()["calls"])

    async def _submitted(self, count: int) -> None:
        while await self._held() < count:  # noqa: ASYNC110 - another process
            await asyncio.sleep(POLL_EVERY_SECONDS)

    async def _all_completed(self, start: datetime, count: int) -> float:
        """Seconds from the first to the last completion."""
        reported_at = time.monotonic()
        while True:
            ends = await self.database.fetchrow(ENDS, start)
            if ends["failed"]:
                raise RuntimeError(f"{ends['failed']} of {count:,} generations that waited have failed")
            if ends["completed"] == count:
                return float(ends["seconds"])
            if time.monotonic() - reported_at > REPORT_EVERY_SECONDS:
                reported_at = time.monotonic()
                self.say(f"{ends['completed']:,} of {count:,} have completed")
            await asyncio.sleep(POLL_EVERY_SECONDS)

    def _memory(self) -> dict[str, int]:
        parts = self.ground.data_dir.find_stack().parts
        return {name: psutil.Process(parts[name].pid).memory_info().rss for name in ("api", "worker")}


@asynccontextmanager
async def open_waiting(ground: Ground, say: Callable[[str], None]) -> AsyncIterator[Waiting]:
    headers = await api_headers(ground)
    database = await asyncpg.connect(ground.stack.database_admin_url)
    try:
        async with (
            clients(ground.stack.api_url, ground.provider_url, headers=headers) as (api, provider),
            open_reelay(ground) as reelay,
        ):
            yield Waiting(ground=ground, reelay=reelay, api=api, provider=provider, database=database, say=say)
    finally:
        await database.close()


async def waiting_rows(ground: Ground, *, count: int, say: Callable[[str], None]) -> AsyncIterator[Row]:
    async with open_waiting(ground, say) as waiting:
        async for row in waiting.rows(count):
            yield row


def _row(section: str, label: str, value: float) -> Row:
    return Row(section=section, label=label, values={"Reelay": value})

"""Jobs that wait for a slot at their provider: what a limit costs where nobody waits, what many who wait take, how soon
the next one goes after an end, and how far the end that was forecast is from the real one."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from statistics import median
from typing import Any

import asyncpg
import httpx
import psutil

from lab.bench.contender import Contender
from lab.bench.contenders.reelay import CREATING, api_headers, open_reelay, operators_headers
from lab.bench.ground import Ground
from lab.bench.load import drive
from lab.bench.over_http import answer_of, clients
from lab.bench.rows import Row, quantile

CONCURRENCY, GENERATIONS = 16, 96
NEVER_REACHED = 10_000
SLOTS = 4
FORECAST = 200
ENDS_MEASURED = 200
LARGEST_BATCH = 1000
POLL_EVERY_SECONDS = 0.25
LIMIT_KNOWN_SECONDS = 3.0
"""Workers look every two seconds."""
MIB = 1024 * 1024
STATES = """
select count(*) filter (where waiting_for = 'slot' and status = 'pending') as waiting,
    count(*) filter (where status = 'completed') as completed,
    count(*) filter (where status in ('failed', 'canceled')) as lost
from generation_jobs where created_at >= $1
"""
# From an end to the next submission: the n-th of one to the n-th of the other, beyond those that began at once.
WAKES = """
with sent as (
    select attempt.sent_at, row_number() over (order by attempt.sent_at) as number
    from submission_attempts as attempt join generation_jobs as job on job.id = attempt.job_id
    where job.created_at >= $1
), ended as (
    select completed_at, row_number() over (order by completed_at) as number from generation_jobs
    where created_at >= $1 and completed_at is not null
)
select extract(epoch from sent.sent_at - ended.completed_at)::float as seconds
from ended join sent on sent.number = ended.number + $2
where ended.number <= $3
"""


@dataclass(frozen=True, kw_only=True)
class SlotStudy:
    ground: Ground
    reelay: Contender
    api: httpx.AsyncClient
    operator: httpx.AsyncClient
    provider: httpx.AsyncClient
    database: asyncpg.Connection
    say: Callable[[str], None]

    async def rows(self, count: int) -> AsyncIterator[Row]:
        pair = "a limit that is never reached"
        for label, slots in (("no limit", None), ("limit", NEVER_REACHED), ("no limit again", None)):
            await self._limit(slots)
            driven = await drive(self.reelay.generate, count=GENERATIONS, concurrency=CONCURRENCY)
            yield _row(pair, f"{label}: generations per second", GENERATIONS / driven.seconds)
        error = await self.forecast_error()
        forecast = f"forecast ends of {FORECAST} jobs at {SLOTS} slots"
        yield _row(forecast, "median error, % of the time until the end", 100 * error)
        async for row in self.wait(count):
            yield row

    async def forecast_error(self) -> float:
        """Of the ends that are told while all wait, as shares of the time from then on. The median."""
        async with self._limited(SLOTS):
            begun, jobs = await self._create(FORECAST)
            asked, told = await self._told(jobs)
            await self._all_completed(begun, FORECAST)
            ends = await self.database.fetch(
                "select id::text, completed_at from generation_jobs where created_at >= $1", begun
            )
        errors: list[float] = [
            abs((told[row["id"]] - row["completed_at"]).total_seconds()) / (row["completed_at"] - asked).total_seconds()
            for row in ends
            if row["id"] in told and row["completed_at"] > asked
        ]
        return median(errors)

    async def wait(self, count: int) -> AsyncIterator[Row]:
        section = f"{count:,} waiting for one of {SLOTS} slots"
        async with self._limited(SLOTS):
            before = self._memory()
            await self._hold(True)
            try:
                begun, _ = await self._create(count)
                await self._until(begun, waiting=count - SLOTS)
                memory = self._memory()
            finally:
                await self._hold(False)
            for process, held in memory.items():
                yield _row(section, f"{process}: MiB per 1,000 waiting", (held - before[process]) / MIB / count * 1000)
            yield _row(section, "worker: MiB while all of them wait", memory["worker"] / MIB)
            await self._until(begun, completed=min(ENDS_MEASURED, count))
            woken = await self.database.fetch(WAKES, begun, SLOTS, min(ENDS_MEASURED, count - SLOTS))
            seconds = [row["seconds"] for row in woken]
            for name, share in (("p50", 0.5), ("p99", 0.99)):
                yield _row(section, f"from an end to the next submission, ms, {name}", 1000 * quantile(seconds, share))
        await self._all_completed(begun, count)

    @asynccontextmanager
    async def _limited(self, slots: int) -> AsyncIterator[None]:
        await self._limit(slots)
        try:
            yield
        finally:
            await self._limit(None)

    async def _limit(self, slots: int | None) -> None:
        await answer_of(lambda: self.operator.post("/api/admin/providers/fal/limit", json={"slots": slots}))
        await asyncio.sleep(LIMIT_KNOWN_SECONDS)

    async def _create(self, count: int) -> tuple[datetime, list[str]]:
        begun = await self.database.fetchval("select now()")
        job = {"model": "veo3.1-fast", "input": {"prompt": CREATING.body["prompt"]}}
        jobs: list[str] = []
        while left := count - len(jobs):
            body = {"jobs": [job] * min(left, LARGEST_BATCH)}
            jobs += (await answer_of(partial(self.api.post, "/api/batches", json=body))).json()["jobIds"]
        return begun, jobs

    async def _told(self, jobs: list[str]) -> tuple[datetime, dict[str, datetime]]:
        """When it was asked, and the ends that were forecast then."""
        asked = await self.database.fetchval("select now()")
        told: dict[str, datetime] = {}
        for job in jobs:
            view: dict[str, Any] = (await answer_of(partial(self.api.get, f"/api/jobs/{job}"))).json()
            if view["waitingFor"] == "slot" and view["estimatedCompletionAt"]:
                told[job] = datetime.fromisoformat(view["estimatedCompletionAt"])
        return asked, told

    async def _hold(self, held: bool) -> None:
        await answer_of(lambda: self.provider.post("/bench/hold", json={"held": held}))

    async def _all_completed(self, begun: datetime, count: int) -> None:
        await self._until(begun, completed=count)

    async def _until(self, begun: datetime, **wanted: int) -> None:
        """Raises: RuntimeError when a job is lost."""
        reported_at = time.monotonic()
        while True:
            states = await self.database.fetchrow(STATES, begun)
            if states["lost"]:
                raise RuntimeError(f"{states['lost']} jobs that waited have failed")
            if all(states[name] >= count for name, count in wanted.items()):
                return
            if time.monotonic() - reported_at > 20:
                reported_at = time.monotonic()
                self.say(f"{states['waiting']:,} wait, {states['completed']:,} have completed")
            await asyncio.sleep(POLL_EVERY_SECONDS)

    def _memory(self) -> dict[str, int]:
        parts = self.ground.data_dir.find_stack().parts
        return {name: psutil.Process(parts[name].pid).memory_info().rss for name in ("api", "worker")}


async def slot_rows(ground: Ground, *, count: int, say: Callable[[str], None]) -> AsyncIterator[Row]:
    headers, operators = await api_headers(ground), await operators_headers(ground)
    database = await asyncpg.connect(ground.stack.database_admin_url)
    try:
        async with (
            clients(ground.stack.api_url, ground.provider_url, headers=headers) as (api, provider),
            clients(ground.stack.api_url, ground.provider_url, headers=operators) as (operator, _),
            open_reelay(ground) as reelay,
        ):
            study = SlotStudy(
                ground=ground,
                reelay=reelay,
                api=api,
                operator=operator,
                provider=provider,
                database=database,
                say=say,
            )
            async for row in study.rows(count):
                yield row
    finally:
        await database.close()


def _row(section: str, label: str, value: float) -> Row:
    return Row(section=section, label=label, values={"Reelay": value})

"""Many generations that wait for their webhook on one worker process, and all webhooks at once."""

import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from lab.bench.load import drive, until
from lab.bench.processes import memory, peak_memory
from lab.bench.results import Row, of_reelay
from lab.bench.studies.service import Service

CREATORS = 32
STEADY_CONCURRENCY, STEADY_GENERATIONS = 64, 192
SAY_EVERY_SECONDS = 20.0
ENDS = """
    select count(*) filter (where status = 'completed') as completed,
        count(*) filter (where status in ('failed', 'canceled')) as failed
    from generation_jobs where created_at >= $1
"""


@dataclass(frozen=True, kw_only=True)
class Drain:
    """All webhooks at once, until the last end."""

    per_second: float
    """From the webhooks; from the death, where the worker was killed."""
    waiting: float
    """MiB of the worker, while all were waiting."""
    peak: float
    """MiB, of the worker that saw the last end."""


async def waiting_rows(service: Service, count: int) -> AsyncIterator[Row]:
    section = f"{count:,} generations waiting on one worker"
    some = min(STEADY_GENERATIONS, count)
    rate = some / (await drive(service.reelay.generate, count=some, concurrency=STEADY_CONCURRENCY)).seconds
    for label, kill in (("all webhooks at once", False), ("the same when the worker is killed first", True)):
        drained = await drain(service, count, kill_worker=kill)
        if not kill:
            yield of_reelay(section, "worker: MiB while all of them wait", drained.waiting)
        values = {"Reelay": drained.per_second, f"steady rate at {STEADY_CONCURRENCY}": rate}
        yield Row(section, f"{label}: completions per second", values)
        yield of_reelay(section, f"{label}: most MiB of the worker", drained.peak)


async def drain(service: Service, count: int, *, kill_worker: bool) -> Drain:
    """Raises: RuntimeError when not every generation completes."""
    start = await service.database.fetchval("select now()")
    async with service.webhooks_held():
        await drive(service.reelay.create, count=count, concurrency=CREATORS)
        await until(lambda: service.are_held(count))
        worker = service.pids("worker")["worker"]
        waiting, begun = memory(worker), time.monotonic()
        service.say(f"{count:,} generations wait for their webhook")
        if kill_worker:
            os.kill(worker, signal.SIGKILL)
    await all_completed(service, start, count)
    seconds = time.monotonic() - begun
    service.say(f"all {count:,} have completed after {seconds:.1f} s")
    return Drain(per_second=count / seconds, waiting=waiting, peak=peak_memory(service.pids("worker")["worker"]))


async def all_completed(service: Service, since: datetime, count: int) -> None:
    """Of those created since then. Raises: RuntimeError when one has failed."""
    said_at = time.monotonic()

    async def have_completed() -> bool:
        nonlocal said_at
        ends = await service.database.fetchrow(ENDS, since)
        if ends["failed"]:
            raise RuntimeError(f"{ends['failed']} of {count:,} generations that waited have failed")
        if time.monotonic() - said_at > SAY_EVERY_SECONDS:
            said_at = time.monotonic()
            service.say(f"{ends['completed']:,} of {count:,} have completed")
        return bool(ends["completed"] >= count)

    await until(have_completed)

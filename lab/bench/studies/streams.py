"""Many open event streams on one API process: what they weigh, and how soon they tell that a generation is done."""

import asyncio
import json
import resource
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from urllib.parse import urlsplit

from lab.bench.comparison import SHARES, quantile
from lab.bench.contenders.reelay import CREATING, bearer, new_keys
from lab.bench.http_clients import answer_of
from lab.bench.load import drive
from lab.bench.over_http import delivery_of
from lab.bench.processes import cpu_seconds, memory
from lab.bench.results import Row, of_reelay
from lab.bench.studies.service import Service

USERS = 50
GENERATIONS = 40
AT_ONCE = 4
IDLE_SECONDS = 10.0
OPENING_AT_ONCE = 20
PATIENCE_SECONDS = 120
LONGEST_LINE = 1024 * 1024
FILES_BESIDE = 1024
"""What a process has open besides streams, at most."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A generation; its moments are of the monotonic clock."""

    job: str
    webhook_sent_at: float
    at: float
    """When a long poll of its workflow answered."""


class Readers:
    """Event streams that are read, and when each told of the end of a job."""

    def __init__(self, api_url: str) -> None:
        address = urlsplit(api_url)
        self._host, self._port = address.hostname, address.port
        self._slots = asyncio.Semaphore(OPENING_AT_ONCE)
        self._more = asyncio.Event()
        self._seen: defaultdict[str, list[float]] = defaultdict(list)

    @asynccontextmanager
    async def open(self, keys: Sequence[str]) -> AsyncIterator[None]:
        """One stream for each key."""
        opened = await asyncio.gather(*(self._open(key) for key in keys))
        reading = [asyncio.create_task(self._read(reader)) for reader, _ in opened]
        try:
            yield
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
            for _, writer in opened:
                writer.close()

    async def seen(self, job: str, times: int) -> list[float]:
        """The moments at which streams told its end, once there are so many."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self._seen[job]) < times:
                self._more.clear()
                await self._more.wait()
        return self._seen[job]

    async def _open(self, key: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Its headers have come."""
        async with self._slots:
            reader, writer = await asyncio.open_connection(self._host, self._port, limit=LONGEST_LINE)
            lines = ("GET /api/events HTTP/1.1", f"host: {self._host}", f"authorization: Bearer {key}", "", "")
            writer.write("\r\n".join(lines).encode())
            head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"a stream was not opened: {head.splitlines()[0].decode()}")
        return reader, writer

    async def _read(self, reader: asyncio.StreamReader) -> None:
        async for line in reader:
            if line.startswith(b"data: ") and b'"status":"completed"' in line:
                self._seen[json.loads(line.removeprefix(b"data: "))["id"]].append(time.monotonic())
                self._more.set()


async def stream_rows(service: Service, count: int) -> AsyncIterator[Row]:
    """So many, of some users, beside none."""
    keys = await new_keys(service.ground, [f"streams {number}" for number in range(min(USERS, count))])
    each, generations = count // len(keys), min(GENERATIONS, count)
    section = f"{count:,} event streams of {len(keys)} users, then {generations} generations"
    readers, api = Readers(service.ground.stack.api_url), service.pids("api")
    without, _ = await generate(service, keys, generations)
    before = memory(api["api"])
    async with readers.open(keys * each):
        idle = cpu_seconds(api)["api"]
        await asyncio.sleep(IDLE_SECONDS)
        idle = cpu_seconds(api)["api"] - idle
        yield of_reelay(section, "API: KiB per stream", 1024 * (memory(api["api"]) - before) / count)
        yield of_reelay(section, "API: CPU ms per second while nothing happens", 1000 * idle / IDLE_SECONDS)
        cost, ended = await generate(service, keys, generations)
        yield Row(section, "API: CPU ms per generation", {"Reelay": cost, "no stream": without})
        until_seen = [at - one.webhook_sent_at for one in ended for at in await readers.seen(one.job, each)]
    until_ended = [one.at - one.webhook_sent_at for one in ended]
    for name, share in SHARES.items():
        values = {"Reelay": 1000 * quantile(until_seen, share), "workflow's end": 1000 * quantile(until_ended, share)}
        yield Row(section, f"webhook sent until its user's streams tell the end, {name}, ms", values)


async def generate(service: Service, keys: Sequence[str], count: int) -> tuple[float, Sequence[Ended]]:
    """Generations of all these users in turn, with the API's CPU milliseconds for each."""
    turns, api = cycle(keys), service.pids("api")
    before = cpu_seconds(api)["api"]
    driven = await drive(lambda: _generate(service, next(turns)), count=count, concurrency=AT_ONCE)
    return 1000 * (cpu_seconds(api)["api"] - before) / count, driven.outcomes


async def _generate(service: Service, key: str) -> Ended:
    body, headers = dict(CREATING.body), bearer(key)
    answer = await answer_of(partial(service.api.post, CREATING.path, json=body, headers=headers))
    job = str(answer.json()[CREATING.id_field])
    await service.reelay.end_of(job)
    at = time.monotonic()
    return Ended(job=job, at=at, webhook_sent_at=(await delivery_of(service.provider, job)).sent_at)


def allow_streams(count: int) -> None:
    """Lets this process, and those it starts from now on, have so many connections open, as far as the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

"""Many open event streams on one API process: what they weigh, and how soon they tell that a generation is done."""

import asyncio
import json
import resource
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any
from uuid import UUID

import httpx
import psutil
from temporalio.client import Client

from lab.bench.contenders.reelay import CREATING, new_keys
from lab.bench.cpu import cpu_seconds
from lab.bench.ground import Ground, plain_environment
from lab.bench.load import drive
from lab.bench.over_http import answer_of, clients, delivery_of
from lab.bench.rows import SHARES, Row, quantile
from workflows.ids import workflow_id

USERS = 50
GENERATIONS = 40
AT_ONCE = 4
IDLE_SECONDS = 2.0
LONGEST_ANSWER = 16 * 1024 * 1024
KIB = 1024
FILES_BESIDE = 1024
"""What a process has open besides streams, at most."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A generation; its moments are of the monotonic clock."""

    job: str
    webhook_sent_at: float
    at: float
    """When a long poll of its workflow answered."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one round of generations took."""

    generations: Sequence[Ended]
    api_seconds: float
    """Of CPU."""

    @property
    def api_milliseconds(self) -> float:
        """Per generation."""
        return 1000 * self.api_seconds / len(self.generations)

    @property
    def until_ended(self) -> list[float]:
        return [each.at - each.webhook_sent_at for each in self.generations]

    def until_seen(self, seen: Mapping[str, Sequence[float]]) -> list[float]:
        return [moment - each.webhook_sent_at for each in self.generations for moment in seen[each.job]]


@dataclass(frozen=True, kw_only=True)
class Readers:
    """The process that reads the streams: its CPU and memory are not the driver's."""

    process: asyncio.subprocess.Process

    async def open(self, keys: Sequence[str]) -> None:
        """One stream for each key."""
        await self._asked(keys)

    async def seen(self, expected: Mapping[str, int]) -> Mapping[str, Sequence[float]]:
        """By job, the moments at which streams showed that it was completed, once there are so many."""
        found: Mapping[str, Sequence[float]] = await self._asked(expected)
        return found

    async def _asked(self, question: object) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        answer = await self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the readers of streams ended with exit code {await self.process.wait()}")
        return json.loads(answer)


@dataclass(frozen=True, kw_only=True)
class Streams:
    api_pid: int
    api: httpx.AsyncClient
    provider: httpx.AsyncClient
    temporal: Client
    readers: Readers
    say: Callable[[str], None]

    async def rows(self, keys: Sequence[str], each: int) -> AsyncIterator[Row]:
        """With so many streams for each of the keys, which are of different users."""
        count = each * len(keys)
        generations = min(GENERATIONS, count)
        section = f"{count:,} event streams of {len(keys)} users, then {generations} generations"
        without = await self.generate(keys, generations)
        memory = self._memory()
        await self.readers.open([key for key in keys for _ in range(each)])
        idle_seconds = await self._cpu_seconds(lambda: asyncio.sleep(IDLE_SECONDS))
        yield _row(section, "API: KiB per stream", (self._memory() - memory) / count / KIB)
        yield _row(section, "API: CPU ms per second while nothing happens", 1000 * idle_seconds / IDLE_SECONDS)
        load = await self.generate(keys, generations)
        seen = await self.readers.seen({generation.job: each for generation in load.generations})
        self.say(f"{count} streams saw the end of {generations} generations")
        yield Row(
            section=section,
            label="API: CPU ms per generation",
            values={"Reelay": load.api_milliseconds, "no stream": without.api_milliseconds},
        )
        for name, share in SHARES.items():
            seen_at, ended = quantile(load.until_seen(seen), share), quantile(load.until_ended, share)
            yield Row(
                section=section,
                label=f"webhook sent until its user's streams tell the end, {name}, ms",
                values={"Reelay": 1000 * seen_at, "workflow's end": 1000 * ended},
            )

    async def generate(self, keys: Sequence[str], count: int) -> Load:
        """Generations of all these users in turn."""
        turns, ended = cycle(keys), list[Ended]()

        async def generations() -> None:
            driven = await drive(lambda: self._generate(next(turns)), count=count, concurrency=AT_ONCE)
            ended.extend(driven.outcomes)

        return Load(api_seconds=await self._cpu_seconds(generations), generations=ended)

    async def _generate(self, key: str) -> Ended:
        headers = {"authorization": f"Bearer {key}"}
        answer = await answer_of(lambda: self.api.post(CREATING.path, json=dict(CREATING.body), headers=headers))
        job = str(answer.json()[CREATING.id_field])
        await self.temporal.get_workflow_handle(workflow_id(UUID(job))).result()
        at = time.monotonic()
        return Ended(job=job, at=at, webhook_sent_at=(await delivery_of(self.provider, job)).sent_at)

    async def _cpu_seconds(self, work: Callable[[], Awaitable[None]]) -> float:
        """Of the API, meanwhile."""
        before = cpu_seconds({"api": self.api_pid})["api"]
        await work()
        return cpu_seconds({"api": self.api_pid})["api"] - before

    def _memory(self) -> int:
        return int(psutil.Process(self.api_pid).memory_info().rss)


@asynccontextmanager
async def open_readers(api_url: str) -> AsyncIterator[Readers]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "lab.bench.studies.reading_streams", api_url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LONGEST_ANSWER,
        env=plain_environment(),
    )
    try:
        yield Readers(process=process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def allow_streams(count: int) -> None:
    """Lets this process, and those it starts from now on, have so many connections open, as far as the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def stream_rows(ground: Ground, *, count: int, say: Callable[[str], None]) -> AsyncIterator[Row]:
    users = min(USERS, count)
    keys = await new_keys(ground, [f"streams {number}" for number in range(users)])
    api_url = ground.stack.api_url
    async with clients(api_url, ground.provider_url) as (api, provider), open_readers(api_url) as readers:
        streams = Streams(
            api_pid=ground.data_dir.find_stack().parts["api"].pid,
            api=api,
            provider=provider,
            temporal=await ground.connect("default"),
            readers=readers,
            say=say,
        )
        async for row in streams.rows(keys, count // users):
            yield row


def _row(section: str, label: str, value: float) -> Row:
    return Row(section=section, label=label, values={"Reelay": value})

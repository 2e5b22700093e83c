"""Outgoing webhooks to many receivers at once, of which some are dead: how long the others wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import httpx

from lab.bench.contenders.reelay import new_keys, open_reelay
from lab.bench.cpu import cpu_seconds
from lab.bench.ground import SHARED_PROCESSES, Ground
from lab.bench.over_http import OverHttp, answer_of, clients
from lab.bench.rows import SHARES, Row
from lab.bench.studies.stored import empty, fill, superuser
from lab.devstack.ports import HOST

ENDPOINTS = 100
DEAD = 10
LOOK_EVERY_SECONDS = 0.5
CALLS = "/api/webhook-endpoints"
P99 = "event until delivered, p99, s"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
TELL = """
    select write_outgoing_event(job.user_id, 'job.completed', job => job.id)
    from generation_jobs as job join webhook_endpoints as endpoint using (user_id) where endpoint.id = $1
"""
DELIVERED = "select not exists (select from outgoing_deliveries where endpoint_id = any ($1) and state = 'pending')"
WAITED = """
    select count(*), extract(epoch from max(ended_at) - min(created_at))::float8 as seconds,
        percentile_disc($3::float8[]) within group (
            order by extract(epoch from ended_at - created_at)::float8
        ) as waited
    from outgoing_deliveries where endpoint_id = any ($1) and created_at >= $2
"""


@dataclass
class Receivers:
    """Backends that answer at once, each at a path of its own; the dead ones take the request, and say nothing."""

    origin: str = ""
    dead: set[str] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
                length = next(line for line in head if line.startswith("content-length:"))
                await reader.readexactly(int(length.partition(":")[2]))
                if head[0].split(" ")[1] in self.dead:
                    await reader.read()
                else:
                    writer.write(OK)
        writer.close()


@asynccontextmanager
async def receivers() -> AsyncIterator[Receivers]:
    running = Receivers()
    server = await asyncio.start_server(running.serve, HOST, 0)
    running.origin = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    try:
        yield running
    finally:
        server.close()


async def outgoing_rows(ground: Ground, *, events: int, say: Callable[[str], None]) -> AsyncIterator[Row]:
    """The same receivers are told the same with and without dead ones beside them. Each row comes again."""
    section = f"{events:,} events of {ENDPOINTS} endpoints at once"
    figures: dict[str, dict[str, float]] = {}
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(receivers())
        endpoints = await stack.enter_async_context(open_endpoints(ground, running.origin))
        await fill_with_jobs(ground, events)
        database = await asyncpg.connect(superuser(ground))
        stack.push_async_callback(database.close)
        running.dead = {f"/{number}" for number in range(DEAD)}
        dead, live = endpoints[:DEAD], endpoints[DEAD:]
        for column, told in (("all answer", live), (f"{DEAD} are dead", [*dead, *live])):
            for label, figure in (await tell(ground, database, told, live)).items():
                figures.setdefault(label, {})[column] = figure
                yield Row(section=section, label=label, values=figures[label])
            say(f"{column}: the others' p99 is {figures[P99][column]:.1f} s")


@asynccontextmanager
async def open_endpoints(ground: Ground, origin: str) -> AsyncIterator[list[UUID]]:
    """One of each of so many users, verified. Deleted afterwards, with what still waits for dead ones."""
    keys = await new_keys(ground, [f"told {number}" for number in range(ENDPOINTS)])
    async with clients(ground.stack.api_url) as (api,):
        endpoints = [await create(api, key, f"{origin}/{number}") for number, key in enumerate(keys)]
        try:
            await until(lambda: are_verified(endpoints))
            yield [endpoint.id for endpoint in endpoints]
        finally:
            for endpoint in endpoints:
                await endpoint.call("DELETE")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    api: httpx.AsyncClient
    caller: dict[str, str]
    id: UUID

    async def call(self, method: str) -> httpx.Response:
        answer = await self.api.request(method, f"{CALLS}/{self.id}", headers=self.caller)
        return answer.raise_for_status()


async def create(api: httpx.AsyncClient, key: str, url: str) -> Endpoint:
    caller = {"authorization": f"Bearer {key}"}
    answer = await answer_of(lambda: api.post(CALLS, json={"url": url}, headers=caller))
    return Endpoint(api=api, caller=caller, id=UUID(answer.json()["id"]))


async def are_verified(endpoints: Sequence[Endpoint]) -> bool:
    for endpoint in endpoints:
        if (await endpoint.call("GET")).json()["status"] != "enabled":
            return False
    return True


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await is_so():
            return
        await asyncio.sleep(LOOK_EVERY_SECONDS)


async def fill_with_jobs(ground: Ground, count: int) -> None:
    """So many, of those who have endpoints."""
    async with open_reelay(ground) as reelay:
        assert isinstance(reelay, OverHttp)
        await empty(ground)
        await fill(ground, await reelay.generate(), count + 1, owners=["told %"])


async def tell(
    ground: Ground, database: asyncpg.Connection, told: Sequence[UUID], live: Sequence[UUID]
) -> dict[str, float]:
    """All events at once. What it came to for the living, by label."""
    processes = {name: ground.stack.parts[name].pid for name in ("worker", *SHARED_PROCESSES)}
    before, begun = cpu_seconds(processes), await database.fetchval("select now()")
    for endpoint in told:
        await database.execute(TELL, endpoint)
    await until(lambda: database.fetchval(DELIVERED, live))
    after = cpu_seconds(processes)
    found = await database.fetchrow(WAITED, live, begun, list(SHARES.values()))
    return {
        **{f"event until delivered, {name}, s": waited for name, waited in zip(SHARES, found["waited"], strict=True)},
        "deliveries per second": found["count"] / found["seconds"],
        **{f"CPU ms per delivery, {name}": 1000 * (after[name] - before[name]) / found["count"] for name in processes},
    }

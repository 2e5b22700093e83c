"""Event streams while things go wrong: nothing is missed, nothing is told twice, and nobody waits for a reader."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
import uvicorn
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col
from starlette.types import Receive, Scope, Send

from api.events.stream import EventResponse
from reelay.db.generations import advance_generation
from reelay.db.tables import JobEvent
from reelay.domain.generation import Stage, Status
from tests.eventually import PATIENCE
from tests.integration.api.streams import Event, Stream, opened
from tests.running import Service, running_service
from tests.servers import Servers, listening, loopback_socket
from tests.tcp_lines import Lines, open_line


@pytest.fixture(scope="module")
async def lines(servers: Servers) -> AsyncIterator[Lines]:
    async with open_line(servers.temporal.port) as temporal, open_line(servers.postgres.server.port) as postgres:
        yield Lines(temporal, postgres)


@pytest.fixture(scope="module")
async def idle(servers: Servers, lines: Lines) -> AsyncIterator[Service]:
    """Nobody works: what changes, the tests change."""
    async with running_service(servers, lines=lines, worker=False, events_heartbeat=0.2) as running:
        yield running


async def write_attempt(session: AsyncSession, job_id: str, number: int) -> None:
    await advance_generation(
        session,
        UUID(job_id),
        status=Status.PENDING,
        stage=Stage.SUBMITTING,
        detail=f"Attempt {number}",
        provider=None,
        message=f"Attempt {number}",
        attempts=number,
    )


async def change(service: Service, job_id: str, number: int) -> None:
    async with service.sessions.begin() as session:
        await write_attempt(session, job_id, number)


async def next_change(stream: Stream) -> tuple[str, int]:
    event = await stream.next()
    assert event
    return event.job["id"], event.job["attempts"]


async def past_the_snapshot(service: Service, stream: Stream) -> None:
    """Reads until the stream tells of a job that was made after it was opened."""
    job_id = await service.create("the last of the snapshot")
    await stream.until_status(job_id, "pending")


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_later_event_waits_for_an_earlier_one_that_is_not_committed(idle: Service, end: str) -> None:
    slow, fast = [await idle.create(f"{each}") for each in ("slow", "fast")]
    async with opened(idle.client, "/api/events") as stream, opened(idle.client, f"/api/jobs/{fast}/events") as one:
        await past_the_snapshot(idle, stream)
        await one.next()
        async with idle.sessions() as session:
            await write_attempt(session, slow, 1)  # numbered first
            await change(idle, fast, 2)  # committed first
            # The stream of that one job need not wait.
            assert await next_change(one) == (fast, 2)
            await stream.comment()
            following = asyncio.create_task(next_change(stream))
            await one.comment()
            assert not following.done()
            await getattr(session, end)()
        if end == "commit":
            assert await following == (slow, 1)
            following = asyncio.create_task(next_change(stream))
        assert await following == (fast, 2)
        await change(idle, slow, 3)
        assert await next_change(stream) == (slow, 3)


async def test_stream_comments_while_nothing_happens(idle: Service) -> None:
    job_id = await idle.create("quiet")
    async with opened(idle.client, f"/api/jobs/{job_id}/events") as stream:
        assert await stream.next()
        for _ in range(3):
            await stream.comment()
        await change(idle, job_id, 1)
        assert await next_change(stream) == (job_id, 1)


async def test_stream_outlasts_postgres_and_catches_up(idle: Service, lines: Lines) -> None:
    job_id = await idle.create("changed while nobody can look")
    async with opened(idle.client, f"/api/jobs/{job_id}/events") as one, opened(idle.client, "/api/events") as every:
        await one.next()
        await past_the_snapshot(idle, every)
        with lines.postgres.cut():
            await change(idle, job_id, 1)
            await one.comment()
        assert await next_change(one) == (job_id, 1)
        assert await next_change(every) == (job_id, 1)
        await change(idle, job_id, 2)
        assert await next_change(one) == (job_id, 2)
        assert await next_change(every) == (job_id, 2)


async def newest_events(service: Service) -> dict[str, int]:
    """By job, the number of its last event."""
    statement = select(col(JobEvent.job_id), func.max(JobEvent.id)).group_by(col(JobEvent.job_id))
    async with service.sessions() as session:
        return {str(job_id): number for job_id, number in await session.execute(statement)}


def is_over(events: list[Event], jobs: set[str]) -> bool:
    return {event.job["id"] for event in events if event.status == "completed"} == jobs


async def test_reader_who_resumes_misses_nothing_and_is_told_nothing_twice(servers: Servers) -> None:
    """While jobs change, on an API that is stopped again and again."""
    database = await servers.postgres.copy()
    async with running_service(servers, database=database, webhook_patience=0.5) as service:
        reader = partial(running_service, servers, database=database, worker=False)
        jobs = {await service.create(f"one of many [sim: latency={number % 3}s]") for number in range(6)}
        events: list[Event] = []
        while not is_over(events, jobs):
            async with reader(task_queue=service.settings.task_queue) as api:
                after = events[-1].id if events else None
                async with opened(api.client, "/api/events", after=after) as stream:
                    for _ in range(5):
                        if not is_over(events, jobs) and (event := await stream.next()):
                            events.append(event)
        newest = await newest_events(service)

    numbers = [event.id or 0 for event in events]
    assert numbers == sorted(set(numbers))
    assert {event.job["id"]: event.id for event in events} == newest


async def test_streams_end_when_the_api_is_to_stop(servers: Servers) -> None:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=PATIENCE))
        async with running_service(servers, worker=False) as service:
            client.base_url, client.headers = service.client.base_url, service.client.headers
            job_id = await service.create("watched at the end")
            paths = ("/api/events", f"/api/jobs/{job_id}/events")
            streams = [await stack.enter_async_context(opened(client, path)) for path in paths]
            for stream in streams:
                assert await stream.next()
        # It has stopped, and had the streams been cut off there would have been an error instead of an end.
        for stream in streams:
            assert await stream.next() is None


async def test_reader_who_takes_nothing_is_left() -> None:
    left = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes]:
        try:
            while True:
                yield b"data: " + b"x" * 100_000 + b"\n\n"
        finally:
            left.set()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await EventResponse(endless(), patience=0.3)(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
    async with listening(server, loopback_socket()) as origin:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(origin).port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200 OK" in await reader.readline()
        async with asyncio.timeout(PATIENCE):
            await left.wait()
        writer.transport.abort()

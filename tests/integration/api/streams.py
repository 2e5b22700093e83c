"""Server-sent events, read as a client reads them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.eventually import PATIENCE


@dataclass(frozen=True)
class Event:
    id: int | None
    name: str
    job: dict[str, Any]

    @property
    def status(self) -> str:
        return str(self.job["status"])


@dataclass
class Stream:
    """What has come by one connection."""

    response: httpx.Response

    def __post_init__(self) -> None:
        self._items = self._read()

    async def next(self) -> Event | None:
        """The next event; None once the server has ended the stream."""
        async with asyncio.timeout(PATIENCE):
            async for item in self._items:
                if item:
                    return item
        return None

    async def comment(self) -> None:
        """Fails when an event comes first."""
        async with asyncio.timeout(PATIENCE):
            assert await anext(self._items) is None

    async def until_end(self) -> list[Event]:
        events = []
        while event := await self.next():
            events.append(event)
        return events

    async def until_status(self, job_id: str, status: str) -> list[Event]:
        """All events up to the one that tells this."""
        events: list[Event] = []
        while not events or (events[-1].job["id"], events[-1].status) != (job_id, status):
            event = await self.next()
            assert event, f"the stream ended before {job_id} was {status}"
            events.append(event)
        return events

    async def _read(self) -> AsyncIterator[Event | None]:
        """Events, and None for each comment."""
        fields: dict[str, str] = {}
        async for line in self.response.aiter_lines():
            name, _, value = line.partition(": ")
            if line.startswith(":"):
                yield None
            elif line:
                fields[name] = value
            elif fields.keys() <= {"retry"}:  # when to connect again is no event
                fields = {}
            else:
                number = int(fields["id"]) if "id" in fields else None
                yield Event(number, fields["event"], json.loads(fields["data"]))
                fields = {}


@asynccontextmanager
async def opened(
    client: httpx.AsyncClient, path: str, *, after: int | None = None, **query: str
) -> AsyncIterator[Stream]:
    headers = {} if after is None else {"last-event-id": str(after)}
    async with client.stream("GET", path, headers=headers, params=query) as response:
        assert response.status_code == 200, (await response.aread()).decode()
        assert response.headers["content-type"].startswith("text/event-stream")
        assert "no-cache" in response.headers["cache-control"]
        assert response.headers["x-accel-buffering"] == "no"
        yield Stream(response)

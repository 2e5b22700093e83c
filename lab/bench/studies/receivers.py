"""Receivers of outgoing webhooks, in the driver's process, and their endpoints."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from lab.bench.contenders.reelay import bearer, new_keys
from lab.bench.http_clients import answer_of
from lab.bench.load import until
from lab.bench.studies.service import Service
from lab.devstack.ports import HOST

CALLS = "/api/webhook-endpoints"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


@dataclass
class Receivers:
    """Backends that answer at once, each at a path of its own; the dead ones take the request, and say nothing."""

    origin: str = ""
    dead: set[str] = field(default_factory=set)
    completed: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    """By job: it was told that the job has completed."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
                length = next(line for line in head if line.startswith("content-length:"))
                event = json.loads(await reader.readexactly(int(length.partition(":")[2])))
                if head[0].split(" ")[1] in self.dead:
                    await reader.read()
                    continue
                writer.write(OK)
                if event["type"] == "job.completed":
                    self.completed[event["data"]["id"]].set()
        writer.close()


@asynccontextmanager
async def open_receivers() -> AsyncIterator[Receivers]:
    receivers = Receivers()
    server = await asyncio.start_server(receivers.serve, HOST, 0)
    receivers.origin = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    try:
        yield receivers
    finally:
        server.close()


@asynccontextmanager
async def open_endpoints(service: Service, receivers: Receivers, users: Sequence[str]) -> AsyncIterator[list[UUID]]:
    """One of each of these users, verified. Deleted afterwards, with what still waits for dead ones."""
    endpoints: dict[str, dict[str, str]] = {}
    for number, key in enumerate(await new_keys(service.ground, users)):
        body, headers = {"url": f"{receivers.origin}/{number}"}, bearer(key)
        answer = await answer_of(partial(service.api.post, CALLS, json=body, headers=headers))
        endpoints[answer.json()["id"]] = headers

    async def are_verified() -> bool:
        for endpoint, headers in endpoints.items():
            shown = await service.api.get(f"{CALLS}/{endpoint}", headers=headers)
            if shown.raise_for_status().json()["status"] != "enabled":
                return False
        return True

    try:
        await until(are_verified)
        yield [UUID(endpoint) for endpoint in endpoints]
    finally:
        for endpoint, headers in endpoints.items():
            (await service.api.delete(f"{CALLS}/{endpoint}", headers=headers)).raise_for_status()

"""The way from a worker to the simulator, with a gate: some submissions leave the worker and arrive nowhere."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lab.devstack.ports import HOST
from tests.tcp_server import relay, tcp_server

HELD = "held at the gate"
"""In the prompt of a submission that is not let through."""
CONTENT_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass
class Gate:
    simulator: int
    """Its port."""
    origin: str = ""
    holds: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a submission is held."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _request(reader)
        if HELD.encode() in request and not self.holds.is_set():
            self.holds.set()
            await reader.read()  # until the sender is gone
        else:
            await relay(reader, writer, self.simulator, request)


@asynccontextmanager
async def gate(simulator: str) -> AsyncIterator[Gate]:
    """Holds the first submission that asks for it; lets everything else through."""
    guarded = Gate(urlsplit(simulator).port or 80)
    async with tcp_server(guarded.serve) as port:
        guarded.origin = f"http://{HOST}:{port}"
        yield guarded


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = CONTENT_LENGTH.search(head)
    return head + (await reader.readexactly(int(length[1])) if length else b"")

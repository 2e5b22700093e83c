"""The way from a worker to the simulator, with a gate: some submissions leave the worker and arrive nowhere."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

HELD = "held at the gate"
"""In the prompt of a submission that is not let through."""
CONTENT_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass
class Gate:
    simulator: str
    origin: str = ""
    holds: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a submission is held."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await _request(reader)
            if HELD.encode() in request and not self.holds.is_set():
                self.holds.set()
                await reader.read()  # until the sender is gone
            else:
                await self._pass(request, reader, writer)
        writer.close()

    async def _pass(self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = urlsplit(self.simulator)
        answers, requests = await asyncio.open_connection(address.hostname, address.port)
        requests.write(request)
        there, back = (asyncio.create_task(_pump(*ends)) for ends in ((reader, requests), (answers, writer)))
        await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
        for task in (there, back):
            task.cancel()
        await asyncio.gather(there, back, return_exceptions=True)
        requests.close()


@asynccontextmanager
async def gate(simulator: str) -> AsyncIterator[Gate]:
    """Holds the first submission that asks for it; lets everything else through."""
    guarded = Gate(simulator)
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(guarded.serve(reader, writer))
        connections.add(connection)
        connection.add_done_callback(connections.discard)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    guarded.origin = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield guarded
    finally:
        listener.close()
        await listener.wait_closed()
        for connection in list(connections):
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = CONTENT_LENGTH.search(head)
    return head + (await reader.readexactly(int(length[1])) if length else b"")


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await source.read(65_536):
            target.write(chunk)
            await target.drain()

"""A balancer of connections before several API processes: those that say that they are ready get new ones."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import httpx

from lab.devstack.ports import HOST
from tests.eventually import PATIENCE
from tests.servers import loopback_socket

PROBE_SECONDS = 0.2
CHUNK = 64 * 1024


class Balancer:
    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._next = 0
        self.ready: set[int] = set()

    async def probe(self) -> None:
        """For ever: whom to give new connections to."""
        async with httpx.AsyncClient(timeout=PATIENCE, limits=httpx.Limits(max_keepalive_connections=0)) as client:
            await asyncio.gather(*(self._probe(client, port) for port in self._ports))

    async def _probe(self, client: httpx.AsyncClient, port: int) -> None:
        while True:
            is_ready = False
            with suppress(httpx.TransportError):
                is_ready = (await client.get(f"http://{HOST}:{port}/readyz")).status_code == 200
            (self.ready.add if is_ready else self.ready.discard)(port)
            await asyncio.sleep(PROBE_SECONDS)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to one process, until either side ends it."""
        try:
            if (behind := await self._connect()) is None:
                return
            copying = [
                asyncio.create_task(_copy(reader, behind[1])),
                asyncio.create_task(_copy(behind[0], writer)),
            ]
            try:
                await asyncio.wait(copying, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in copying:
                    task.cancel()
                await asyncio.gather(*copying, return_exceptions=True)
                behind[1].close()
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """In turn; a process that takes no connection is passed over."""
        for _ in self._ports:
            self._next += 1
            port = self._ports[self._next % len(self._ports)]
            if port in self.ready:
                with suppress(OSError):
                    return await asyncio.open_connection(HOST, port)
        return None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def balancing(ports: Sequence[int]) -> AsyncIterator[tuple[str, Balancer]]:
    """Its origin, while the block runs."""
    balancer = Balancer(ports)
    bound = loopback_socket()
    tasks = {asyncio.create_task(balancer.probe())}

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(balancer.serve(reader, writer)))

    server = await asyncio.start_server(accept, sock=bound)
    try:
        yield f"http://{HOST}:{bound.getsockname()[1]}", balancer
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

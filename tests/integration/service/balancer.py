"""A balancer of connections before several API processes: those that say that they are ready get new ones."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import httpx

from lab.devstack.ports import HOST
from tests.eventually import PATIENCE
from tests.tcp_server import relay, tcp_server

PROBE_SECONDS = 0.2


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
        """One connection, to the process whose turn it is. One that takes no connection is passed over."""
        for _ in self._ports:
            self._next += 1
            port = self._ports[self._next % len(self._ports)]
            if port in self.ready:
                with suppress(OSError):
                    return await relay(reader, writer, port)


@asynccontextmanager
async def balancing(ports: Sequence[int]) -> AsyncIterator[tuple[str, Balancer]]:
    """Its origin, while the block runs."""
    balancer = Balancer(ports)
    probing = asyncio.create_task(balancer.probe())
    try:
        async with tcp_server(balancer.serve) as port:
            yield f"http://{HOST}:{port}", balancer
    finally:
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)

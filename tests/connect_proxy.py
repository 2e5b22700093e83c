"""A proxy for tests: CONNECT alone, and names that only it resolves."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class ConnectProxy:
    names: Mapping[str, int]
    """Which port of loopback each name leads to."""
    credentials: str | None = None
    address: str = ""
    asked: list[str] = field(default_factory=list)
    """`host:port` of each tunnel that was asked for."""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target, _ = head.split(" ", 2)
            self.asked.append(target)
            status = self._verdict(method, target, head)
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())
            if status.startswith("200"):
                await self._tunnel(self.names[target.rpartition(":")[0]], reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def _verdict(self, method: str, target: str, head: str) -> str:
        if method != "CONNECT":
            return "405 Method Not Allowed"
        given = [line.rpartition(" ")[2] for line in head.splitlines() if line.lower().startswith("proxy-auth")]
        if self.credentials and [b64decode(each).decode() for each in given] != [self.credentials]:
            return "407 Proxy Authentication Required"
        return "200 OK" if target.rpartition(":")[0] in self.names else "502 Bad Gateway"

    @staticmethod
    async def _tunnel(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_there, to_there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, to_there), _copy(from_there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def connect_proxy(names: Mapping[str, int], *, credentials: str | None = None) -> AsyncIterator[ConnectProxy]:
    proxy = ConnectProxy(names, credentials)
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    proxy.address = f"http://{f'{credentials}@' if credentials else ''}127.0.0.1:{port}"
    async with server:
        yield proxy

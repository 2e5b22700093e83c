"""A proxy for tests: CONNECT alone, and names that only it resolves."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from lab.devstack.ports import HOST
from tests.tcp_server import relay, tcp_server


@dataclass
class ConnectProxy:
    names: Mapping[str, int]
    """Which port of loopback each name leads to."""
    credentials: str | None = None
    address: str = ""
    asked: list[str] = field(default_factory=list)
    """`host:port` of each tunnel that was asked for."""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split(" ", 2)
        self.asked.append(target)
        status = self._verdict(method, target, head)
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())
        if status.startswith("200"):
            await relay(reader, writer, self.names[target.rpartition(":")[0]])

    def _verdict(self, method: str, target: str, head: str) -> str:
        if method != "CONNECT":
            return "405 Method Not Allowed"
        given = [line.rpartition(" ")[2] for line in head.splitlines() if line.lower().startswith("proxy-auth")]
        if self.credentials and [b64decode(each).decode() for each in given] != [self.credentials]:
            return "407 Proxy Authentication Required"
        return "200 OK" if target.rpartition(":")[0] in self.names else "502 Bad Gateway"


@asynccontextmanager
async def connect_proxy(names: Mapping[str, int], *, credentials: str | None = None) -> AsyncIterator[ConnectProxy]:
    proxy = ConnectProxy(names, credentials)
    async with tcp_server(proxy.handle) as port:
        proxy.address = f"http://{f'{credentials}@' if credentials else ''}{HOST}:{port}"
        yield proxy

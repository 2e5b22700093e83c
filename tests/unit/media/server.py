"""A web server on loopback that answers each path with whatever bytes a test wants on the wire."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import TypeAlias

from lab.devstack.ports import HOST
from tests.tcp_server import tcp_server

Script: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]


class ScriptedServer:
    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.requests: list[str] = []
        """Request line and headers as they came, lower case."""
        self._scripts: dict[str, Script] = {}

    def plays(self, path: str, script: Script) -> str:
        """The URL under which the script is played."""
        self._scripts[path] = script
        return self.origin + path

    def sends(self, path: str, body: bytes, *headers: str, status: str = "200 OK") -> str:
        async def script(writer: asyncio.StreamWriter) -> None:
            writer.write(head(f"content-length: {len(body)}", *headers, status=status) + body)

        return self.plays(path, script)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        self.requests.append(request)
        await self._scripts[request.split()[1]](writer)


def head(*headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "connection: close", "", ""]).encode()


@asynccontextmanager
async def serving(tls: SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer("")
    async with tcp_server(scripted.handle, tls=tls) as port:
        scripted.origin = f"{'https' if tls else 'http'}://{HOST}:{port}"
        yield scripted

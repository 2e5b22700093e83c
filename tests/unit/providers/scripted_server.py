"""A real socket that answers with exactly the bytes a test wants, and remembers what it was sent."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.tcp_server import tcp_server

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedServer:
    """Answers each request with the next of `script`, or else with `always`. One request per connection."""

    port: int = 0
    script: list[Behaviour] = field(default_factory=list)
    always: Behaviour | None = None
    seen: list[Seen] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the first request has come."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.append(await _request(reader))
        self.reached.set()
        behaviour = self.script.pop(0) if self.script else self.always
        assert behaviour is not None, "the test expected no further request"
        await behaviour(reader, writer)


@asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    """Listens on a free port of the loopback; ends every connection at exit."""
    server = ScriptedServer()
    async with tcp_server(server.serve) as server.port:
        yield server


def raw(data: bytes) -> Behaviour:
    """Send these bytes and close."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return send


def answer(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    """A whole HTTP answer. Underscores in header names become dashes."""
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def json_answer(status: int, body: Any, **headers: str) -> Behaviour:
    return answer(status, json.dumps(body).encode(), Content_Type="application/json", **headers)


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Drop the connection with a TCP reset."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Say nothing until the client gives up."""
    await reader.read()


async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer of which every byte comes in time, and which never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


def timeout_with(behaviour: Behaviour) -> timedelta:
    """For a client: long, unless only its timeout ends what the server does."""
    return timedelta(seconds=2 if behaviour in (hang, drip) else 30)


async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer that is sent as fast as it is read, and never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" " * 65_536)
        await writer.drain()


async def _request(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *fields = head.strip().split("\r\n")
    method, target, _ = line.split(" ")
    headers = {name.lower(): value for name, value in (header.split(": ", 1) for header in fields)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(method=method, target=target, headers=headers, body=body)

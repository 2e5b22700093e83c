"""A real S3 server that checks signatures: `rclone serve s3` on a folder, each subfolder a bucket."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from subprocess import PIPE, Popen
from sys import executable

import pytest

from tests.tcp_server import connection, tcp_server

ACCESS_KEY, SECRET_KEY = "accesskey", "secretkey"


@contextmanager
def s3_server(root: Path, *, port: int = 0) -> Iterator[str]:
    """Its endpoint, with one bucket named `media`; on a free port unless one is given."""
    (root / "media").mkdir(exist_ok=True)
    rclone = Path(executable).with_name("rclone")
    arguments = ["--config", "", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"]
    with Popen([rclone, "serve", "s3", *arguments, root], stderr=PIPE, text=True) as process:
        assert process.stderr is not None
        started = next(line for line in process.stderr if "Starting s3 server" in line)
        try:
            yield started.partition("[")[2].partition("/]")[0]
        finally:
            process.terminate()


def point_at(environment: pytest.MonkeyPatch, endpoint: str) -> None:
    """The environment of a process whose archive is that server."""
    environment.setenv("AWS_ENDPOINT_URL", endpoint)
    environment.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)


class Trouble(Enum):
    """What becomes of one request on its way."""

    SLOW_DOWN = auto()
    BROKEN = auto()
    """500, and the server hears nothing of it."""
    UNANSWERED = auto()
    """The server does it, and its answer is lost."""
    STUCK = auto()
    """Neither heard nor answered."""


ANSWERS = {Trouble.SLOW_DOWN: (503, "SlowDown"), Trouble.BROKEN: (500, "InternalError")}


@dataclass
class TroubledRoad:
    """The way to an S3 server, with trouble for the requests whose first line has `where` in it."""

    port: int = 0
    where: str = ""
    troubles: list[Trouble] = field(default_factory=list)
    """Used up from the front, one for each such request."""
    seen: list[str] = field(default_factory=list)
    """First lines."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def trouble(self, line: str) -> Trouble | None:
        self.seen.append(line)
        return self.troubles.pop(0) if self.troubles and self.where in line else None


@asynccontextmanager
async def troubled_road(endpoint: str) -> AsyncIterator[TroubledRoad]:
    """In front of that server; its signatures hold, since the host's name goes along unchanged."""
    road, target = TroubledRoad(), int(endpoint.rpartition(":")[2])

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await _carry_one(road, target, reader, writer):
            pass

    async with tcp_server(carry) as road.port:
        yield road


async def _carry_one(
    road: TroubledRoad, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Whether the connection goes on."""
    head = await reader.readuntil(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    length = next((int(header[15:]) for header in headers if header.lower().startswith("content-length:")), 0)
    body = await reader.readexactly(length)
    trouble = road.trouble(line)
    if trouble is Trouble.STUCK:
        await reader.read()
        return False
    if trouble in ANSWERS:
        status, code = ANSWERS[trouble]
        document = f"<Error><Code>{code}</Code></Error>"
        writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: {len(document)}\r\n\r\n{document}".encode())
        await writer.drain()
        return True
    answer = await _asked(target, head.replace(b"\r\n", b"\r\nconnection: close\r\n", 1) + body)
    if trouble is not Trouble.UNANSWERED:
        writer.write(answer)
        await writer.drain()
    return False


async def _asked(port: int, request: bytes) -> bytes:
    async with connection(port) as (reader, writer):
        writer.write(request)
        return await reader.read()

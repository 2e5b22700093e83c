"""`reelay ...` as a process of its own, which a test may kill: forked by `tests/fork_server.py`."""

import asyncio
import atexit
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from subprocess import Popen
from typing import IO, TypedDict

from tests.paths import ROOT

SIZE_BYTES = 4
"""Of the number before each request: how long it is."""
Stream = int | IO[bytes]
"""As those of `subprocess`: DEVNULL, PIPE, or a file."""


class Request(TypedDict):
    words: tuple[str, ...]
    environment: dict[str, str]
    folder: str


@dataclass
class ReelayProcess:
    """As far as tests need it what `asyncio.subprocess.Process` is."""

    pid: int
    exit_code: asyncio.Future[int]
    stdout: asyncio.StreamReader | None = None
    stderr: asyncio.StreamReader | None = None

    @property
    def returncode(self) -> int | None:
        return self.exit_code.result() if self.exit_code.done() else None

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        return await asyncio.shield(self.exit_code)

    async def communicate(self) -> tuple[bytes, bytes]:
        outputs = await asyncio.gather(*(_all_of(stream) for stream in (self.stdout, self.stderr)))
        await self.wait()
        return outputs[0], outputs[1]


async def _all_of(stream: asyncio.StreamReader | None) -> bytes:
    return await stream.read() if stream else b""


@dataclass(eq=False)
class ForkServer:
    to_it: socket.socket
    starting: deque[asyncio.Future[ReelayProcess]] = field(default_factory=deque)
    running: dict[int, ReelayProcess] = field(default_factory=dict)
    told: bytes = b""
    """The beginning of a line."""

    async def start(self, request: Request, streams: Sequence[int]) -> ReelayProcess:
        content = json.dumps(request).encode()
        socket.send_fds(self.to_it, [len(content).to_bytes(SIZE_BYTES)], streams)
        self.to_it.sendall(content)
        starting: asyncio.Future[ReelayProcess] = asyncio.get_running_loop().create_future()
        self.starting.append(starting)
        return await starting

    def hear(self) -> None:
        heard = self.to_it.recv(65_536)
        assert heard, "the fork server has ended"
        *lines, self.told = (self.told + heard).split(b"\n")
        for line in lines:
            match json.loads(line):
                case {"started": pid}:
                    self.running[pid] = ReelayProcess(pid, asyncio.get_running_loop().create_future())
                    self.starting.popleft().set_result(self.running[pid])
                case {"ended": pid, "code": code}:
                    self.running.pop(pid).exit_code.set_result(code)


@cache
def fork_server() -> ForkServer:
    """The one of this process. It ends with us."""
    ours, its = socket.socketpair()
    with its:
        program = Popen(
            (sys.executable, "-m", "tests.fork_server", str(its.fileno())),
            pass_fds=[its.fileno()],
            cwd=ROOT,
            stdin=DEVNULL,
            stdout=DEVNULL,
            start_new_session=True,  # a terminal's Ctrl-C is for us
        )
    server = ForkServer(ours)
    asyncio.get_running_loop().add_reader(ours, server.hear)

    def end() -> None:
        ours.close()
        program.wait()

    atexit.register(end)
    return server


async def start_reelay(
    *words: str,
    environment: Mapping[str, str],
    folder: Path = ROOT,
    stdout: Stream = DEVNULL,
    stderr: Stream = DEVNULL,
) -> ReelayProcess:
    request = Request(words=words, environment=dict(environment), folder=str(folder))
    nothing = os.open(os.devnull, os.O_RDWR)
    ours, its = zip(*(_ends_of(stream, nothing) for stream in (stdout, stderr)), strict=True)
    try:
        process = await fork_server().start(request, [nothing, *its])
    finally:
        for descriptor in {nothing, *its}:
            os.close(descriptor)
    process.stdout, process.stderr = [await _reader(each) for each in ours]
    return process


def _ends_of(stream: Stream, nothing: int) -> tuple[int | None, int]:
    """Ours, where we read it, and the process's."""
    match stream:
        case int() if stream == PIPE:
            return os.pipe()
        case int():
            return None, nothing
        case file:
            return None, os.dup(file.fileno())


async def _reader(descriptor: int | None) -> asyncio.StreamReader | None:
    if descriptor is None:
        return None
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", 0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


def received(connection: socket.socket, size: int) -> bytes:
    """So many bytes."""
    content = b""
    while len(content) < size:
        content += connection.recv(size - len(content))
    return content

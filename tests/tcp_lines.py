"""TCP lines from an API to its servers, which a test can cut."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

from pydantic import SecretStr
from sqlalchemy.engine import make_url

from lab.devstack.ports import HOST
from reelay.settings import Settings


class Line:
    """Carries the bytes of its own port to another one and back."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._flows = asyncio.Event()
        self._flows.set()
        self._answers = asyncio.Event()
        self._answers.set()
        self._is_cut = False
        self._ends: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Every connection is reset, and new ones are, too."""
        self._is_cut = True
        self.reset()
        try:
            yield
        finally:
            self._is_cut = False

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Connections stay and are made, and nothing comes through."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    @contextmanager
    def deaf(self) -> Iterator[None]:
        """What is sent arrives, and its answer is lost with the connection."""
        self._answers.clear()
        try:
            yield
        finally:
            self.reset()
            self._answers.set()

    def reset(self) -> None:
        for end in self._ends:
            end.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            return writer.transport.abort()
        far_reader, far_writer = await asyncio.open_connection(HOST, self._target)
        self._ends |= {writer, far_writer}
        await asyncio.gather(
            self._pump(reader, far_writer, self._flows), self._pump(far_reader, writer, self._flows, self._answers)
        )
        self._ends -= {writer, far_writer}

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *gates: asyncio.Event) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            while data := await source.read(64 * 1024):
                for gate in gates:
                    await gate.wait()
                sink.write(data)
                await sink.drain()
        sink.close()


@asynccontextmanager
async def open_line(target: int, *, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Line]:
    """`tls`: what is spoken on the way to it; behind it there is none."""
    line = Line(target)
    server = await asyncio.start_server(line.carry, HOST, port, ssl=tls)
    line.port = server.sockets[0].getsockname()[1]
    yield line
    server.close()
    line.reset()


@dataclass(frozen=True)
class Lines:
    """What connects one API."""

    temporal: Line
    postgres: Line

    def leading_to(self, settings: Settings) -> Settings:
        """The same databases, by our line."""
        return settings.model_copy(
            update={name: self._by_line(getattr(settings, name)) for name in ("database_url", "database_service_url")}
        )

    def _by_line(self, url: SecretStr) -> SecretStr:
        by_line = make_url(url.get_secret_value()).set(host=HOST, port=self.postgres.port)
        return SecretStr(by_line.render_as_string(hide_password=False))

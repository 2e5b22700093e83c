"""TCP lines from an API to its servers, which a test can cut."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from weakref import WeakSet

from pydantic import SecretStr
from sqlalchemy.engine import make_url

from lab.devstack.ports import HOST
from reelay.settings import Settings
from tests.tcp_server import abort, connection, pump, tcp_server


class Line:
    """Carries the bytes of its own port to another one and back."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._flows = asyncio.Event()
        self._flows.set()
        self._answers = asyncio.Event()
        self._answers.set()
        self._is_cut = False
        self._ends = WeakSet[asyncio.StreamWriter]()
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
            abort(end)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            return abort(writer)
        self._ends.add(writer)
        async with connection(self._target) as (far_reader, far_writer):
            self._ends.add(far_writer)
            await asyncio.gather(
                pump(reader, far_writer, self._flows), pump(far_reader, writer, self._flows, self._answers)
            )


@asynccontextmanager
async def open_line(target: int, *, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Line]:
    """`tls`: what is spoken on the way to it; behind it there is none."""
    line = Line(target)
    async with tcp_server(line.carry, port=port, tls=tls) as line.port:
        yield line


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

"""News of generations from Postgres LISTEN/NOTIFY: one connection per process, whatever the number of readers."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

import asyncpg
import structlog

CHANNEL = "generation_changed"
RECONNECT_SECONDS = 1.0

log = structlog.get_logger()


class Changes:
    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def of(self, generation_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set at each change of the generation. Subscribe first, then read, then wait: no gap."""
        changed, key = asyncio.Event(), str(generation_id)
        self._waiting[key].add(changed)
        try:
            yield changed
        finally:
            self._waiting[key].discard(changed)
            if not self._waiting[key]:
                del self._waiting[key]

    def tell(self, key: str) -> None:
        for changed in self._waiting.get(key, ()):
            changed.set()

    def tell_all(self) -> None:
        """After a lost connection nobody knows what was missed: everybody looks for himself."""
        for key in list(self._waiting):
            self.tell(key)


@asynccontextmanager
async def open_changes(url: str) -> AsyncIterator[Changes]:
    changes = Changes()
    listening = asyncio.create_task(_listen(url, changes))
    try:
        yield changes
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _listen(url: str, changes: Changes) -> None:
    while True:
        try:
            await _listen_until_lost(url, changes)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("listening for changes failed", error=str(error))
        changes.tell_all()
        await asyncio.sleep(RECONNECT_SECONDS)


async def _listen_until_lost(url: str, changes: Changes) -> None:
    lost = asyncio.Event()
    connection = await asyncpg.connect(url, timeout=5)
    try:
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(CHANNEL, lambda *news: changes.tell(str(news[-1])))
        changes.tell_all()
        await lost.wait()
    finally:
        await connection.close(timeout=2)

"""News of generations from Postgres LISTEN/NOTIFY: one connection per process, whatever the number of readers.

Who reads one generation is told at once: its events are written one after the other. Who reads all of a user's is told
up to an event before which nothing can appear any more, because transactions end in another order than they took their
numbers in: docs/decisions/013-event-streams.md.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import structlog

from reelay.background import in_background
from reelay.db.engine import DRIVER_ERRORS
from reelay.db.generations import PROGRESS_CHANNEL

CHANGED = "generation_changed"
RECONNECT_SECONDS = 1.0
QUIET_SECONDS = 10.0
"""After so long without news the connection is tried: one that died silently tells nothing."""
ANSWER_SECONDS = 5.0
GATHER_SECONDS = 0.005
"""Between two reads: what happens meanwhile is read together."""
LOOK_BACK = 1000
PAGE = 1000
HOLE_PAUSE_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
HOLE_IS_ODD_SECONDS = 10.0

TAIL = """
select id, user_id, pg_snapshot_xmin(pg_current_snapshot())::text::bigint as oldest_open,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next
from job_events where id > $1 order by id limit $2
"""

Measures = dict[UUID, int]
"""Percents by generation."""

log = structlog.get_logger()


class Changes:
    def __init__(self) -> None:
        self._waiting: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._measuring: defaultdict[UUID, list[Measures]] = defaultdict(list)
        self._known = asyncio.Event()
        self.settled = 0
        """Of every user's events up to this one all are visible. 0: not known yet."""
        self.heard = 0
        """Counts the news. A read that began at another count may not show what the latest of them is about."""
        self.closing = False

    @contextmanager
    def of(self, key: UUID) -> Iterator[asyncio.Event]:
        """An event that is set at each change of the generation, or of one of the user's, whose id the key is.

        Subscribe first, then read, then wait: no gap.
        """
        changed = asyncio.Event()
        self._waiting[key].add(changed)
        try:
            yield changed
        finally:
            self._waiting[key].discard(changed)
            if not self._waiting[key]:
                del self._waiting[key]

    @contextmanager
    def measures_of(self, key: UUID) -> Iterator[Measures]:
        """Where the measured percents of the generation, or of the user's, are laid. The reader takes them away."""
        measures: Measures = {}
        self._measuring[key].append(measures)
        try:
            yield measures
        finally:
            self._measuring[key] = [others for others in self._measuring[key] if others is not measures]
            if not self._measuring[key]:
                del self._measuring[key]

    def measured(self, user_id: UUID, generation_id: UUID, percent: int) -> None:
        for key in (user_id, generation_id):
            for measures in self._measuring.get(key, ()):
                measures[generation_id] = percent

    async def settled_event(self) -> int:
        """The newest event before which nothing can appear any more. Waits for the first look at the database."""
        await self._known.wait()
        return self.settled

    def settle(self, number: int) -> None:
        self.settled = number
        self._known.set()

    def tell(self, key: UUID) -> None:
        self.heard += 1
        for changed in self._waiting.get(key, ()):
            changed.set()

    def tell_all(self) -> None:
        """Once there is a connection again nobody knows what was missed: everybody looks for himself."""
        for key in list(self._waiting):
            self.tell(key)

    def close(self) -> None:
        """Streams end: their clients go on elsewhere."""
        self.closing = True
        self.tell_all()


@dataclass
class Hole:
    """Numbers that are missing: of transactions that are open yet, or that were rolled back."""

    after: int
    open_until: int
    """Once every transaction before this one has ended, what is missing will never come."""
    since: float
    looks: int = 0
    is_odd: bool = False


class Tail:
    """Moves `Changes.settled` along the events."""

    def __init__(self, connection: asyncpg.Connection, changes: Changes) -> None:
        self._connection = connection
        self._changes = changes
        self._at = changes.settled
        self._hole: Hole | None = None

    async def begin(self) -> None:
        """Goes on where it was; at first, and in a database that was set back, a little before the end."""
        newest = await self._connection.fetchval("select coalesce(max(id), 0) from job_events")
        if not self._changes.settled or newest < self._at:
            first = await self._connection.fetchval("select min(id) from job_events where id > $1", newest - LOOK_BACK)
            self._at = (first or 1) - 1

    async def read(self) -> float | None:
        """Read what is new. Seconds to wait before looking again at numbers that are missing; None when none are."""
        while rows := await self._connection.fetch(TAIL, self._at, PAGE):
            users = set()
            for row in rows:
                if row["id"] != self._at + 1 and not self._is_dead(row):
                    break
                self._at = row["id"]
                users.add(row["user_id"])
            self._changes.settle(self._at)
            for user in users:
                self._changes.tell(user)
            if self._at != rows[-1]["id"]:
                return self._pause()
        self._changes.settle(self._at)
        return None

    def _is_dead(self, row: asyncpg.Record) -> bool:
        """Whether the numbers missing before this row will never come."""
        if self._hole is None or self._hole.after != self._at:
            self._hole = Hole(self._at, row["next"], _now())
        return bool(row["oldest_open"] >= self._hole.open_until)

    def _pause(self) -> float:
        hole = self._hole
        assert hole is not None
        if _now() - hole.since > HOLE_IS_ODD_SECONDS and not hole.is_odd:
            hole.is_odd = True
            log.warning("event_stream_waits_for_transaction", event=hole.after)
        hole.looks += 1
        return HOLE_PAUSE_SECONDS[min(hole.looks, len(HOLE_PAUSE_SECONDS)) - 1]


@asynccontextmanager
async def open_changes(url: str) -> AsyncIterator[Changes]:
    changes = Changes()
    async with in_background(_listen(url, changes)):
        yield changes


async def _listen(url: str, changes: Changes) -> None:
    while True:
        try:
            await _listen_until_lost(url, changes)
        except (OSError, TimeoutError, *DRIVER_ERRORS) as error:
            log.warning("listen_failed", error=str(error))
        await asyncio.sleep(RECONNECT_SECONDS)


async def _listen_until_lost(url: str, changes: Changes) -> None:
    news = asyncio.Event()

    def hear(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        changes.tell(UUID(str(payload)))
        news.set()

    def measure(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        user_id, generation_id, percent = str(payload).split()
        changes.measured(UUID(user_id), UUID(generation_id), int(percent))

    connection = await asyncpg.connect(url, timeout=5, command_timeout=ANSWER_SECONDS)
    try:
        connection.add_termination_listener(lambda _: news.set())
        await connection.add_listener(CHANGED, hear)
        await connection.add_listener(PROGRESS_CHANNEL, measure)
        tail = Tail(connection, changes)
        await tail.begin()
        changes.tell_all()
        while not connection.is_closed():
            news.clear()
            pause = await tail.read()
            await _either(news, QUIET_SECONDS if pause is None else pause)
            await asyncio.sleep(GATHER_SECONDS if pause is None else 0)
    finally:
        await connection.close(timeout=2)


async def _either(news: asyncio.Event, seconds: float) -> None:
    """Until there are news, or so many seconds have passed."""
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        pass


def _now() -> float:
    return asyncio.get_running_loop().time()

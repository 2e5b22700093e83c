"""Changes of generations from Postgres LISTEN/NOTIFY: one connection per process, whatever the number of readers.

A reader of one generation is notified at once: its events are written one after the other. A reader of all of a user's
is notified
up to an event before which nothing can appear any more, because transactions end in another order than they took their
numbers in: docs/decisions/013-event-streams.md.

Through a transaction pooler no notification arrives. There the events are read every second instead.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import asyncpg
import structlog

from reelay.background import Succeeded, TaskSupervisor
from reelay.db.address import PostgresAddress
from reelay.db.engine import CACHED_STATEMENTS, connect_to_postgres, keeps_sessions, naming_outages
from reelay.db.generations import PROGRESS_CHANNEL

CHANGED = "generation_changed"
QUIET_SECONDS = 10.0
"""After so long without a notification the connection is checked: one that died silently delivers nothing."""
POLL_SECONDS = 1.0
"""Between two reads where notifications do not arrive."""
ANSWER_SECONDS = 5.0
GATHER_SECONDS = 0.005
"""Between two reads: what happens meanwhile is read together."""
LOOK_BACK = 1000
PAGE = 1000
GAP_PAUSE_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
GAP_WARNING_SECONDS = 10.0

TAIL = """
select id, user_id, job_id, pg_snapshot_xmin(pg_current_snapshot())::text::bigint as oldest_open,
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
        self.notified = 0
        """Counts the notifications. A read that began at another count may lack what the latest is about."""
        self.closing = False

    @contextmanager
    def subscribe(self, *keys: UUID) -> Iterator[asyncio.Event]:
        """An event that is set at each change of the generations or pipelines, or of one of the users', whose ids the
        keys are.

        Subscribe first, then read, then wait: no gap.
        """
        changed = asyncio.Event()
        if self.closing:  # there will be nothing to wait for
            changed.set()
        for key in keys:
            self._waiting[key].add(changed)
        try:
            yield changed
        finally:
            for key in keys:
                self._waiting[key].discard(changed)
                if not self._waiting[key]:
                    del self._waiting[key]

    @contextmanager
    def subscribe_measures(self, key: UUID) -> Iterator[Measures]:
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
        """The newest event before which nothing can appear any more. Waits for the first read of the database."""
        await self._known.wait()
        return self.settled

    def settle(self, number: int) -> None:
        self.settled = number
        self._known.set()

    def notify(self, key: UUID) -> None:
        self.notified += 1
        for changed in self._waiting.get(key, ()):
            changed.set()

    def notify_all(self) -> None:
        """After a reconnect nobody knows what was missed: every reader reads again."""
        for key in list(self._waiting):
            self.notify(key)

    def close(self) -> None:
        """Streams end: their clients go on elsewhere."""
        self.closing = True
        self.notify_all()


@dataclass
class Gap:
    """Numbers that are missing: of transactions that are open yet, or that were rolled back."""

    after: int
    open_until: int
    """Once every transaction before this one has ended, what is missing will never come."""
    since: float
    reads: int = 0
    is_warned: bool = False


class Tail:
    """Moves `Changes.settled` along the events."""

    def __init__(self, connection: asyncpg.Connection, changes: Changes, *, is_notified: bool) -> None:
        """`is_notified`: whether those who read one generation hear of its changes otherwise."""
        self._connection = connection
        self._changes = changes
        self._is_notified = is_notified
        self._at = changes.settled
        self._gap: Gap | None = None

    async def begin(self) -> None:
        """Goes on where it was; at first, and in a database that was set back, a little before the end."""
        newest = await self._connection.fetchval("select coalesce(max(id), 0) from job_events")
        if not self._changes.settled or newest < self._at:
            first = await self._connection.fetchval("select min(id) from job_events where id > $1", newest - LOOK_BACK)
            self._at = (first or 1) - 1

    async def read(self) -> float | None:
        """Read what is new. Seconds to wait before looking again at numbers that are missing; None when none are."""
        while rows := await self._connection.fetch(TAIL, self._at, PAGE):
            keys = set()
            for row in rows:
                if row["id"] != self._at + 1 and not self._is_dead(row):
                    break
                self._at = row["id"]
                keys |= {row["user_id"]} if self._is_notified else {row["user_id"], row["job_id"]}
            self._changes.settle(self._at)
            for key in keys:
                self._changes.notify(key)
            if self._at != rows[-1]["id"]:
                return self._pause()
        self._changes.settle(self._at)
        return None

    def _is_dead(self, row: asyncpg.Record) -> bool:
        """Whether the numbers missing before this row will never come."""
        if self._gap is None or self._gap.after != self._at:
            self._gap = Gap(self._at, row["next"], _now())
        return bool(row["oldest_open"] >= self._gap.open_until)

    def _pause(self) -> float:
        gap = self._gap
        assert gap is not None
        if _now() - gap.since > GAP_WARNING_SECONDS and not gap.is_warned:
            gap.is_warned = True
            log.warning("event_stream_waits_for_transaction", event=gap.after)
        gap.reads += 1
        return GAP_PAUSE_SECONDS[min(gap.reads, len(GAP_PAUSE_SECONDS)) - 1]


@asynccontextmanager
async def open_changes(tasks: TaskSupervisor, url: str) -> AsyncIterator[Changes]:
    changes = Changes()
    async with tasks.running("change_listener", partial(_listen, url, changes)):
        yield changes


async def _listen(url: str, changes: Changes, succeeded: Succeeded) -> None:
    """Until the connection is lost."""
    with naming_outages():
        await _listen_until_lost(url, changes, succeeded)


async def _listen_until_lost(url: str, changes: Changes, succeeded: Succeeded) -> None:
    notified = asyncio.Event()

    def on_change(_connection: object, _pid: int, channel: str, payload: object) -> None:
        with ignoring_unreadable(channel, payload):
            changes.notify(UUID(str(payload)))
        notified.set()

    def on_measure(_connection: object, _pid: int, channel: str, payload: object) -> None:
        with ignoring_unreadable(channel, payload):
            user_id, generation_id, percent = str(payload).split()
            changes.measured(UUID(user_id), UUID(generation_id), int(percent))

    address = PostgresAddress.parse(url)
    is_notified = await keeps_sessions(address, timeout=ANSWER_SECONDS)
    if not is_notified:
        log.warning("notifications_replaced_by_polling", advice="set DATABASE_LISTEN_URL to a direct connection")
    connection = await connect_to_postgres(
        address,
        timeout=ANSWER_SECONDS,
        command_timeout=ANSWER_SECONDS,
        statement_cache_size=CACHED_STATEMENTS if is_notified else 0,
    )
    try:
        connection.add_termination_listener(lambda _: notified.set())
        if is_notified:
            await connection.add_listener(CHANGED, on_change)
            await connection.add_listener(PROGRESS_CHANNEL, on_measure)
        tail = Tail(connection, changes, is_notified=is_notified)
        quiet_seconds = QUIET_SECONDS if is_notified else POLL_SECONDS
        await tail.begin()
        changes.notify_all()
        while not connection.is_closed():
            notified.clear()
            pause = await tail.read()
            succeeded()
            await _wait(notified, quiet_seconds if pause is None else pause)
            await asyncio.sleep(GATHER_SECONDS if pause is None else 0)
    finally:
        await connection.close(timeout=2)


@contextmanager
def ignoring_unreadable(channel: str, payload: object) -> Iterator[None]:
    """Every role of the database may notify."""
    try:
        yield
    except ValueError:
        log.warning("notification_ignored", channel=channel, payload=str(payload)[:100])


async def _wait(notified: asyncio.Event, seconds: float) -> None:
    """Until notified, or until so many seconds have passed."""
    try:
        async with asyncio.timeout(seconds):
            await notified.wait()
    except TimeoutError:
        pass


def _now() -> float:
    return asyncio.get_running_loop().time()

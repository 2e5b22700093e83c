"""Server-sent events: the current state, then each change.

Nothing is kept for a reader: it reads when it is ready, and a slow one reads later states. One that takes nothing for
`SEND_SECONDS` is dropped; it resumes where it was.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractContextManager, aclosing, nullcontext, suppress
from functools import partial
from typing import Protocol
from uuid import UUID

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Message, Send

from api.events.access import EventReader
from api.events.changes import Measures
from api.generations.forecasts import Forecast
from api.generations.schemas import JobView, ProgressView
from api.http.links import Links
from api.services import Services
from reelay.db.changes import Batch, Change
from reelay.db.engine import POSTGRES_UNAVAILABLE
from reelay.db.tables import GenerationJob
from reelay.domain.language import Language

# no-transform: a proxy that compresses would hold the stream back.
HEADERS = {"cache-control": "no-cache, no-store, no-transform", "x-accel-buffering": "no"}
RETRY = "retry: 1000\n"
"""With the first event: how long a client waits before it connects again. Milliseconds."""
HEARTBEAT = b": keep-alive\n\n"
RECONNECT_MILLISECONDS = (100, 1000)
"""Of a process that stops, after which its readers connect again: not all in the same moment."""
PROGRESS_SECONDS = 2.0
SETTLING_SECONDS = 5.0
RETRY_READ_SECONDS = 1.0
SEND_SECONDS = 20.0


log = structlog.get_logger()


class Subject(Protocol):
    """What a stream is about."""

    key: UUID
    """Whose changes `Changes` is subscribed for."""

    async def read(self, after: int) -> Batch:
        """What changed since the event `after`; since 0, what there is."""


class OneJob:
    def __init__(self, services: Services, user_id: UUID, generation_id: UUID) -> None:
        self.key = generation_id
        self._services = services
        self._user_id = user_id

    async def read(self, after: int) -> Batch:
        notified = self._services.changes.notified
        return await self._services.shared_reads.change_of_generation(self._user_id, self.key, after, notified)


class AllJobs:
    """All of a user's: at first the active ones and the latest others."""

    def __init__(self, services: Services, user_id: UUID) -> None:
        self.key = user_id
        self._services = services

    async def read(self, after: int) -> Batch:
        async with asyncio.timeout(SETTLING_SECONDS):
            upto = await self._services.changes.settled_event()
        return await self._services.shared_reads.changes_of_user(self.key, after, upto)


class EventStream:
    """One stream."""

    def __init__(
        self,
        services: Services,
        reader: EventReader,
        subject: Subject,
        *,
        after: int,
        with_progress: bool,
        links: Links,
        language: Language,
    ) -> None:
        self._changes = services.changes
        self._revalidation = services.revalidation
        self._forecasts = services.forecasts
        self._reader = reader
        self._subject = subject
        self._after = after
        self._with_progress = with_progress
        self._links = links
        self._language = language
        self._live: dict[UUID, tuple[GenerationJob, int]] = {}
        """Rows of jobs that have not ended, with the percent that was sent."""
        self._measured: Measures = {}
        self._heartbeat = Interval(services.settings.events_heartbeat.total_seconds())
        self._progress_interval = Interval(PROGRESS_SECONDS)
        self._is_over = False
        self._is_waiting_for_postgres = False
        self._retry = RETRY

    async def content(self) -> AsyncGenerator[bytes]:
        key = self._subject.key
        with (
            self._changes.subscribe(key) as changed,
            self._changes.subscribe_measures(key) as self._measured,
            self._revalidation.of_stream(self._reader.credential, partial(self._end, changed)),
        ):
            changed.set()
            while not self._is_over and not self._changes.closing:
                for event in await self._due(changed):
                    yield event
                if not self._is_over:
                    shows_progress = self._with_progress and self._live
                    due = (self._heartbeat, self._progress_interval) if shows_progress else (self._heartbeat,)
                    await changed_or_due(changed, *due)
        if not self._is_over:
            yield farewell()

    def _end(self, changed: asyncio.Event) -> None:
        self._is_over = True
        changed.set()

    async def _due(self, changed: asyncio.Event) -> list[bytes]:
        events = []
        if self._with_progress and self._progress_interval.is_due():
            events += list(self._progress())
        if changed.is_set():
            events += await self._changed(changed)
        if self._heartbeat.is_due():
            events.append(HEARTBEAT)
        return events

    async def _changed(self, changed: asyncio.Event) -> list[bytes]:
        changed.clear()
        try:
            batch = await self._subject.read(self._after)
            forecasts = [await self._forecasts.of(change.row) for change in batch.changes]
        except POSTGRES_UNAVAILABLE as error:
            if not self._is_waiting_for_postgres:
                self._is_waiting_for_postgres = True
                log.warning("event_stream_waits_for_postgres", error=str(error))
            await asyncio.sleep(RETRY_READ_SECONDS)
            changed.set()
            return []
        self._is_waiting_for_postgres = False
        self._after = batch.upto
        self._is_over |= batch.is_last
        if not batch.is_whole:
            changed.set()
        return [self._updated(*each) for each in zip(batch.changes, forecasts, strict=True)]

    def _updated(self, change: Change, forecast: Forecast) -> bytes:
        view = JobView.from_row(change.row, change.files, self._links, self._language, forecast=forecast)
        if view.status.is_final:
            self._live.pop(view.id, None)
            self._measured.pop(view.id, None)
        else:
            self._live[view.id] = (change.row, view.progress)
        retry, self._retry = self._retry, ""
        return framed("job.updated", view.model_dump_json(by_alias=True), head=f"{retry}id: {change.number}\n")

    def _progress(self) -> Iterator[bytes]:
        """What was measured or estimated since it was sent. Without an id: there is nothing to resume."""
        for row, sent in list(self._live.values()):
            row.progress_percent = max(row.progress_percent, self._measured.pop(row.id, 0))
            view = ProgressView.from_row(row, self._language)
            if view.progress != sent:
                self._live[row.id] = (row, view.progress)
                yield framed("job.progress", view.model_dump_json(by_alias=True))


def farewell() -> bytes:
    """The last word of a process that stops."""
    return f"retry: {random.randint(*RECONNECT_MILLISECONDS)}\n\n".encode()


def framed(event: str, data: str, *, head: str = "") -> bytes:
    """`data` is one line, as JSON is."""
    # `fastapi.sse.format_sse_event` looks for line ends in it: 25 us for a job of 3 KB, and this 1 us.
    return f"{head}event: {event}\ndata: {data}\n\n".encode()


class Interval:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.due = _now() + seconds

    def is_due(self) -> bool:
        if _now() < self.due:
            return False
        self.due = _now() + self._seconds
        return True


async def changed_or_due(changed: asyncio.Event, *intervals: Interval) -> None:
    """Wait for the change, or for the next of the intervals."""
    with suppress(TimeoutError):
        async with asyncio.timeout_at(min(interval.due for interval in intervals)):
            await changed.wait()


class EventResponse(StreamingResponse):
    """Drops a reader that takes nothing for too long."""

    media_type = "text/event-stream"

    def __init__(
        self,
        content: AsyncGenerator[bytes],
        *,
        counted: AbstractContextManager[None] | None = None,
        patience: float = SEND_SECONDS,
    ) -> None:
        """`counted`: entered while it is sent."""
        super().__init__(content, headers=HEADERS)
        self._content = content
        self._counted = counted or nullcontext()
        self._patience = patience

    async def stream_response(self, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self._patience):
                await send(message)

        async with aclosing(self._content):
            with self._counted, suppress(TimeoutError):
                await super().stream_response(send_in_time)


def _now() -> float:
    return asyncio.get_running_loop().time()

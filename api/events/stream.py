"""Server-sent events: what is, then each change.

Nothing is kept for a reader: it reads when it is ready, and a slow one reads later states. One that takes nothing for
`SEND_SECONDS` is dropped; it resumes where it was.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from typing import Protocol
from uuid import UUID

from starlette.responses import StreamingResponse
from starlette.types import Message, Send

from api.events.access import LOOK_AGAIN_SECONDS, EventReader
from api.events.changes import Measures
from api.generations.schemas import JobView, ProgressView
from api.http.links import Links
from api.services import Services
from reelay.db.changes import Batch, Change, change_of_generation, changes_of_user, snapshot_of_user
from reelay.db.engine import POSTGRES_UNAVAILABLE, as_user
from reelay.db.tables import GenerationJob
from reelay.domain.language import Language

# no-transform: a proxy that compresses would hold the stream back.
HEADERS = {"cache-control": "no-cache, no-store, no-transform", "x-accel-buffering": "no"}
RETRY = "retry: 1000\n"
"""With the first event: how long a client waits before it connects again. Milliseconds."""
HEARTBEAT = ": still here\n\n"
SETTLING_SECONDS = 5.0
AWAY_SECONDS = 1.0
SEND_SECONDS = 20.0


class Subject(Protocol):
    """What a stream is about."""

    key: UUID
    """Who is told of it by `Changes`."""

    async def read(self, after: int) -> Batch:
        """What changed since the event `after`; since 0, what there is."""


class OneJob:
    def __init__(self, services: Services, user_id: UUID, generation_id: UUID) -> None:
        self.key = generation_id
        self._services = services
        self._user_id = user_id

    async def read(self, after: int) -> Batch:
        what = (self._user_id, self.key, after, self._services.changes.heard)
        return await self._services.shared_reads.of(what, lambda: self._read(after))

    async def _read(self, after: int) -> Batch:
        async with as_user(self._services.sessions, self._user_id) as session:
            return await change_of_generation(session, self.key, after=after)


class AllJobs:
    """All of a user's: at first the active ones and the latest others."""

    def __init__(self, services: Services, user_id: UUID) -> None:
        self.key = user_id
        self._services = services

    async def read(self, after: int) -> Batch:
        async with asyncio.timeout(SETTLING_SECONDS):
            upto = await self._services.changes.settled_event()
        return await self._services.shared_reads.of((self.key, after, upto), lambda: self._read(after, upto))

    async def _read(self, after: int, upto: int) -> Batch:
        async with as_user(self._services.sessions, self.key) as session:
            if after == 0:
                return await snapshot_of_user(session, upto=upto)
            return await changes_of_user(session, self.key, after=after, upto=upto)


class EventStream:
    """The text of one stream."""

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
        self._reader = reader
        self._subject = subject
        self._after = after
        self._with_progress = with_progress
        self._links = links
        self._language = language
        self._moving: dict[UUID, tuple[GenerationJob, int]] = {}
        """Rows of jobs that have not ended, with the percent that was sent."""
        self._measured: Measures = {}
        self._heartbeat = Clock(services.settings.events_heartbeat.total_seconds())
        self._look = Clock(LOOK_AGAIN_SECONDS)
        self._is_over = False
        self._retry = RETRY

    async def text(self) -> AsyncGenerator[str]:
        key = self._subject.key
        with self._changes.of(key) as news, self._changes.measures_of(key) as self._measured:
            news.set()
            while not self._is_over and not self._changes.closing:
                for event in await self._due(news):
                    yield event
                if not self._is_over:
                    await self._wait(news)

    async def _due(self, news: asyncio.Event) -> list[str]:
        events = []
        if self._look.is_due():
            if not await self._reader.is_still_let_in():
                self._is_over = True
                return []
            if self._with_progress:
                events += list(self._progress())
        if news.is_set():
            events += await self._changed(news)
        if self._heartbeat.is_due():
            events.append(HEARTBEAT)
        return events

    async def _changed(self, news: asyncio.Event) -> list[str]:
        news.clear()
        try:
            batch = await self._subject.read(self._after)
        except POSTGRES_UNAVAILABLE:
            await asyncio.sleep(AWAY_SECONDS)
            news.set()
            return []
        self._after, self._is_over = batch.upto, batch.is_last
        if not batch.is_whole:
            news.set()
        return [self._updated(change) for change in batch.changes]

    def _updated(self, change: Change) -> str:
        view = JobView.from_row(change.row, change.files, self._links, self._language)
        if view.status.is_final:
            self._moving.pop(view.id, None)
            self._measured.pop(view.id, None)
        else:
            self._moving[view.id] = (change.row, view.progress)
        retry, self._retry = self._retry, ""
        return f"{retry}id: {change.number}\nevent: job.updated\ndata: {view.model_dump_json(by_alias=True)}\n\n"

    def _progress(self) -> Iterator[str]:
        """What was measured or estimated otherwise than it was sent. Without an id: there is nothing to resume."""
        for row, sent in list(self._moving.values()):
            row.progress_percent = max(row.progress_percent, self._measured.pop(row.id, 0))
            view = ProgressView.from_row(row, self._language)
            if view.progress != sent:
                self._moving[row.id] = (row, view.progress)
                yield f"event: job.progress\ndata: {view.model_dump_json(by_alias=True)}\n\n"

    async def _wait(self, news: asyncio.Event) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(min(self._look.due, self._heartbeat.due)):
                await news.wait()


class Clock:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.due = _now() + seconds

    def is_due(self) -> bool:
        if _now() < self.due:
            return False
        self.due = _now() + self._seconds
        return True


class EventResponse(StreamingResponse):
    """Leaves a reader who takes nothing for too long."""

    media_type = "text/event-stream"

    def __init__(self, text: AsyncGenerator[str], *, patience: float = SEND_SECONDS) -> None:
        super().__init__(text, headers=HEADERS)
        self._text = text
        self._patience = patience

    async def stream_response(self, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self._patience):
                await send(message)

        async with aclosing(self._text):
            with suppress(TimeoutError):
                await super().stream_response(send_in_time)


def _now() -> float:
    return asyncio.get_running_loop().time()

"""Submissions that a client sends again because it did not get the answer: they are the same job.

fal's clients repeat a POST whose connection broke, up to ten times, and send no key by which to know it again. So what
breaks is written down: a submission of the same credential, endpoint and content is its job, if it comes within
`REPLAYED_WITHIN`. docs/decisions/029-replays-at-the-fal-door.md says why no two wanted jobs become one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID, uuid4

import structlog
from fastapi import Request

from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions, as_user
from reelay.db.undelivered import (
    forget_undelivered,
    lock_submissions_alike,
    record_undelivered,
    take_over_submission,
)

REPLAYED_WITHIN = timedelta(minutes=2)

log = structlog.get_logger()


class Listener:
    """The client of a submission, as long as it listens."""

    def __init__(self) -> None:
        self.is_gone = False
        self.on_gone: Callable[[], None] = lambda: None
        """Called once, when the connection breaks."""

    def leave(self) -> None:
        self.is_gone = True
        self.on_gone()


class ClientGone(Exception):
    """Nobody hears the answer, and nothing was created: the client will send it again."""


class Replays:
    """Of one process; what it knows lies in Postgres, for a client may come back to another one."""

    def __init__(self, sessions: Sessions, *, merge: timedelta) -> None:
        """`merge`: for how long submissions alike are one job until its id is used, also where no connection was seen
        to break."""
        self._sessions = sessions
        self._merge = merge
        self._recordings: set[asyncio.Task[None]] = set()

    async def _job_of(self, user_id: UUID, fingerprint: bytes) -> UUID:
        """That of an undelivered one alike, else a new one."""
        if self._recordings:  # of a connection that broke a moment ago
            await asyncio.wait(self._recordings)
        async with as_user(self._sessions, user_id) as session:
            if not self._merge:
                return await take_over_submission(session, user_id, fingerprint) or uuid4()
            await lock_submissions_alike(session, user_id, fingerprint)
            known = await take_over_submission(session, user_id, fingerprint) or uuid4()
            await record_undelivered(session, user_id, known, fingerprint, self._merge)
            return known

    async def used(self, user_id: UUID, job_id: UUID) -> None:
        """The client has the job's id: the next submission alike is another job."""
        if self._merge:
            async with as_user(self._sessions, user_id) as session:
                await forget_undelivered(session, user_id, job_id)

    @asynccontextmanager
    async def job_for_listener(
        self, request: Request, user_id: UUID, fingerprint: bytes
    ) -> AsyncIterator[tuple[UUID, Listener]]:
        """The id for the job of a submission, whose body has been read.

        When the client's connection breaks while the block runs, that is written down at once; it is awaited by those
        who ask for an id. Raises: ClientGone, when it broke before.
        """
        listener, job_id = Listener(), None

        async def watch() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            listener.leave()
            if job_id:
                await self._recorded(user_id, job_id, fingerprint)

        watching = asyncio.create_task(watch())
        try:
            job_id = await self._job_of(user_id, fingerprint)
            if listener.is_gone:
                await self._recorded(user_id, job_id, fingerprint)
                raise ClientGone
            yield job_id, listener
        finally:
            if not listener.is_gone:
                watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _recorded(self, user_id: UUID, job_id: UUID, fingerprint: bytes) -> None:
        recording = asyncio.create_task(self._record(user_id, job_id, fingerprint))
        self._recordings.add(recording)
        recording.add_done_callback(self._recordings.discard)
        await recording

    async def _record(self, user_id: UUID, job_id: UUID, fingerprint: bytes) -> None:
        try:
            async with as_user(self._sessions, user_id) as session:
                await record_undelivered(session, user_id, job_id, fingerprint, REPLAYED_WITHIN)
        except POSTGRES_UNAVAILABLE as error:
            log.warning("undelivered_submission_not_recorded", job_id=str(job_id), error=str(error))

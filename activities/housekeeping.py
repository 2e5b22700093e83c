"""Deletes what is too old, and all that a deleted user or job has left in the archive and at the providers."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog
from temporalio import activity

from activities.heartbeat import heartbeating
from activities.stopping import Runs, stop_job
from reelay.db.deletion import (
    Erasure,
    active_jobs_of,
    anonymise_user,
    blame_erasures,
    claim_erasures,
    delete_expired_events,
    delete_expired_jobs,
    delete_expired_media,
    delete_jobs_of,
    forget_erasures,
    forget_files_of,
    users_to_delete,
)
from reelay.db.engine import Sessions
from reelay.domain.generation import ProviderName
from reelay.domain.housekeeping import Pruned
from reelay.media.errors import MediaError
from reelay.media.storage import Storage
from reelay.providers.errors import ProviderError
from reelay.providers.registry import Providers
from reelay.settings import Settings

HEARTBEAT = timedelta(seconds=5)
BATCH = 100
"""Rows of one transaction: jobs, with some ten rows each that belong to them."""
PAUSES = 3.0
"""How much longer than a batch the pause after it is: three quarters of what Postgres can do stay for others."""
ERASED_AT_ONCE = 50

log = structlog.get_logger()

Delete = Callable[..., Awaitable[int]]


class HousekeepingActivities:
    def __init__(
        self, settings: Settings, sessions: Sessions, providers: Providers, storage: Storage, runs: Runs
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._providers = providers
        self._storage = storage
        self._runs = runs

    @activity.defn
    async def prune(self, at_most: timedelta) -> Pruned:
        """Go on where the last pass ended, for so long: what is not done then is left to the next.

        In batches, with a pause after each.
        """
        ends_at, found = time.monotonic() + at_most.total_seconds(), Counter[str]()
        async with heartbeating(every=HEARTBEAT):
            await self._delete_users(ends_at, found)
            for name, delete, days in (
                ("jobs", delete_expired_jobs, self._settings.retention_days_jobs),
                ("media", delete_expired_media, self._settings.retention_days_media),
                ("events", delete_expired_events, self._settings.retention_days_events),
            ):
                if days is not None:
                    expired = partial(delete, kept=timedelta(days=days), at_most=BATCH)
                    found[name] += await self._in_batches(expired, ends_at)
            await self._erase(ends_at, found)
        return Pruned(**found)

    async def _in_batches(self, delete: Delete, ends_at: float) -> int:
        """Until nothing is left, or the time is over. `delete`: of a session, how many it deleted."""
        deleted = 0
        while True:
            began = time.monotonic()
            async with self._sessions.begin() as session:
                batch = await delete(session)
            deleted += batch
            now = time.monotonic()
            if not batch or now > ends_at:
                return deleted
            await asyncio.sleep(PAUSES * (now - began))

    async def _delete_users(self, ends_at: float, found: Counter[str]) -> None:
        """Jobs that still run are canceled first; the user goes with a later pass, once they have ended."""
        async with self._sessions() as session:
            users = await users_to_delete(session)
        for user in users:
            await self._stop_jobs(user.id)
            delete = partial(delete_jobs_of, user_id=user.id, at_most=BATCH)
            found["jobs"] += await self._in_batches(delete, ends_at)
            async with self._sessions.begin() as session:
                found["users"] += await anonymise_user(session, user.id)

    async def _stop_jobs(self, user_id: UUID) -> None:
        async with self._sessions() as session:
            jobs = await active_jobs_of(session, user_id)
        for job in jobs:
            await stop_job(self._sessions, self._runs, job)

    async def _erase(self, ends_at: float, found: Counter[str]) -> None:
        """What is noted is noted for a batch at once: a transaction each would be most of the work."""
        while (began := time.monotonic()) < ends_at:
            async with self._sessions.begin() as session:
                due = await claim_erasures(session, at_most=ERASED_AT_ONCE)
            if not due:
                return
            troubles = await troubles_of(self._delete_files, [each for each in due if each.prefix is not None])
            async with self._sessions.begin() as session:
                await forget_files_of(session, [each.id for each in due if each.id not in troubles])
            troubles |= await troubles_of(
                self._delete_at_provider, [each for each in due if each.request_ids and each.id not in troubles]
            )
            async with self._sessions.begin() as session:
                await forget_erasures(session, [each.id for each in due if each.id not in troubles])
                await blame_erasures(session, troubles)
            found["erased"] += len(due) - len(troubles)
            found["not_erased"] += len(troubles)
            await asyncio.sleep(PAUSES * (time.monotonic() - began))

    async def _delete_files(self, erasure: Erasure) -> None:
        if erasure.prefix is not None:
            await self._storage.delete_below(erasure.prefix)

    async def _delete_at_provider(self, erasure: Erasure) -> None:
        for request_id in erasure.request_ids:
            await self._providers[ProviderName(str(erasure.provider))].erase(request_id)


async def troubles_of(delete: Callable[[Erasure], Awaitable[None]], erasures: Sequence[Erasure]) -> dict[int, str]:
    """Why something is still there, by the erasure's id; all at once are tried."""

    async def trouble_of(erasure: Erasure) -> str | None:
        try:
            await delete(erasure)
        except (MediaError, ProviderError) as error:
            log.warning("erasure_failed", erasure=erasure.id, error=str(error))
            return str(error)
        return None

    found = await asyncio.gather(*map(trouble_of, erasures))
    return {erasure.id: trouble for erasure, trouble in zip(erasures, found, strict=True) if trouble is not None}

"""How much one caller may ask of the service, counted over all of its API processes."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from math import ceil
from uuid import UUID

import structlog
from async_lru import alru_cache
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.problems import Conflict, RateLimited
from reelay.db.admission import Admission, Terms
from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions, as_user, within
from reelay.db.quotas import count_owned, sum_stored_bytes, take_from_quota
from reelay.db.tables import Campaign, Clip
from reelay.domain.messages import Sentence
from reelay.domain.quota import Grant, Quota
from reelay.settings import Settings

BURST_SECONDS = 10
"""A second's requests may come at once for this long, after a pause."""
SLICES = 50
"""A process takes a 50th of the bucket at a time: one write for 40 requests at the default."""
MAX_SLICES = 10_000
UNLIMITED = 10**9
CONCURRENCY_PAUSE_SECONDS = 5
WEBHOOK_TESTS_PER_MINUTE = 30
REDELIVERIES_PER_HOUR = 12
STORED_BYTES_FRESH_SECONDS = 60.0
"""The sum reads one index entry and row per file of the user."""

log = structlog.get_logger()


@dataclass
class Slice:
    """What this process may still admit of one user's requests, or media reads, without asking Postgres."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    requests: int = 0
    refused: Grant | None = None
    retry_at: float = 0.0


class Limits:
    def __init__(self, sessions: Sessions, settings: Settings, *, timeout: float) -> None:
        """`timeout`: seconds that a request waits to be counted."""
        self._sessions = sessions
        self._timeout = timeout
        self._requests, self._media_reads = (
            Quota(name=name, amount=settings.requests_per_second * BURST_SECONDS, window=BURST_SECONDS)
            for name in ("requests", "media reads")
        )
        self._creations = Quota(name="creations", amount=settings.creations_per_minute or UNLIMITED, window=60)
        self._uploads = Quota(name="uploads", amount=settings.creations_per_minute or UNLIMITED, window=60)
        self._webhook_tests = Quota(name="webhook tests", amount=WEBHOOK_TESTS_PER_MINUTE, window=60)
        self._webhook_redeliveries = Quota(name="webhook redeliveries", amount=REDELIVERIES_PER_HOUR, window=3600)
        self._concurrent = settings.concurrent_generations
        self._is_metered = not settings.unmetered
        self._campaigns = settings.campaigns_per_user
        self._clips = settings.clips_per_user
        self._storage = settings.storage_per_user_bytes
        self.stored_bytes = alru_cache(maxsize=MAX_SLICES, ttl=STORED_BYTES_FRESH_SECONDS)(self._stored_bytes)
        """Of a user's media, as it was a minute ago at most; 0 where nothing limits it."""
        self._slices: OrderedDict[tuple[str, UUID], Slice] = OrderedDict()

    async def admit_request(self, user_id: UUID) -> None:
        """Raises: RateLimited. While Postgres is away everybody is admitted: no count can be read."""
        await self._admit(self._requests, user_id)

    async def admit_media_read(self, user_id: UUID) -> None:
        """By a link, which anybody may have: counted apart, so that nobody uses up the user's requests with it.

        Raises: RateLimited.
        """
        await self._admit(self._media_reads, user_id)

    async def _admit(self, quota: Quota, user_id: UUID) -> None:
        if not quota.amount:
            return
        part = self._slice_of(quota, user_id)
        async with part.lock:
            if not part.requests and time.monotonic() >= part.retry_at:
                await self._refill(part, quota, user_id)
            if not part.requests and part.refused:
                raise rate_limited(part.refused, after=part.retry_at - time.monotonic())
            part.requests -= 1

    @property
    def creation_terms(self) -> Terms:
        """Of one creation: its jobs count among those that live."""
        is_counted = self._creations.amount != UNLIMITED or self._concurrent
        return Terms(
            quota=self._creations if is_counted else None,
            most_active=self._concurrent or None,
            is_metered=self._is_metered,
        )

    def creation_headers(self, admission: Admission) -> dict[str, str]:
        """The answer's. Raises: RateLimited, when the creation must not be committed."""
        grant = admission.grant
        if grant and not grant.granted:
            raise rate_limited(grant, after=grant.seconds_to_next)
        if admission.is_crowded:
            raise RateLimited(
                Sentence("too_many_generations", most=self._concurrent),
                {
                    "retry-after": str(CONCURRENCY_PAUSE_SECONDS),
                    "ratelimit-policy": f'"generations";q={self._concurrent};qu="concurrent-requests"',
                    "ratelimit": '"generations";r=0',
                },
            )
        return ratelimit_headers(grant) if grant and grant.quota.amount != UNLIMITED else {}

    async def admit_webhook_test(self, session: AsyncSession, user_id: UUID) -> None:
        """Count a request that the caller has us send to an address of their choice. Raises: RateLimited."""
        await self._take_one(session, user_id, self._webhook_tests)

    async def admit_webhook_redelivery(self, session: AsyncSession, user_id: UUID) -> None:
        """As `admit_webhook_test`, for many at once."""
        await self._take_one(session, user_id, self._webhook_redeliveries)

    async def _take_one(self, session: AsyncSession, user_id: UUID, quota: Quota) -> None:
        grant = await take_from_quota(session, user_id, quota)
        if not grant.granted:
            raise rate_limited(grant, after=grant.seconds_to_next)

    async def admit_campaign(self, session: AsyncSession, user_id: UUID) -> None:
        """Count a campaign that the session's transaction has just written. Raises: Conflict."""
        if await self._is_over(session, Campaign, user_id, self._campaigns):
            raise Conflict(Sentence("too_many_campaigns", most=self._campaigns))

    async def admit_clip(self, session: AsyncSession, user_id: UUID) -> None:
        """As `admit_campaign`."""
        if await self._is_over(session, Clip, user_id, self._clips):
            raise Conflict(Sentence("too_many_clips", most=self._clips))

    def admit_storage(self, stored_bytes: int) -> None:
        """Whether the user may have more media made. What is being made is archived all the same. Raises: Conflict."""
        if self._storage and stored_bytes >= self._storage:
            raise Conflict(Sentence("storage_full", stored=stored_bytes, most=self._storage))

    async def admit_upload(self, session: AsyncSession, user_id: UUID) -> None:
        """Count a file that the session's transaction has just written down. Raises: RateLimited, Conflict.

        The user's other uploads wait for the end of the transaction, so that none is counted too few.
        """
        grant = await take_from_quota(session, user_id, self._uploads)
        if not grant.granted:
            raise rate_limited(grant, after=grant.seconds_to_next)
        if self._storage and (stored := await sum_stored_bytes(session, user_id)) > self._storage:
            raise Conflict(Sentence("storage_full", stored=stored, most=self._storage))

    async def _is_over(self, session: AsyncSession, table: type[Campaign | Clip], user_id: UUID, limit: int) -> bool:
        return bool(limit) and await count_owned(session, table, user_id, at_most=limit + 1) > limit

    async def _stored_bytes(self, user_id: UUID) -> int:
        if not self._storage:
            return 0
        async with as_user(self._sessions, user_id) as session:
            return await sum_stored_bytes(session, user_id)

    async def _refill(self, part: Slice, quota: Quota, user_id: UUID) -> None:
        slice_size = max(1, quota.amount // SLICES)
        try:
            grant = await within(self._timeout, self._take(quota, user_id, slice_size))
        except POSTGRES_UNAVAILABLE as error:
            log.warning("rate_limit_unavailable", error=str(error))
            part.requests, part.refused = slice_size, None
            return
        part.requests = grant.granted
        part.refused = None if grant.granted else grant
        part.retry_at = 0.0 if grant.granted else time.monotonic() + grant.seconds_to_next

    async def _take(self, quota: Quota, user_id: UUID, slice_size: int) -> Grant:
        async with as_user(self._sessions, user_id) as session:
            return await take_from_quota(session, user_id, quota, slice_size)

    def _slice_of(self, quota: Quota, user_id: UUID) -> Slice:
        key = quota.name, user_id
        part = self._slices.setdefault(key, Slice())
        self._slices.move_to_end(key)
        if len(self._slices) > MAX_SLICES:
            self._slices.popitem(last=False)
        return part


def rate_limited(grant: Grant, *, after: float) -> RateLimited:
    quota = grant.quota
    return RateLimited(
        Sentence("too_many_requests", most=quota.amount, what=quota.name, seconds=f"{quota.window:g}"),
        {"retry-after": str(max(1, ceil(after))), **ratelimit_headers(grant)},
    )


def ratelimit_headers(grant: Grant) -> dict[str, str]:
    """As in draft-ietf-httpapi-ratelimit-headers-10: the quota in its window, and what is left for how long."""
    quota = grant.quota
    return {
        "ratelimit-policy": f'"{quota.name}";q={quota.amount};w={quota.window:g}',
        "ratelimit": f'"{quota.name}";r={int(grant.left)};t={ceil(grant.seconds_to_full)}',
    }

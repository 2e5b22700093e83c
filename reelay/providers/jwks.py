"""Public keys at an address, kept for a while."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar

import httpx

from reelay.providers.errors import KeysUnavailable
from reelay.providers.exchange import exchange

KEPT_FOR = timedelta(hours=24).total_seconds()
"""fal asks not to cache its keys for longer."""
RENEWED_AFTER = timedelta(hours=12).total_seconds()
"""From this age on a fetch is tried, so that an outage of the key server has twelve hours to end."""
REFETCH_INTERVAL = timedelta(minutes=1).total_seconds()
"""A webhook names no key: whoever sends a bad signature asks for a refetch, and gets at most one in this time."""
EMPTY_PAUSE = timedelta(seconds=1).total_seconds()
"""Between two fetches while there is no key at all."""
FETCH_LIMIT = timedelta(seconds=3)
MAX_DOCUMENT_BYTES = 64 * 1024
MAX_KEYS = 32

Key = TypeVar("Key")


class JwksCache(Generic[Key]):
    """The keys at one address. Callers share one fetch; a failed or empty one never replaces keys that are there."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        *,
        parse: Callable[[bytes], tuple[Key, ...]],
        clock: Callable[[], float],
        renewed_after: float = RENEWED_AFTER,
        kept_for: float = KEPT_FOR,
    ) -> None:
        """`parse`: a document's usable keys; it never raises. `clock`: seconds that never run backwards, such as
        `time.monotonic`; the two ages are seconds, too."""
        self._client = client
        self._url = url
        self._parse = parse
        self._clock = clock
        self._renewed_after = renewed_after
        self._kept_for = kept_for
        self._fetching = asyncio.Lock()
        self._keys: tuple[Key, ...] = ()
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._refetched_at = float("-inf")

    async def keys(self) -> tuple[Key, ...]:
        """The keys, fetched at first need. Raises: KeysUnavailable."""
        if self._is_due():
            async with self._fetching:
                if self._is_due():  # another caller may have fetched while this one waited
                    await self._fetch()
        return self._current()

    async def refetched(self) -> tuple[Key, ...]:
        """The keys, fetched again unless that was done within the last minute. Raises: KeysUnavailable."""
        async with self._fetching:
            if self._clock() - self._refetched_at >= REFETCH_INTERVAL:
                self._refetched_at = self._clock()
                await self._fetch()
        return self._current()

    def _is_due(self) -> bool:
        now = self._clock()
        if self._has_keys(now):
            return now - self._fetched_at >= self._renewed_after and now - self._tried_at >= REFETCH_INTERVAL
        return now - self._tried_at >= EMPTY_PAUSE

    def _has_keys(self, now: float) -> bool:
        return bool(self._keys) and now - self._fetched_at < self._kept_for

    def _current(self) -> tuple[Key, ...]:
        if not self._has_keys(self._clock()):
            raise KeysUnavailable("the public keys could not be fetched")
        return self._keys

    async def _fetch(self) -> None:
        keys = self._parse(await self._document())
        self._tried_at = self._clock()
        if keys:
            self._keys = keys
            self._fetched_at = self._tried_at

    async def _document(self) -> bytes:
        request = httpx.Request("GET", self._url)
        try:
            answer = await exchange(self._client, request, within=FETCH_LIMIT, at_most=MAX_DOCUMENT_BYTES)
        except httpx.TransportError:
            return b""
        return answer.body if answer.status == 200 else b""

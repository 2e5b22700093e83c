"""Public keys at an address, kept for a while, and the verification of fal's webhooks with fal's."""

import asyncio
import base64
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from reelay.providers.errors import Forged, KeysUnavailable
from reelay.providers.exchange import exchange
from reelay.providers.fal_webhook import check_claims, parse, verify
from reelay.providers.provider import WebhookNotice
from reelay.providers.strict_json import parse_json

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

X_COORDINATE = re.compile(r"[A-Za-z0-9_-]{43}=?")

# The y coordinates of Curve25519's eight points of small order (0, 1, -1 and those of order 8), under which
# signatures can be made without a private key. OpenSSL accepts such keys. RFC 8032 section 5.1 gives the curve.
FIELD = 2**255 - 19
ORDER_EIGHT_Y = 2707385501144840649318225287225658788936804267575313519463743609750303402022
SMALL_ORDER_Y = frozenset({0, 1, FIELD - 1, ORDER_EIGHT_Y, FIELD - ORDER_EIGHT_Y})


def keys_of(document: bytes) -> tuple[Ed25519PublicKey, ...]:
    """The usable Ed25519 keys of a JWKS document, at most 32; what is not one is passed over. Never raises."""
    try:
        content = parse_json(document)
    except ValueError:
        return ()
    entries = content.get("keys") if isinstance(content, dict) else None
    return tuple(_usable(entries[:MAX_KEYS])) if isinstance(entries, list) else ()


def _usable(entries: list[Any]) -> Iterator[Ed25519PublicKey]:
    for entry in entries:
        if not isinstance(entry, dict) or (entry.get("kty"), entry.get("crv")) != ("OKP", "Ed25519"):
            continue
        x = entry.get("x")
        if not isinstance(x, str) or not X_COORDINATE.fullmatch(x):
            continue
        raw = base64.urlsafe_b64decode(x.rstrip("=") + "=")
        if not has_small_order(raw):
            yield Ed25519PublicKey.from_public_bytes(raw)


def has_small_order(public_key: bytes) -> bool:
    """Whether 32 bytes encode, canonically or not, a point of small order."""
    y = int.from_bytes(public_key, "little") % 2**255  # the top bit is the sign of x
    return y % FIELD in SMALL_ORDER_Y


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


class FalWebhooks:
    """Verifies what arrives at the webhook route."""

    def __init__(
        self, jwks: JwksCache[Ed25519PublicKey], *, user_id: str | None, clock: Callable[[], datetime]
    ) -> None:
        """`user_id`: our own at fal; None trusts every fal account. `clock`: the present, with its time zone."""
        self._jwks = jwks
        self._user_id = user_id
        self._clock = clock

    async def verify(self, headers: Mapping[str, str], body: bytes) -> WebhookNotice:
        """What fal says, proved to be from fal. Raises: Malformed, Forged, Stale, KeysUnavailable; nothing else."""
        notice = parse(headers, body)
        check_claims(notice, now=self._clock(), user_id=self._user_id)
        keys = await self._jwks.keys()
        try:
            return verify(notice, keys)
        except Forged:
            return verify(notice, await self._jwks.refetched())

"""fal's platform API, as far as it describes endpoints: their documents, prices and names.

https://api.fal.ai/v1, `GET /models` and `GET /models/pricing`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
from pydantic import SecretStr

from reelay.providers.errors import Unavailable
from reelay.providers.exchange import Answer
from reelay.providers.keyed_api import KeyedApi
from reelay.providers.reading import list_of, object_of

MAX_DOCUMENT_BYTES = 2 * 1024 * 1024
"""The largest known have 200 KB."""
MAX_LIST_BYTES = 512 * 1024
PRICES_AT_ONCE = 50
"""Endpoints of one question for prices; fal's maximum."""
FOUND_AT_MOST = 20
MOST_DOLLARS = 100_000
"""Of one unit. More is a mistake."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One entry of `GET /models`, with the document."""

    entry: dict[str, Any]
    etag: str | None


class FalPlatform:
    """Asks with our key, which goes to `base` alone."""

    def __init__(self, client: httpx.AsyncClient, *, keys: Sequence[SecretStr], base: str, timeout: timedelta) -> None:
        """`timeout` is the most that one call may take."""
        self._base = base.rstrip("/")
        self._timeout = timeout
        self._api = KeyedApi(client, submit_client=client, provider="fal", scheme="Key", keys=keys, bases=(self._base,))

    async def endpoint(self, endpoint_id: str, *, etag: str | None = None) -> Published | None:
        """What fal publishes of it; None when that is still what had this `etag`.

        Raises: NoSuchEndpoint, Unavailable.
        """
        params = {"endpoint_id": endpoint_id, "expand": "openapi-3.0"}
        headers = {"If-None-Match": etag} if etag else {}
        answer = await self._ask("/models", params, headers=headers, at_most=MAX_DOCUMENT_BYTES)
        if answer.status == 304 and etag:
            return None
        if answer.status == 404:
            raise NoSuchEndpoint(endpoint_id)
        entries = [entry for entry in _listed(answer, "models") if entry.get("endpoint_id") == endpoint_id]
        if not entries:
            raise NoSuchEndpoint(endpoint_id)
        if not isinstance(document := entries[0].get("openapi"), dict) or "error" in document:
            raise Unavailable("fal gives no document of the endpoint at the moment")
        return Published(entry=entries[0], etag=answer.headers.get("etag"))

    async def prices(self, endpoint_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The entries of the price list, by endpoint; of those that it has. Raises: Unavailable."""
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(endpoint_ids), PRICES_AT_ONCE):
            asked = endpoint_ids[start : start + PRICES_AT_ONCE]
            answer = await self._ask("/models/pricing", {"endpoint_id": ",".join(asked)}, at_most=MAX_LIST_BYTES)
            if answer.status != 404:  # none of them has a price
                found |= {str(price.get("endpoint_id")): price for price in _listed(answer, "prices")}
        return {name: price for name, price in found.items() if name in endpoint_ids}

    async def search(self, words: str) -> list[str]:
        """Ids of endpoints that the words may mean. Raises: Unavailable."""
        answer = await self._ask("/models", {"q": words, "limit": str(FOUND_AT_MOST)}, at_most=MAX_LIST_BYTES)
        ids = [entry.get("endpoint_id") for entry in _listed(answer, "models")]
        return [each for each in ids if isinstance(each, str)]

    async def _ask(
        self, path: str, params: Mapping[str, str], *, headers: Mapping[str, str] | None = None, at_most: int
    ) -> Answer:
        answer = await self._api.ask(
            "GET", self._base + path, params=params, headers=headers, within=self._timeout, at_most=at_most
        )
        if answer.is_cut:
            raise Unavailable("fal's description of the endpoint is too large")
        if not answer.is_success and answer.status not in (304, 404):
            raise Unavailable(f"fal answered HTTP {answer.status}", answer.retry_after)
        return answer


class NoSuchEndpoint(Exception):
    """fal has no endpoint of this id."""


def _listed(answer: Answer, key: str) -> list[dict[str, Any]]:
    """Raises: Unavailable, for what is no list."""
    if not isinstance(object_of(answer).get(key), list):
        raise Unavailable("fal's answer is not what its documentation says")
    return [entry for entry in list_of(object_of(answer)[key]) if isinstance(entry, dict)]


def cents_of(price: Mapping[str, Any]) -> tuple[Decimal, str] | None:
    """US cents of one unit, and the unit; None for what is no price in dollars."""
    dollars, unit = price.get("unit_price"), price.get("unit")
    if isinstance(dollars, bool) or not isinstance(dollars, int | float) or not isinstance(unit, str):
        return None
    if price.get("currency") != "USD" or not math.isfinite(dollars) or not 0 < dollars <= MOST_DOLLARS:
        return None
    return Decimal(str(dollars)) * 100, unit

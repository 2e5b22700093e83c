"""fal's bill: what each request of our account has cost.

`GET <platform>/models/billing-events`, for a key of the scope admin: pages of `request_id, endpoint_id, timestamp,
output_units, cost_total` (US dollars after the discount) and the same as `cost_estimate_nano_usd`. A request that cost
nothing has no event; `end` itself is left out.
Source: https://fal.ai/docs/platform-apis/v1/models/billing-events
"""

import math
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
from pydantic import SecretStr

from reelay.domain.bill import BilledRequest
from reelay.providers.errors import Unauthorized, Unavailable
from reelay.providers.exchange import Answer
from reelay.providers.keyed_api import KeyedApi
from reelay.providers.reading import is_request_id, moment_of, object_of

PAGE_LENGTH = 5_000
"""Events in one answer; half of fal's maximum."""
MAX_PAGE_BYTES = 10 * 1024 * 1024
MAX_PAGES = 1_000
NANO_USD = 1_000_000_000
"""Of a dollar."""


class FalBill:
    """Reads with the admin key, which goes to `base` alone."""

    def __init__(self, client: httpx.AsyncClient, *, admin_key: SecretStr, base: str, timeout: timedelta) -> None:
        """`timeout` is the most that one page may take. Raises: ValueError for a key that no HTTP header can carry."""
        self._url = base.rstrip("/") + "/models/billing-events"
        self._timeout = timeout
        self._api = KeyedApi(
            client, submit_client=client, provider="fal", scheme="Key", keys=[admin_key], bases=(base,)
        )

    async def pages(self, start: datetime, end: datetime) -> AsyncIterator[list[BilledRequest]]:
        """What was billed from `start` until before `end`, at most `LONGEST_DAYS` apart.

        Raises: Unauthorized, Unavailable.
        """
        query = {"start": start.isoformat(), "end": end.isoformat(), "limit": str(PAGE_LENGTH)}
        for _ in range(MAX_PAGES):
            answer = await self._api.ask("GET", self._url, params=query, within=self._timeout, at_most=MAX_PAGE_BYTES)
            events, cursor = page_of(answer)
            yield events
            if cursor is None:
                return
            query["cursor"] = cursor
        raise Unavailable("fal's bill is too long to be read to its end")


def page_of(answer: Answer) -> tuple[list[BilledRequest], str | None]:
    """The events, and where the next page begins. Raises: Unauthorized, Unavailable."""
    if answer.status in (401, 403):
        raise Unauthorized(f"fal does not let FAL_ADMIN_KEY read the bill (HTTP {answer.status})")
    if not answer.is_success or answer.is_cut:
        raise Unavailable(f"fal's bill is not whole (HTTP {answer.status})", answer.retry_after)
    body = object_of(answer)
    events, cursor = body.get("billing_events"), body.get("next_cursor") if body.get("has_more") else None
    if not isinstance(events, list):
        raise Unavailable("fal's bill is not what its documentation says")
    if body.get("has_more") and not isinstance(cursor, str):
        raise Unavailable("fal's bill goes on, but does not say where")
    return [_billed(event) for event in events], cursor


def _billed(event: Any) -> BilledRequest:
    """Raises: Unavailable, as what cannot be read may be money."""
    found: Mapping[str, Any] = event if isinstance(event, dict) else {}
    request_id, endpoint = found.get("request_id"), found.get("endpoint_id")
    billed_at, nano_usd = moment_of(found.get("timestamp")), _nano_usd(found)
    if not is_request_id(request_id) or not isinstance(endpoint, str) or billed_at is None or nano_usd is None:
        raise Unavailable("fal's bill has an event that is not what its documentation says")
    return BilledRequest(
        request_id=request_id,
        endpoint=endpoint,
        billed_at=billed_at,
        units=_number(found.get("output_units")),
        nano_usd=nano_usd,
    )


def _nano_usd(event: Mapping[str, Any]) -> Decimal | None:
    dollars = _number(event.get("cost_total"))
    return _number(event.get("cost_estimate_nano_usd")) if dollars is None else dollars * NANO_USD


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return Decimal(str(value))

"""fal's list of an endpoint's requests, read to find the one whose submission was never answered. Pure.

`GET <platform>/models/requests/by-endpoint`: pages of `request_id, endpoint_id, sent_at, json_input` (the input only
with `expand=payloads`, and only where fal stored it). The webhook's address is not in it, so nothing but endpoint,
input and time can tell a request.
Source: https://fal.ai/docs/platform-apis/v1/models/requests/by-endpoint
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reelay.providers.errors import NotListed, Unavailable
from reelay.providers.exchange import Answer
from reelay.providers.reading import is_request_id, moment_of
from reelay.providers.strict_json import parse_json

# 401: the key was made for models alone. 403, 404: no list for this account or endpoint.
NOT_FOR_US = frozenset({401, 403, 404})


@dataclass(frozen=True, kw_only=True)
class Page:
    requests: list[Mapping[str, Any]]
    next_cursor: str | None


def page_of(answer: Answer) -> Page:
    """Raises: NotListed, Unavailable."""
    if answer.status in NOT_FOR_US:
        raise NotListed(f"fal does not list requests to our key (HTTP {answer.status})")
    if not answer.is_success or answer.is_cut:
        raise Unavailable(f"fal's list of requests is not whole (HTTP {answer.status})", answer.retry_after)
    try:
        body = parse_json(answer.body, nan_as_null=True)
    except ValueError as error:
        raise Unavailable("fal's list of requests is not JSON") from error
    items = body.get("items") if isinstance(body, dict) else None
    if not isinstance(items, list):
        raise Unavailable("fal's list of requests has no items")
    cursor = body.get("next_cursor") if body.get("has_more") else None
    if body.get("has_more") and not isinstance(cursor, str):
        raise Unavailable("fal's list of requests goes on, but does not say where")
    return Page(requests=[item for item in items if isinstance(item, dict)], next_cursor=cursor)


def is_like(
    listed: Mapping[str, Any], *, endpoint: str, arguments: Any, sent_between: tuple[datetime, datetime]
) -> bool:
    """Whether it can be the request. One without a time or an input, or with another input, cannot."""
    sent_at, (earliest, latest) = moment_of(listed.get("sent_at")), sent_between
    return (
        is_request_id(listed.get("request_id"))
        and listed.get("endpoint_id") == endpoint
        and listed.get("json_input") == arguments
        and sent_at is not None
        and earliest <= sent_at <= latest
    )

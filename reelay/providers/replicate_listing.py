"""Replicate's list of the account's predictions, read to find the one whose submission was never answered. Pure.

`GET /v1/predictions`: the latest first, also those that still run, each with its `input` until that is deleted.
Source: https://replicate.com/docs/reference/http#predictions.list. Whether `webhook` is shown is not documented; the
prediction of a single GET has had it (replicate-javascript issue 321), so it decides wherever it stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from reelay.providers.errors import NotListed, Unavailable
from reelay.providers.exchange import Answer
from reelay.providers.reading import is_request_id, object_of
from reelay.providers.replicate_answers import call_error

NOT_FOR_US = frozenset({401, 403, 404})


@dataclass(frozen=True, kw_only=True)
class Page:
    predictions: list[Mapping[str, Any]]
    next_url: str | None

    def reaches_back_to(self, moment: datetime) -> bool:
        """Whether every later page is older than that."""
        oldest = created_at_of(self.predictions[-1]) if self.predictions else None
        return oldest is not None and oldest < moment


@dataclass(frozen=True, kw_only=True)
class Original:
    """The submission that a prediction is compared with."""

    model: str
    """`owner/name`."""
    version: str | None
    """64 hex digits, of a model that is run by version."""
    arguments: Any
    webhook_url: str | None
    sent_between: tuple[datetime, datetime]


def page_of(answer: Answer) -> Page:
    """Raises: NotListed, Unavailable."""
    if answer.status in NOT_FOR_US:
        raise NotListed(f"Replicate does not list predictions to our token (HTTP {answer.status})")
    if not answer.is_success:
        raise call_error(answer)
    body = object_of(answer)
    results, next_url = body.get("results"), body.get("next")
    if answer.is_cut or not isinstance(results, list) or not isinstance(next_url, str | None):
        raise Unavailable("Replicate's list of predictions is not whole")
    return Page(predictions=[item for item in results if isinstance(item, dict)], next_url=next_url)


def is_like(listed: Mapping[str, Any], original: Original) -> bool:
    """Whether it can be the prediction. One without a time, or with another webhook or input, cannot."""
    created_at, (earliest, latest) = created_at_of(listed), original.sent_between
    if not is_request_id(listed.get("id")) or created_at is None or not earliest <= created_at <= latest:
        return False
    if not _is_of_the_model(listed, original):
        return False
    if original.webhook_url is not None and isinstance(webhook := listed.get("webhook"), str):
        return webhook == original.webhook_url
    return bool(listed.get("input") == original.arguments)


def created_at_of(listed: Mapping[str, Any]) -> datetime | None:
    """Replicate writes ISO 8601 in UTC."""
    text = listed.get("created_at")
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_of_the_model(listed: Mapping[str, Any], original: Original) -> bool:
    if original.version is not None:
        return bool(listed.get("version") == original.version)
    return bool(listed.get("model") == original.model)

"""Answers to clients that ask again and again: 304 while nothing has changed, and when to ask again."""

from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Header, Response

from api.generations.schemas import JobView
from api.http.openapi import with_headers

IfNoneMatch = Annotated[str | None, Header(description="The `ETag` of the last answer: 304 while nothing has changed.")]
UNCHANGED: dict[int | str, dict[str, Any]] = {
    200: with_headers("ETag", "Retry-After"),
    304: {"description": "Nothing has changed since that `ETag`.", **with_headers("ETag", "Retry-After")},
}

RETRY_AFTER_SECONDS = 2
# They change although the job does not: who answered, and the clock.
UNTAGGED = {
    "source",
    "seconds_left",
    "estimated_start_at",
    "estimated_completion_at",
    "estimated_start_range",
    "estimated_completion_range",
}


def conditional_response(view: JobView, if_none_match: str | None) -> Response:
    """The job with its `ETag`; 304 when the client has it already. A living one comes with `Retry-After`."""
    headers = {"etag": etag_of(view), "cache-control": "no-store", "vary": "authorization, apikey, cookie"}
    if not view.status.is_final:
        headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    if if_none_match is not None and matches(if_none_match, headers["etag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(view.model_dump_json(by_alias=True), headers=headers, media_type="application/json")


def etag_of(view: JobView) -> str:
    """Weak (RFC 9110, 8.8.1): the same tag is the same state, not the same bytes."""
    return f'W/"{sha256(view.model_dump_json(exclude=UNTAGGED).encode()).hexdigest()[:32]}"'


def matches(if_none_match: str, etag: str) -> bool:
    """By the weak comparison, as RFC 9110, 13.1.2 wants it."""
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or etag.removeprefix("W/") in tags

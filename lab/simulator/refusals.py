"""Refusals of the queue itself, or of what stands before it, before or beside any request."""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import PlainTextResponse, Response


class Refused(Exception):
    """Answered as it stands: status code, JSON body, headers."""

    def __init__(self, status_code: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status_code} {body}")
        self.status_code = status_code
        self.body = body
        self.headers = headers


def gateway_timeout() -> Response:
    """Of a gateway between us and the provider, which says nothing of the request."""
    return PlainTextResponse("upstream request timeout", 504)

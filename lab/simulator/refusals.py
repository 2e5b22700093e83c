"""Refusals of the queue itself, before or beside any request."""

from collections.abc import Mapping
from typing import Any


class Refused(Exception):
    """Answered as it stands: status code, JSON body, headers."""

    def __init__(self, status_code: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status_code} {body}")
        self.status_code = status_code
        self.body = body
        self.headers = headers

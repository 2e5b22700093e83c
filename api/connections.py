"""Connections of the API's server: what a client may send and hold before anybody knows who it is.

uvicorn limits neither the bytes of a request's head nor the time in which it arrives, and keeps every idle connection.
"""

import asyncio
import json
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http.middleware import REQUEST_ID
from api.http.problems import MEDIA_TYPE, ProblemCode, problem_body
from reelay.domain.language import Language
from reelay.domain.messages import Sentence, in_language


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    head_bytes: int = 64 * 1024
    """Of a request's line and headers, and likewise of its trailers."""
    head_seconds: float = 10.0
    """From the connection, or from the first byte of a later request, until the headers are there."""
    idle_seconds: int = 75
    """Between two requests. Load balancers, most of which keep theirs for 60 s, must be the first to close."""
    linger_seconds: float = 1.0
    """After a refusal, what still comes is thrown away: who is cut off while sending may not see the answer."""
    idle_connections: int = 1000
    """Of one process. One more, and the one that has been idle for longest is closed."""


CONNECTION_LIMITS = ConnectionLimits()
REFUSALS = {
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (ProblemCode.PAYLOAD_TOO_LARGE, Sentence("headers_too_large")),
    HTTPStatus.REQUEST_TIMEOUT: (ProblemCode.REQUEST_TIMEOUT, Sentence("headers_too_slow")),
}


class IdleConnections:
    """Those on which no request is under way, the one that has been so for longest first."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._idle: dict[Connection, None] = {}

    def add(self, connection: "Connection") -> None:
        self._idle[connection] = None
        if len(self._idle) > self._at_most:
            oldest = next(iter(self._idle))
            self.remove(oldest)
            oldest.transport.close()

    def remove(self, connection: "Connection") -> None:
        self._idle.pop(connection, None)


class HeadTooLarge(Exception):
    """Ends the parsing of a request."""


class Connection(HttpToolsProtocol):
    def __init__(self, *arguments: Any, limits: ConnectionLimits, idle: IdleConnections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.timeout_keep_alive = limits.idle_seconds
        self._limits = limits
        self._idle = idle
        self._deadline: asyncio.TimerHandle | None = None
        self._unparsed_bytes = 0
        """Received since the parser last finished anything: they are of one head, or of trailers."""
        self._has_progressed = False
        self._is_head_too_large = False
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self._idle.add(self)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._idle.remove(self)
        self._stop_expecting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._idle.remove(self)
        self._has_progressed = False
        super().data_received(data)
        self._unparsed_bytes = 0 if self._has_progressed else self._unparsed_bytes + len(data)
        if self._unparsed_bytes > self._limits.head_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._is_between_requests() and self.timeout_keep_alive_task is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        self._has_progressed = True
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self._limits.head_bytes:
            self._is_head_too_large = True
            raise HeadTooLarge
        self._stop_expecting()
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        self._has_progressed = True

    def on_body(self, body: bytes) -> None:
        self._has_progressed = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._has_progressed = True
        super().on_message_complete()
        if self.cycle.response_complete:  # that was the rest of a body which nobody wanted
            self._stop_expecting()
            self.on_response_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None:
            self._idle.add(self)

    def send_400_response(self, msg: str) -> None:
        if self._is_head_too_large:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            super().send_400_response(msg)

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._limits.head_seconds, self._give_up)

    def _stop_expecting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if self._unparsed_bytes:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus) -> None:
        """Close the connection, with an answer where none is under way."""
        self._is_refused = True
        self._stop_expecting()
        if self._is_between_requests() and not self.transport.is_closing():
            self.transport.write(refusal(status))
            self.transport.write_eof()
            self.loop.call_later(self._limits.linger_seconds, self.transport.close)
        else:
            self.transport.close()


def refusal(status: HTTPStatus) -> bytes:
    """A whole answer in the one shape of all errors."""
    code, detail = REFUSALS[status]
    body = json.dumps(problem_body(status, code, in_language(detail, Language.ENGLISH))).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"content-type: {MEDIA_TYPE}",
        f"content-length: {len(body)}",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        f"{REQUEST_ID}: {uuid4()}",
        "connection: close",
    )
    return "\r\n".join([*head, "", ""]).encode() + body


def connections(limits: ConnectionLimits = CONNECTION_LIMITS) -> partial[Connection]:
    """What makes the connections of one server."""
    return partial(Connection, limits=limits, idle=IdleConnections(limits.idle_connections))

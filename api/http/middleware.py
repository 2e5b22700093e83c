"""What happens to every request before a route sees it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reelay.domain.messages import Sentence

REQUEST_ID = "x-request-id"
EXPOSED = (
    REQUEST_ID,
    "accept-ranges",
    "content-length",
    "content-range",
    "etag",
    "idempotency-replayed",
    "location",
    "preference-applied",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "x-fal-request-id",
    "x-fal-request-timeout-type",
    "x-reelay-ignored",
)
"""What a page of another origin may read beside the headers that every page may."""


class RequestId:
    """Gives every response an `x-request-id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = str(uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (REQUEST_ID.encode(), request_id.encode())]
            await send(message)

        await self._app(scope, receive, send_with_id)


class DefaultHeaders:
    """Answers hold data: no cache keeps them, and no browser takes them for anything else than they say they are."""

    def __init__(self, app: ASGIApp, *, cacheable: str) -> None:
        """`cacheable`: below this path anybody may keep what they were sent."""
        self._app = app
        self._cacheable = cacheable

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def send_with_defaults(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("x-content-type-options", "nosniff")
                if not scope["path"].startswith(self._cacheable):
                    headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_defaults)


def open_to_origins(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Pages of these origins may call the app as their user, and read its answers and headers."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_credentials=True,
        allow_methods=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
        allow_headers=("*",),  # with credentials: whatever a page of these origins asks for
        expose_headers=EXPOSED,
    )


@dataclass(frozen=True, kw_only=True)
class BodyLimit:
    at_most: int
    """Bytes."""
    within: timedelta
    """Until the last of them is there."""


class BodyLimits:
    """A body has to arrive in time and be small; without this a server waits, or reads, without end.

    A file may be large and take long, but no pause in it: its route takes it piece by piece.
    """

    def __init__(self, app: ASGIApp, *, usual: BodyLimit, uploads: BodyLimit) -> None:
        self._app = app
        self._usual = usual
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        limit = self._uploads if is_upload(scope) else self._usual
        now = asyncio.get_running_loop().time
        deadline, pause = now() + limit.within.total_seconds(), self._usual.within.total_seconds()
        declared = Headers(scope=scope).get("content-length", "0")
        size, whole = 0, False

        async def receive_within_limits() -> Message:
            nonlocal size, whole
            if whole:  # from here on it waits for the client to go away
                return await receive()
            _check(int(declared) if declared.isdecimal() else 0, limit)
            try:
                async with asyncio.timeout_at(min(deadline, now() + pause)):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, Sentence("body_too_slow"), {"connection": "close"}) from None
            size += len(message.get("body", b""))
            _check(size, limit)
            whole = not message.get("more_body", False)
            return message

        await self._app(scope, receive_within_limits, send)


def is_upload(scope: Scope) -> bool:
    """Whether the body is a file."""
    if scope["method"] == "POST" and (scope["path"] == "/api/uploads" or scope["path"].startswith("/v1/")):
        return Headers(scope=scope).get("content-type", "").lower().startswith("multipart/form-data")
    if scope["method"] == "POST" and scope["path"] == "/fal/cdn/files/upload":
        return True
    places = ("/api/uploads/", "/fal/uploads/", "/fal/cdn/files/")
    return bool(scope["method"] == "PUT" and scope["path"].startswith(places))


def _check(size: int, limit: BodyLimit) -> None:
    # Raised while the route reads the body, so that it leaves in the shape of all errors. The connection stays: a
    # client that still sends when it is cut off may never see the answer.
    if size > limit.at_most:
        raise HTTPException(413, Sentence("body_too_large", most=limit.at_most))

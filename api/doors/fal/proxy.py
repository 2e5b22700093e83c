"""The protocol of fal's proxies, by which its JavaScript client keeps a key out of browsers: every call goes to one
address, and says in a header where it was to go. Here it goes to the same calls of the door.
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.doors.fal.routes import QUEUE, RUN, STREAM

PATH = "/api/fal/proxy"
TARGET = "x-fal-target-url"
UPLOADS = "/fal/rest"
PLACES = {"queue.fal.run": QUEUE, "fal.run": RUN, "rest.fal.ai": UPLOADS}
"""Of the hosts that are let through; nothing is sent to any of them."""


class FalProxy:
    def __init__(self, app: ASGIApp, *, endpoints: Sequence[str] = ()) -> None:
        """`endpoints`: patterns of those to which may be submitted; none of them: to all."""
        self._app = app
        self._endpoints = [re.compile(translated(pattern)) for pattern in endpoints]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] == "OPTIONS":
            return await self._app(scope, receive, send)
        target = Headers(scope=scope).get(TARGET)
        if target is None:
            return await _refusal(HTTPStatus.BAD_REQUEST, f"Missing the {TARGET} header")(scope, receive, send)
        address = address_here(target)
        if address is None:
            return await _refusal(HTTPStatus.PRECONDITION_FAILED, f"Invalid {TARGET} header")(scope, receive, send)
        path, query = address
        if scope["method"] == "POST" and not self._may_submit(unquote(path)):
            return await _refusal(HTTPStatus.FORBIDDEN, "This endpoint is not open to pages")(scope, receive, send)
        there = {"path": unquote(path), "raw_path": path.encode(), "query_string": query.encode()}
        await self._app({**scope, **there}, receive, send)

    def _may_submit(self, path: str) -> bool:
        if not self._endpoints or path.startswith(f"{UPLOADS}/"):
            return True
        endpoint = path.removeprefix(f"{QUEUE}/").removeprefix(f"{RUN}/").removesuffix(STREAM)
        return any(pattern.fullmatch(endpoint) for pattern in self._endpoints)


def translated(pattern: str) -> str:
    """A pattern of endpoints as a regular expression: `*` is any part of an id, `**` any number of parts."""
    return re.escape(pattern).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")


def address_here(target: str) -> tuple[str, str] | None:
    """The path and the query of our own route; None for any other host than fal's."""
    try:
        parts = urlsplit(target)
        is_plain = parts.scheme == "https" and parts.netloc == parts.hostname
    except ValueError:
        return None
    if not is_plain or not target.isascii() or parts.netloc not in PLACES:
        return None
    return PLACES[parts.netloc] + parts.path, parts.query


def _refusal(status: HTTPStatus, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status)

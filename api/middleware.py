"""What happens to every request before a route sees it."""

import asyncio
import json
from dataclasses import dataclass
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import MEDIA_TYPE, PayloadTooLarge, problem_body

BODY_TIMEOUT_SECONDS = 10.0
REQUEST_ID = b"x-request-id"


class RequestId:
    """Gives every response an `x-request-id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = str(uuid4())
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (REQUEST_ID, request_id.encode())]
            await send(message)

        await self._app(scope, receive, send_with_id)


@dataclass(frozen=True)
class Refusal(Exception):
    status: int
    code: str
    detail: str


class BodyLimit:
    """Takes the body in whole, bounded in bytes and in time, before anything else looks at the request.

    A server without this reads what it is sent: a chunked body of any size, at any slowness.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            self._check_declared(scope)
            body = await self._read(receive)
        except Refusal as refusal:
            return await _refuse(send, refusal)
        if body is None:
            return None
        await self._app(scope, _replay(body, receive), send)

    def _check_declared(self, scope: Scope) -> None:
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self._max_bytes:
            raise self._too_large()

    async def _read(self, receive: Receive) -> bytes | None:
        """The whole body; None when the client went away."""
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    if len(body) > self._max_bytes:
                        raise self._too_large()
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise Refusal(408, "REQUEST_TIMEOUT", "The body took too long to arrive.") from None

    def _too_large(self) -> Refusal:
        return Refusal(413, PayloadTooLarge.code, f"A body may have at most {self._max_bytes} bytes.")


def _replay(body: bytes, receive: Receive) -> Receive:
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> Message:
        return next(messages, None) or await receive()

    return replay


async def _refuse(send: Send, refusal: Refusal) -> None:
    body = json.dumps(problem_body(refusal.status, refusal.code, refusal.detail)).encode()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    # The rest of the body is still on its way: this connection cannot carry another request.
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

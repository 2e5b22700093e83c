"""What happens to every request before a route sees it."""

import asyncio
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


class BodyDeadline:
    """A body has to arrive within 10 s: a server without this waits for one byte after the other for ever."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        deadline = asyncio.get_running_loop().time() + BODY_TIMEOUT_SECONDS
        whole = False

        async def receive_in_time() -> Message:
            nonlocal whole
            if whole:  # from here on it waits for the client to go away
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "The body took too long to arrive.", {"connection": "close"}) from None
            whole = not message.get("more_body", False)
            return message

        await self._app(scope, receive_in_time, send)

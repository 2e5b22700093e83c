"""Responses that break the connection, on the wire and not just in the status code.

uvicorn is the only server that these work under: ASGI has no word for cutting a connection, so they reach for
the transport of uvicorn's request cycle, which is the owner of the `receive` that it hands to the application.
"""

import asyncio
from datetime import timedelta

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http import h11_impl, httptools_impl


class Cut(Response):
    """No answer at all: the connection ends, at once or when the client has waited for so long."""

    def __init__(self, after: timedelta = timedelta(0)) -> None:
        super().__init__()
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._after.total_seconds()):
                await _gone(receive)
        except (TimeoutError, asyncio.CancelledError):  # cancelled: the server stops, and this is all it waits for
            _transport(receive).abort()
            await _gone(receive)


class Truncated(Response):
    """Headers that announce the whole body, half of it, and the end of the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})
        _transport(receive).close()  # what is buffered is still sent
        await _gone(receive)


async def _gone(receive: Receive) -> None:
    """Wait until the connection has ended, on either side."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(receive: Receive) -> asyncio.Transport:
    cycle = getattr(receive, "__self__", None)
    if not isinstance(cycle, h11_impl.RequestResponseCycle | httptools_impl.RequestResponseCycle):
        raise RuntimeError("a connection can only be cut under uvicorn")
    return cycle.transport

"""A proxy before the service, that spoils what a test wants spoilt."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.eventually import PATIENCE
from tests.servers import listening, loopback_socket

Spoil = Callable[[str, httpx.Response], Response | None]
"""What is answered in the place of an answer to a path; None: the answer itself."""


@asynccontextmanager
async def proxy(origin: str, spoil: Spoil) -> AsyncIterator[str]:
    async with httpx.AsyncClient(base_url=origin, timeout=PATIENCE) as client:

        async def forward(request: Request) -> Response:
            answer = await client.request(
                request.method,
                str(request.url.replace(scheme="", netloc="")),
                headers={name: value for name, value in request.headers.items() if name != "host"},
                content=await request.body(),
            )
            kept = {name: answer.headers[name] for name in ("content-type",) if name in answer.headers}
            whole = Response(answer.content, answer.status_code, kept)
            return spoil(request.url.path, answer) or whole

        app = Starlette(routes=[Route("/{path:path}", forward, methods=["GET", "POST"])])
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        async with listening(server, loopback_socket()) as address:
            yield address

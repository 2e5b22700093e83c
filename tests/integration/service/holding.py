"""A proxy that passes calls on, keeps them without an answer, or fails."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.eventually import PATIENCE
from tests.servers import listening, loopback_socket


@dataclass
class HoldingServer:
    client: httpx.AsyncClient
    url: str = ""
    _fails: bool = field(default=False, init=False)
    _held: asyncio.Event | None = field(default=None, init=False)
    _let_go: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @contextmanager
    def holding(self) -> Iterator[asyncio.Event]:
        """Set once a call has come, which is not passed on."""
        self._held = asyncio.Event()
        try:
            yield self._held
        finally:
            self._held = None
            self._let_go.set()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Nothing is passed on, and each call answered 503."""
        self._fails = True
        try:
            yield
        finally:
            self._fails = False

    async def serve(self, request: Request) -> Response:
        if self._fails:
            return Response(status_code=503)
        if self._held:
            self._held.set()
            await self._let_go.wait()
            return Response(status_code=503)
        answer = await self.client.request(
            request.method,
            request.url.path.lstrip("/"),
            params=request.query_params,
            headers={"authorization": request.headers["authorization"]},
        )
        return Response(answer.content, answer.status_code, media_type="application/json")


@asynccontextmanager
async def holding_server(target: str) -> AsyncIterator[HoldingServer]:
    async with httpx.AsyncClient(base_url=target, timeout=PATIENCE) as client:
        holder = HoldingServer(client)
        app = Starlette(routes=[Route("/{path:path}", holder.serve, methods=["GET", "DELETE"])])
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        async with listening(uvicorn.Server(config), loopback_socket()) as origin:
            holder.url = origin
            yield holder

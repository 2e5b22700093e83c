"""`/mcp`: streamable HTTP without sessions, so that any process answers any request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, Request, Response
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp, Receive, Scope, Send

from api.context import Context
from api.doors.mcp.tools import make_server

PATH = "/mcp"
# What it guards against needs a browser that is let in without a key.
SECURITY = TransportSecuritySettings(enable_dns_rebinding_protection=False)

router = APIRouter(include_in_schema=False)


class McpDoor:
    """One process's."""

    def __init__(self, version: str) -> None:
        server = make_server(version)
        server.streamable_http_app(json_response=True, stateless_http=True, transport_security=SECURITY)
        self._manager = server.session_manager

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with self._manager.run():
            yield

    @property
    def answers(self) -> ASGIApp:
        return self._manager.handle_request


class Handed(Response):
    """The answer of another application."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


@router.api_route(PATH, methods=["GET", "POST", "DELETE"])
async def speak(request: Request, context: Context) -> Response:
    request.state.context = context
    door = request.app.state.mcp
    assert isinstance(door, McpDoor)
    return Handed(door.answers)

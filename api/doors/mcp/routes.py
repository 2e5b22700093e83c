"""`/mcp`: streamable HTTP without sessions, so that any process answers any request."""

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from api.context import Context

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

PATH = "/mcp"

router = APIRouter(include_in_schema=False)


@cache
def served(version: str) -> "MCPServer[Any]":
    # A fifth of all that an API process would load at its start, and most are never asked.
    from api.doors.mcp.tools import make_server

    return make_server(version)


class Handed(Response):
    """The answer of another application."""

    def __init__(self, server: "MCPServer[Any]") -> None:
        super().__init__()
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from mcp.server.transport_security import TransportSecuritySettings

        # What it guards against needs a browser that is let in without a key.
        security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        self._server.streamable_http_app(json_response=True, stateless_http=True, transport_security=security)
        manager = self._server.session_manager  # without sessions, one is as good for a request as for a process
        async with manager.run():
            await manager.handle_request(scope, receive, send)


@router.api_route(PATH, methods=["GET", "POST", "DELETE"])
async def speak(request: Request, context: Context) -> Response:
    request.state.context = context
    return Handed(await asyncio.to_thread(served, request.app.version))

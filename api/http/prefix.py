"""The path at which the public address leads here: `/reelay` of `https://example.com/reelay`.

Routes are at the root. A proxy in front may take the path away or pass it on: both are understood.
"""

from http import HTTPStatus

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class PathPrefix:
    """Takes the path away where it is there."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        """`prefix`: begins with a slash and ends without one."""
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if scope["path"] == self._prefix:  # the page's own addresses are relative to the one with the slash
                return await RedirectResponse(f"{self._prefix}/", HTTPStatus.PERMANENT_REDIRECT)(scope, receive, send)
            if scope["path"].startswith(f"{self._prefix}/"):
                scope = {
                    **scope,
                    "path": scope["path"].removeprefix(self._prefix),
                    "raw_path": scope["raw_path"].removeprefix(self._prefix.encode()),
                }
        await self._app(scope, receive, send)

"""The API's server: uvicorn, which ends the event streams before it stops: they would outlast its grace period."""

import socket
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from api.services import services_of


class ApiServer(uvicorn.Server):
    def __init__(self, app: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        services_of(self._app).changes.close()
        await super().shutdown(sockets)


def serve(app: FastAPI, *, host: str, port: int) -> None:
    """Until SIGTERM or SIGINT. Requests under way have 3 s to end."""
    config = uvicorn.Config(app, host=host, port=port, timeout_graceful_shutdown=3, log_config=None)
    server = ApiServer(app, config)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise SystemExit(1)

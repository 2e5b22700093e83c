"""The API's server: uvicorn with limits on its connections, which ends the event streams before it stops: they would
outlast its grace period."""

import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import uvicorn
from fastapi import FastAPI

from api.connections import CONNECTION_LIMITS, ConnectionLimits, connections
from api.services import services_of


class ApiServer(uvicorn.Server):
    def __init__(self, app: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        services_of(self._app).changes.close()
        await super().shutdown(sockets)


def server_config(app: FastAPI, *, limits: ConnectionLimits = CONNECTION_LIMITS, **options: Any) -> uvicorn.Config:
    """`options` are uvicorn's own."""
    return uvicorn.Config(
        app,
        http=connections(limits),  # type: ignore[arg-type]  # it is only called
        ws="none",
        **options,
    )


def serve(app: FastAPI, *, host: str, port: int, trusted_proxies: Sequence[str]) -> None:
    """Until SIGTERM or SIGINT. Requests under way have 3 s to end."""
    config = server_config(
        app,
        host=host,
        port=port,
        forwarded_allow_ips=list(trusted_proxies),
        timeout_graceful_shutdown=3,
        log_config=None,
    )
    server = ApiServer(app, config)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise SystemExit(1)

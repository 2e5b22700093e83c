"""The API's server: uvicorn with limits on its connections, which is drained before it stops.

It says that it is not ready, and serves on until balancers have seen that. Then it takes no connection, tells event
streams to connect again and those who wait for a job to ask again, and lets requests under way end.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from api.connections import CONNECTION_LIMITS, ConnectionLimits, connections
from api.services import services_of
from reelay.settings import Settings

DRAIN_POLL_SECONDS = 0.05


class ApiServer(uvicorn.Server):
    def __init__(self, app: FastAPI, config: uvicorn.Config, *, drain: timedelta = timedelta(0)) -> None:
        """`drain`: for how long it still serves after it was told to stop."""
        super().__init__(config)
        self._app = app
        self.drain_seconds = drain.total_seconds()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.is_draining = True
        now = asyncio.get_running_loop().time
        begun = now()
        while not self.force_exit and now() < begun + self.drain_seconds:  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(DRAIN_POLL_SECONDS)
        for server in self.servers:  # before the streams end, whose clients connect again at once
            server.close()
        services_of(self._app).changes.close()
        await super().shutdown(sockets)


def server_config(
    app: ASGIApp, *, trusted_proxies: Sequence[str], limits: ConnectionLimits = CONNECTION_LIMITS, **options: Any
) -> uvicorn.Config:
    """`trusted_proxies`: addresses and networks whose word on the caller's address and scheme is taken. `options` are
    uvicorn's own."""
    return uvicorn.Config(
        app,
        forwarded_allow_ips=list(trusted_proxies),
        http=connections(limits),  # type: ignore[arg-type]  # it is only called
        ws="none",
        **options,
    )


def configured_server(app: FastAPI, settings: Settings, *, host: str, port: int) -> ApiServer:
    config = server_config(
        app,
        host=host,
        port=port,
        trusted_proxies=settings.trusted_proxies,
        limits=ConnectionLimits(idle_seconds=int(settings.keep_alive.total_seconds())),
        timeout_graceful_shutdown=int(settings.grace.total_seconds()),
        log_config=None,
    )
    return ApiServer(app, config, drain=settings.drain)


def serve(app: FastAPI, settings: Settings, *, host: str, port: int) -> None:
    """Until SIGTERM or SIGINT. Requests under way have `GRACE_SECONDS` to end."""
    server = configured_server(app, settings, host=host, port=port)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise SystemExit(1)

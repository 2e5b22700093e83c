"""A contender's own HTTP process, served as Reelay's API is."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lab.bench.job import Place
from lab.devstack.ports import HOST

HEALTH = "/healthz"


class Lifespan(Protocol):
    def __call__(self, app: Starlette, /) -> AbstractAsyncContextManager[None]: ...


async def health(request: Request) -> Response:
    return Response()


def serve(lifespan: Lifespan) -> None:
    """At the origin that the command line names, until SIGTERM. The lifespan adds the routes."""
    port = urlsplit(Place.from_command_line().origin).port
    assert port is not None
    app = Starlette(lifespan=lifespan, routes=[Route(HEALTH, health)])
    uvicorn.run(app, host=HOST, port=port, log_level="warning", timeout_graceful_shutdown=1)

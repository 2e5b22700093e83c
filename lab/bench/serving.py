"""An HTTP process of the bench, served as Reelay's API is."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lab.devstack.ports import HOST

HEALTH = "/healthz"


async def health(request: Request) -> Response:
    return Response()


def serve(opened: AbstractAsyncContextManager[Sequence[BaseRoute]], port: int) -> None:
    """Until SIGTERM, the routes that come of opening what they need."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with opened as routes:
            app.router.routes.extend(routes)
            yield

    app = Starlette(lifespan=lifespan, routes=[Route(HEALTH, health)])
    uvicorn.run(app, host=HOST, port=port, log_level="warning", timeout_graceful_shutdown=1)

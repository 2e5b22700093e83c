"""A front of somebody's own: files at an origin of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.staticfiles import StaticFiles

from tests.servers import listening, loopback_socket


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[str]:
    """The origin at which the folder's files are."""
    config = uvicorn.Config(StaticFiles(directory=folder, html=True), lifespan="off", log_level="error")
    async with listening(uvicorn.Server(config), loopback_socket()) as origin:
        yield origin

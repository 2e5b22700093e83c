"""The HTTP process of the contenders that bring an API of their own: a row per job, and how it is carried."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from lab.bench.job import JobRows, Place, Steps, open_rows, open_steps
from lab.bench.serving import serve


class JobApp(ABC):
    def __init__(self, steps: Steps, rows: JobRows) -> None:
        self.steps = steps
        self.rows = rows

    @abstractmethod
    async def begin(self, job: str) -> None:
        """Its row is there."""

    @abstractmethod
    async def webhook(self, job: str, request: Request) -> BackgroundTask | None:
        """It is verified; what is left to do once it is acknowledged."""

    async def status(self, job: str) -> str:
        return await self.rows.status(job)

    async def ended(self, job: str) -> None:
        """Returns when the job has ended, where this process knows; asked for once."""
        raise NotImplementedError

    @property
    def routes(self) -> list[BaseRoute]:
        return [
            Route("/jobs", self._create, methods=["POST"]),
            Route("/jobs/{job}", self._status),
            Route("/jobs/{job}/end", self._end),
            Route("/webhook", self._webhook, methods=["POST"]),
        ]

    async def _create(self, request: Request) -> Response:
        await request.json()
        job = str(uuid4())
        await self.rows.insert(job)
        await self.begin(job)
        return JSONResponse({"id": job}, status_code=202)

    async def _status(self, request: Request) -> Response:
        return JSONResponse({"status": await self.status(request.path_params["job"])})

    async def _end(self, request: Request) -> Response:
        await self.ended(request.path_params["job"])
        return JSONResponse({})

    async def _webhook(self, request: Request) -> Response:
        job = await self.steps.verify(request)
        return JSONResponse({}, background=await self.webhook(job, request))


OpenApp = Callable[[Place, Steps, JobRows], AbstractAsyncContextManager[JobApp]]


def serve_jobs(table: str, open_app: OpenApp) -> None:
    """At the origin that the command line names, with a table of its own."""
    place = Place.from_command_line()
    port = urlsplit(place.origin).port
    assert port is not None

    @asynccontextmanager
    async def opened() -> AsyncIterator[list[BaseRoute]]:
        async with open_steps(place) as steps, open_rows(place, table) as rows, open_app(place, steps, rows) as app:
            yield app.routes

    serve(opened(), port)

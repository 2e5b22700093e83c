"""What the contenders that are one process have in common: their routes, and a row per job."""

from abc import ABC, abstractmethod
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.bench.job import JobRows, Steps


class OneProcessApp(ABC):
    def __init__(self, steps: Steps, rows: JobRows) -> None:
        self._steps = steps
        self._rows = rows

    @abstractmethod
    async def begin(self, job: str) -> None:
        """Its row is there."""

    @abstractmethod
    async def webhook(self, request: Request) -> Response: ...

    @abstractmethod
    async def ended(self, job: str) -> None:
        """Returns when the job has ended; asked for once."""

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/jobs", self.create, methods=["POST"]),
            Route("/jobs/{job}", self.status),
            Route("/jobs/{job}/end", self.end),
            Route("/webhook", self.webhook, methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        await request.json()
        job = str(uuid4())
        await self._rows.insert(job)
        await self.begin(job)
        return JSONResponse({"id": job}, status_code=202)

    async def status(self, request: Request) -> Response:
        return JSONResponse({"status": await self._rows.status(request.path_params["job"])})

    async def end(self, request: Request) -> Response:
        await self.ended(request.path_params["job"])
        return JSONResponse({})

"""The documents' own shape: FastAPI and SQL, no engine. What is under way when this process dies is lost.

The process behind `python -m bench.contenders.plain_app`.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.contenders.serving import serve
from bench.job import COMPLETED, CREATE_TABLE, INSERT, PROMPT, STATUS, SUBMITTED, Place, Steps, open_steps

TABLE = "plain_jobs"


class PlainApp:
    def __init__(self, steps: Steps, database: asyncpg.Pool) -> None:
        self._steps = steps
        self._database = database
        self._ended: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

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
        await self._database.execute(INSERT.format(table=TABLE), UUID(job), PROMPT)
        request_id = await self._steps.submit(job)
        await self._database.execute(SUBMITTED.format(table=TABLE), UUID(job), request_id)
        return JSONResponse({"id": job}, status_code=202)

    async def status(self, request: Request) -> Response:
        job = UUID(request.path_params["job"])
        return JSONResponse({"status": await self._database.fetchval(STATUS.format(table=TABLE), job)})

    async def end(self, request: Request) -> Response:
        job = request.path_params["job"]
        await self._ended[job].wait()
        del self._ended[job]
        return JSONResponse({})

    async def webhook(self, request: Request) -> Response:
        job = await self._steps.verify(request)
        request_id = (await request.json())["request_id"]
        return JSONResponse({}, background=BackgroundTask(self._finish, job, request_id))

    async def _finish(self, job: str, request_id: str) -> None:
        kept = await self._steps.keep(job, await self._steps.fetch(request_id))
        await self._database.execute(
            COMPLETED.format(table=TABLE),
            UUID(job),
            kept.path,
            kept.sha256,
            kept.width,
            kept.height,
            kept.seconds,
            kept.poster,
        )
        self._ended[job].set()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    place = Place.from_command_line()
    async with open_steps(place) as steps, asyncpg.create_pool(place.database, min_size=1, max_size=10) as database:
        await database.execute(CREATE_TABLE.format(table=TABLE))
        app.router.routes.extend(PlainApp(steps, database).routes)
        yield


if __name__ == "__main__":
    serve(lifespan)

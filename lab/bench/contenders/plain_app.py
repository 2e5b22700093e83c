"""The documents' own shape: FastAPI and SQL, no engine. What is under way when this process dies is lost.

The process behind `python -m lab.bench.contenders.plain_app`.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lab.bench.contenders.one_process_app import OneProcessApp
from lab.bench.contenders.serving import serve
from lab.bench.job import JobRows, Place, Steps, open_rows, open_steps

TABLE = "plain_jobs"


class PlainApp(OneProcessApp):
    def __init__(self, steps: Steps, rows: JobRows) -> None:
        super().__init__(steps, rows)
        self._ended: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def begin(self, job: str) -> None:
        await self._rows.submitted(job, await self._steps.submit(job))

    async def webhook(self, request: Request) -> Response:
        job = await self._steps.verify(request)
        request_id = (await request.json())["request_id"]
        return JSONResponse({}, background=BackgroundTask(self._finish, job, request_id))

    async def ended(self, job: str) -> None:
        await self._ended[job].wait()
        del self._ended[job]

    async def _finish(self, job: str, request_id: str) -> None:
        await self._rows.completed(job, await self._steps.keep(job, await self._steps.fetch(request_id)))
        self._ended[job].set()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    place = Place.from_command_line()
    async with open_steps(place) as steps, open_rows(place, TABLE) as rows:
        app.router.routes.extend(PlainApp(steps, rows).routes)
        yield


if __name__ == "__main__":
    serve(lifespan)

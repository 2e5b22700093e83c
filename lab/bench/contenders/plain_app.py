"""The documents' own shape: FastAPI and SQL, no engine. What is under way when this process dies is lost.

The process behind `python -m lab.bench.contenders.plain_app`.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.background import BackgroundTask
from starlette.requests import Request

from lab.bench.contenders.job_app import JobApp, serve_jobs
from lab.bench.job import JobRows, Place, Steps


class PlainApp(JobApp):
    def __init__(self, steps: Steps, rows: JobRows) -> None:
        super().__init__(steps, rows)
        self._ended: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def begin(self, job: str) -> None:
        await self.rows.submitted(job, await self.steps.submit(job))

    async def webhook(self, job: str, request: Request) -> BackgroundTask:
        return BackgroundTask(self._finish, job, (await request.json())["request_id"])

    async def ended(self, job: str) -> None:
        await self._ended[job].wait()
        del self._ended[job]

    async def _finish(self, job: str, request_id: str) -> None:
        await self.rows.completed(job, await self.steps.keep(job, await self.steps.fetch(request_id)))
        self._ended[job].set()


@asynccontextmanager
async def open_plain(place: Place, steps: Steps, rows: JobRows) -> AsyncIterator[PlainApp]:
    yield PlainApp(steps, rows)


if __name__ == "__main__":
    serve_jobs("plain_jobs", open_plain)

"""The same job as a durable DBOS workflow, written by its documentation: one process, its state in Postgres.

The process behind `python -m lab.bench.contenders.dbos_app`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from dbos import DBOS, SetWorkflowID, WorkflowHandleAsync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lab.bench.contenders.one_process_app import OneProcessApp
from lab.bench.contenders.serving import serve
from lab.bench.job import JobRows, Kept, Place, Steps, open_rows, open_steps

TABLE = "dbos_jobs"
TOPIC = "webhook"


class DbosApp(OneProcessApp):
    """DBOS registers functions, not methods: the steps are closures over what they need."""

    def __init__(self, steps: Steps, rows: JobRows) -> None:
        super().__init__(steps, rows)
        self._runs: dict[str, WorkflowHandleAsync[None]] = {}

        @DBOS.step(retries_allowed=True)
        async def submit(job: str) -> str:
            request_id = await steps.submit(job)
            await rows.submitted(job, request_id)
            return request_id

        @DBOS.step(retries_allowed=True)
        async def fetch(request_id: str) -> str:
            return await steps.fetch(request_id)

        @DBOS.step(retries_allowed=True)
        async def archive(job: str, url: str) -> dict[str, Any]:
            return asdict(await steps.keep(job, url))

        @DBOS.step(retries_allowed=True)
        async def update(job: str, kept: dict[str, Any]) -> None:
            await rows.completed(job, Kept(**kept))

        @DBOS.workflow()
        async def generation(job: str) -> None:
            request_id = await submit(job)
            await DBOS.recv_async(TOPIC, timeout_seconds=240)
            kept = await archive(job, await fetch(request_id))
            await update(job, kept)

        self._generation = generation

    async def begin(self, job: str) -> None:
        with SetWorkflowID(job):
            self._runs[job] = await DBOS.start_workflow_async(self._generation, job)

    async def webhook(self, request: Request) -> Response:
        job = await self._steps.verify(request)
        await DBOS.send_async(job, "OK", TOPIC)
        return JSONResponse({})

    async def ended(self, job: str) -> None:
        """In its own process DBOS knows of the end at once; from another it would poll."""
        await self._runs.pop(job).get_result()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    place = Place.from_command_line()
    async with open_steps(place) as steps, open_rows(place, TABLE) as rows:
        DBOS(
            config={
                "name": "bench",
                "system_database_url": place.database.replace("postgresql://", "postgresql+psycopg://"),
                "log_level": "WARNING",
            }
        )
        app.router.routes.extend(DbosApp(steps, rows).routes)
        DBOS.launch()
        try:
            yield
        finally:
            DBOS.destroy(workflow_completion_timeout_sec=1)


if __name__ == "__main__":
    serve(lifespan)

"""The same job as a durable DBOS workflow, written by its documentation: one process, its state in Postgres.

The process behind `python -m bench.contenders.dbos_app`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from dbos import DBOS, SetWorkflowID, WorkflowHandleAsync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.contenders.serving import serve
from bench.job import COMPLETED, CREATE_TABLE, INSERT, PROMPT, STATUS, SUBMITTED, Place, Steps, open_steps

TABLE = "dbos_jobs"
TOPIC = "webhook"


class DbosApp:
    """DBOS registers functions, not methods: the steps are closures over what they need."""

    def __init__(self, steps: Steps, database: asyncpg.Pool) -> None:
        self._steps = steps
        self._database = database
        self._runs: dict[str, WorkflowHandleAsync[None]] = {}

        @DBOS.step(retries_allowed=True)
        async def submit(job: str) -> str:
            request_id = await steps.submit(job)
            await database.execute(SUBMITTED.format(table=TABLE), UUID(job), request_id)
            return request_id

        @DBOS.step(retries_allowed=True)
        async def fetch(request_id: str) -> str:
            return await steps.fetch(request_id)

        @DBOS.step(retries_allowed=True)
        async def archive(job: str, url: str) -> dict[str, Any]:
            return asdict(await steps.keep(job, url))

        @DBOS.step(retries_allowed=True)
        async def update(job: str, kept: dict[str, Any]) -> None:
            await database.execute(COMPLETED.format(table=TABLE), UUID(job), *kept.values())

        @DBOS.workflow()
        async def generation(job: str) -> None:
            request_id = await submit(job)
            await DBOS.recv_async(TOPIC, timeout_seconds=240)
            kept = await archive(job, await fetch(request_id))
            await update(job, kept)

        self._generation = generation

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
        with SetWorkflowID(job):
            self._runs[job] = await DBOS.start_workflow_async(self._generation, job)
        return JSONResponse({"id": job}, status_code=202)

    async def status(self, request: Request) -> Response:
        job = UUID(request.path_params["job"])
        return JSONResponse({"status": await self._database.fetchval(STATUS.format(table=TABLE), job)})

    async def end(self, request: Request) -> Response:
        """In its own process DBOS knows of the end at once; from another it would poll."""
        await self._runs.pop(request.path_params["job"]).get_result()
        return JSONResponse({})

    async def webhook(self, request: Request) -> Response:
        job = await self._steps.verify(request)
        await DBOS.send_async(job, "OK", TOPIC)
        return JSONResponse({})


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    place = Place.from_command_line()
    async with open_steps(place) as steps, asyncpg.create_pool(place.database, min_size=1, max_size=10) as database:
        await database.execute(CREATE_TABLE.format(table=TABLE))
        DBOS(
            config={
                "name": "bench",
                "system_database_url": place.database.replace("postgresql://", "postgresql+psycopg://"),
                "log_level": "WARNING",
            }
        )
        app.router.routes.extend(DbosApp(steps, database).routes)
        DBOS.launch()
        try:
            yield
        finally:
            DBOS.destroy(workflow_completion_timeout_sec=1)


if __name__ == "__main__":
    serve(lifespan)

"""The same job as a durable DBOS workflow, written by its documentation: one process, its state in Postgres.

The process behind `python -m lab.bench.contenders.dbos_app`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from dbos import DBOS, SetWorkflowID, WorkflowHandleAsync
from starlette.requests import Request

from lab.bench.contenders.job_app import JobApp, serve_jobs
from lab.bench.job import WEBHOOK_WITHIN, JobRows, Kept, Place, Steps

TOPIC = "webhook"


class DbosApp(JobApp):
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
            await DBOS.recv_async(TOPIC, timeout_seconds=WEBHOOK_WITHIN.total_seconds())
            kept = await archive(job, await fetch(request_id))
            await update(job, kept)

        self._generation = generation

    async def begin(self, job: str) -> None:
        with SetWorkflowID(job):
            self._runs[job] = await DBOS.start_workflow_async(self._generation, job)

    async def webhook(self, job: str, request: Request) -> None:
        await DBOS.send_async(job, "OK", TOPIC)

    async def ended(self, job: str) -> None:
        """In its own process DBOS knows of the end at once; from another it would poll."""
        await self._runs.pop(job).get_result()


@asynccontextmanager
async def open_dbos(place: Place, steps: Steps, rows: JobRows) -> AsyncIterator[DbosApp]:
    database = place.database.replace("postgresql://", "postgresql+psycopg://")
    DBOS(config={"name": "bench", "system_database_url": database, "log_level": "WARNING"})
    app = DbosApp(steps, rows)
    DBOS.launch()
    try:
        yield app
    finally:
        DBOS.destroy(workflow_completion_timeout_sec=1)


if __name__ == "__main__":
    serve_jobs("dbos_jobs", open_dbos)

"""The floor's API: a row, then a start; a webhook, then a signal. `python -m lab.bench.contenders.floor_app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import Request
from temporalio.client import Client, WorkflowHandle

from lab.bench.contenders.floor_workflow import TABLE, TASK_QUEUE, FloorWorkflow
from lab.bench.contenders.job_app import JobApp, serve_jobs
from lab.bench.contenders.temporal_worker import connect
from lab.bench.job import JobRows, Place, Steps


class FloorApp(JobApp):
    def __init__(self, steps: Steps, rows: JobRows, temporal: Client) -> None:
        super().__init__(steps, rows)
        self._temporal = temporal

    async def begin(self, job: str) -> None:
        await self._temporal.start_workflow(FloorWorkflow.run, job, id=job, task_queue=TASK_QUEUE)

    async def status(self, job: str) -> str:
        return str(await self._run(job).query(FloorWorkflow.is_signaled))

    async def webhook(self, job: str, request: Request) -> None:
        await self._run(job).signal(FloorWorkflow.webhook)

    def _run(self, job: str) -> WorkflowHandle[Any, Any]:
        return self._temporal.get_workflow_handle(job)


@asynccontextmanager
async def open_floor(place: Place, steps: Steps, rows: JobRows) -> AsyncIterator[FloorApp]:
    yield FloorApp(steps, rows, await connect())


if __name__ == "__main__":
    serve_jobs(TABLE, open_floor)

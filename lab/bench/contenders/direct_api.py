"""The floor's API: a row, then a start; a webhook, then a signal. `python -m lab.bench.contenders.direct_api`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig

from lab.bench.contenders.direct_workflow import TABLE, TASK_QUEUE, DirectWorkflow
from lab.bench.contenders.serving import serve
from lab.bench.job import JobRows, Place, Steps, open_rows, open_steps


class DirectApi:
    def __init__(self, steps: Steps, rows: JobRows, temporal: Client) -> None:
        self._steps = steps
        self._rows = rows
        self._temporal = temporal

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/jobs", self.create, methods=["POST"]),
            Route("/jobs/{job}", self.status),
            Route("/webhook", self.webhook, methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        await request.json()
        job = str(uuid4())
        await self._rows.insert(job)
        await self._temporal.start_workflow(DirectWorkflow.run, job, id=run_of(job), task_queue=TASK_QUEUE)
        return JSONResponse({"id": job}, status_code=202)

    async def status(self, request: Request) -> Response:
        run = self._temporal.get_workflow_handle(run_of(request.path_params["job"]))
        return JSONResponse({"signaled": await run.query(DirectWorkflow.is_signaled)})

    async def webhook(self, request: Request) -> Response:
        job = await self._steps.verify(request)
        await self._temporal.get_workflow_handle(run_of(job)).signal(DirectWorkflow.webhook)
        return JSONResponse({})


def run_of(job: str) -> str:
    return f"direct-{job}"


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    place = Place.from_command_line()
    config = ClientConfig.load_client_connect_config()
    temporal = await Client.connect(**config, data_converter=pydantic_data_converter)
    async with open_steps(place) as steps, open_rows(place, TABLE) as rows:
        app.router.routes.extend(DirectApi(steps, rows, temporal).routes)
        yield


if __name__ == "__main__":
    serve(lifespan)

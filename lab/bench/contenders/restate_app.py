"""The same job as a durable Restate workflow, written by its documentation: one process beside Restate's server.

The process behind `python -m lab.bench.contenders.restate_app`. `RESTATE_INGRESS` says where the server is called.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import httpx
import restate
from restate import RunOptions, Workflow, WorkflowContext, WorkflowSharedContext
from starlette.requests import Request
from starlette.routing import BaseRoute, Mount

from lab.bench.contenders.job_app import JobApp, serve_jobs
from lab.bench.contenders.restate_server import SERVED_AT
from lab.bench.http_clients import open_client
from lab.bench.job import WEBHOOK_WITHIN, JobRows, Kept, Place, Steps

PROMISE = "webhook"


class RestateApp(JobApp):
    """Restate registers functions, not methods: the steps are closures over what they need."""

    def __init__(self, steps: Steps, rows: JobRows, ingress: httpx.AsyncClient) -> None:
        super().__init__(steps, rows)
        self._ingress = ingress
        generation = Workflow("generation")

        async def submit(job: str) -> str:
            request_id = await steps.submit(job)
            await rows.submitted(job, request_id)
            return request_id

        async def archive(job: str, url: str) -> dict[str, Any]:
            return asdict(await steps.keep(job, url))

        async def update(job: str, kept: dict[str, Any]) -> None:
            await rows.completed(job, Kept(**kept))

        @generation.main()
        async def run(context: WorkflowContext) -> None:
            job = context.key()
            request_id = await context.run_typed("submit", submit, RunOptions(), job)
            await restate.select(
                webhook=context.promise(PROMISE, type_hint=str).value(), timeout=context.sleep(WEBHOOK_WITHIN)
            )
            url = await context.run_typed("fetch", steps.fetch, RunOptions(), request_id)
            kept = await context.run_typed("archive", archive, RunOptions(), job, url)
            await context.run_typed("update", update, RunOptions(), job, kept)

        @generation.handler()
        async def webhook(context: WorkflowSharedContext) -> None:
            await context.promise(PROMISE, type_hint=str).resolve("OK")

        self._service = restate.app([generation])

    @property
    def routes(self) -> list[BaseRoute]:
        return [*super().routes, Mount(SERVED_AT, self._service)]

    async def begin(self, job: str) -> None:
        await self._call(f"/generation/{job}/run/send")

    async def webhook(self, job: str, request: Request) -> None:
        await self._call(f"/generation/{job}/webhook/send")

    async def _call(self, path: str) -> None:
        (await self._ingress.post(path)).raise_for_status()


@asynccontextmanager
async def open_restate(place: Place, steps: Steps, rows: JobRows) -> AsyncIterator[RestateApp]:
    async with open_client(os.environ["RESTATE_INGRESS"]) as ingress:
        yield RestateApp(steps, rows, ingress)


if __name__ == "__main__":
    serve_jobs("restate_jobs", open_restate)

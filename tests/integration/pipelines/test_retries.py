"""A pipeline is retried before Temporal has heard of its end: it goes on, and ends no more by what ended it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.pipelines import PipelineActivities
from tests.eventually import eventually
from tests.integration.pipelines.shared import (
    FRAME,
    VIDEO,
    Plan,
    act_on,
    create,
    credits_of,
    posts,
    read,
    statuses,
    until,
    until_step,
)
from tests.integration.service.killed_worker import environment_of, kill
from tests.lock_waits import waits_for_a_lock
from tests.reelay_process import ReelayProcess, start_reelay
from tests.running import Service, running_service
from tests.servers import Servers
from tests.tcp_lines import open_line
from workflows.ids import pipeline_workflow_id
from workflows.runs import GenerationRuns

STEPS: dict[str, Plan] = {"frame": FRAME, "video": VIDEO}


@dataclass(frozen=True)
class End:
    act: str
    body: dict[str, str]
    status: str
    activity: str

    async def attempt(self, service: Service, pipeline_id: UUID, run_id: str) -> None:
        """The activity once more, for that run."""
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, workflow_run_id=run_id, attempt=2)
        runs = GenerationRuns(service.temporal, service.settings.task_queue, None)
        await environment.run(getattr(PipelineActivities(service.sessions, runs), self.activity), pipeline_id)


REJECTED = End("reject", {"step": "frame"}, "failed", "end_pipeline")
CANCELED = End("cancel", {}, "canceled", "cancel_pipeline")


@pytest.fixture
async def unworked(servers: Servers) -> AsyncIterator[Service]:
    """Without a worker."""
    async with running_service(servers, worker=False) as service:
        yield service


@asynccontextmanager
async def worker_by(service: Service, temporal: str) -> AsyncIterator[ReelayProcess]:
    """A worker that reaches Temporal at that address, killed at the end of the block."""
    address = {"TEMPORAL_ADDRESS": temporal}
    process = await start_reelay("worker", environment={**os.environ, **environment_of(service.settings), **address})
    try:
        yield process
    finally:
        await kill(process)


async def ended_unheard(service: Service, end: End) -> str:
    """The id of a pipeline that has ended, and whose run is open: its worker was killed before it could tell."""
    row = text("select from pipelines where id = :id for no key update")
    async with open_line(service.servers.temporal.port) as line, worker_by(service, line.address) as worker:
        pipeline_id = await create(service, STEPS, approvals=["frame"], reuse=False)
        await until_step(service, pipeline_id, "frame", "waiting_for_approval")
        async with service.sessions() as session:
            await session.execute(row, {"id": UUID(pipeline_id)})
            await act_on(service, pipeline_id, end.act, **end.body)
            await eventually(partial(waits_for_a_lock, service.sessions))
            with line.cut():
                await session.rollback()
                await until(service, pipeline_id, end.status)
                await kill(worker)
    return pipeline_id


async def open_run(service: Service, pipeline_id: str) -> str:
    described = await service.temporal.get_workflow_handle(pipeline_workflow_id(UUID(pipeline_id))).describe()
    assert described.status is not None
    assert described.status.name == "RUNNING"
    return str(described.run_id)


@pytest.mark.fault("F6")
@pytest.mark.parametrize("end", [REJECTED, CANCELED])
async def test_a_retried_pipeline_is_not_ended_again_and_goes_on(unworked: Service, end: End) -> None:
    pipeline_id = await ended_unheard(unworked, end)
    run_id = await open_run(unworked, pipeline_id)
    await end.attempt(unworked, UUID(pipeline_id), run_id)
    assert (await read(unworked, pipeline_id))["status"] == end.status
    await act_on(unworked, pipeline_id, "retry")
    await end.attempt(unworked, UUID(pipeline_id), run_id)
    await REJECTED.attempt(unworked, UUID(pipeline_id), "of another run")  # its steps have not ended
    retried = await read(unworked, pipeline_id)
    assert (retried["status"], set(statuses(retried).values())) == ("running", {"waiting"})

    async with unworked.worker():
        await until_step(unworked, pipeline_id, "frame", "waiting_for_approval")
        await act_on(unworked, pipeline_id, "approve", step="frame")
        assert await posts(unworked, await until(unworked, pipeline_id, "completed")) == 2
    assert (await credits_of(unworked))["heldCents"] == 0


@pytest.mark.fault("F6")
@pytest.mark.parametrize("end", [REJECTED, CANCELED])
async def test_a_retried_pipeline_hears_of_its_cancellation(unworked: Service, end: End) -> None:
    pipeline_id = await ended_unheard(unworked, end)
    await act_on(unworked, pipeline_id, "retry")
    await act_on(unworked, pipeline_id, "cancel")

    async with unworked.worker():
        assert await posts(unworked, await until(unworked, pipeline_id, "canceled")) == 0
        assert (await credits_of(unworked))["heldCents"] == 0
        again = await act_on(unworked, pipeline_id, "retry")
        assert again["status"] == "running"
        await until_step(unworked, pipeline_id, "frame", "waiting_for_approval")
        await act_on(unworked, pipeline_id, "approve", step="frame")
        await until(unworked, pipeline_id, "completed")

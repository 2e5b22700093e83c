"""Whatever dies while a pipeline runs, each step is bought once and there is one film."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import text

from reelay.domain.pipeline import Decision, PipelineStatus
from tests.eventually import eventually
from tests.integration.pipelines.shared import (
    FRAME,
    VIDEO,
    WIND,
    Plan,
    create,
    credits_of,
    posts,
    read,
    statuses,
    until,
    until_step,
    with_input,
)
from tests.integration.service.killed_worker import accepted, kill, worker_process
from tests.running import PATIENT, Service, running_service
from tests.servers import Servers
from tests.tcp_lines import Lines, open_line
from workflows.ids import pipeline_workflow_id
from workflows.pipeline import PipelineWorkflow

STEPS: dict[str, Plan] = {
    "frame": with_input(FRAME, prompt="a harbour [sim: latency=2s]"),
    "video": with_input(VIDEO, prompt="boats [sim: latency=2s]"),
    "wind": WIND,
    "film": {"kind": "mix", "video": "step:video", "tracks": [{"source": "step:wind"}]},
}
# To be killed in the middle: ten seconds more of pictures are encoded.
LONG_FILM: Plan = {"tracks": [{"source": "step:wind", "startSeconds": 10}], "ending": "hold"}
BOUGHT = {("frame", "running"), ("video", "running")}


@pytest.fixture
async def unworked(servers: Servers) -> AsyncIterator[Service]:
    """Without a worker."""
    async with running_service(servers, worker=False) as service:
        yield service


async def approve(service: Service, pipeline_id: str, step: str) -> None:
    answer = await service.client.post(f"/api/pipelines/{pipeline_id}/approve", json={"step": step})
    assert answer.status_code == 202, answer.text


async def ends_well_with_one_film(service: Service, pipeline_id: str) -> None:
    pipeline = await until(service, pipeline_id, "completed")
    assert set(statuses(pipeline).values()) == {"completed"}
    assert await posts(service, pipeline) == 3
    films = text("select count(*) from video_files join generation_jobs as job on job.id = job_id"
                 " where pipeline_id = :pipeline and name = 'film.mp4'")  # fmt: skip
    async with service.sessions() as session:
        assert await session.scalar(films, {"pipeline": UUID(pipeline_id)}) == 1
    assert (await credits_of(service))["heldCents"] == 0


async def fresh_pipeline_succeeds(service: Service) -> None:
    fresh = {"frame": with_input(FRAME, prompt="something else")}
    await until(service, await create(service, fresh, reuse=False), "completed")


@pytest.mark.fault("F1")
@pytest.mark.parametrize(
    ("step", "state"),
    [
        ("frame", "running"),
        ("frame", "waiting_for_approval"),
        ("video", "running"),
        ("film", "running"),
        (None, ""),  # the control: nobody is killed
    ],
)
async def test_a_worker_that_is_killed_costs_no_step_twice(unworked: Service, step: str | None, state: str) -> None:
    async with worker_process(unworked.settings) as first:
        film = STEPS["film"] | (LONG_FILM if step == "film" else {})
        pipeline_id = await create(unworked, STEPS | {"film": film}, approvals=["frame"])
        if step != "frame":
            await until_step(unworked, pipeline_id, "frame", "waiting_for_approval")
            await approve(unworked, pipeline_id, "frame")
        if step:
            pipeline = await until_step(unworked, pipeline_id, step, state)
            if (step, state) in BOUGHT:  # before, nobody knows whether it was
                await accepted(unworked, pipeline["steps"][step]["jobId"])
            await kill(first)
        else:
            await until(unworked, pipeline_id, "completed")
    async with unworked.worker():
        if step == "frame":
            await until_step(unworked, pipeline_id, "frame", "waiting_for_approval")
            await approve(unworked, pipeline_id, "frame")
        await ends_well_with_one_film(unworked, pipeline_id)
        await fresh_pipeline_succeeds(unworked)


@pytest.mark.fault("F2")
async def test_a_run_that_is_lost_goes_on_from_the_rows(unworked: Service) -> None:
    async with unworked.worker():
        pipeline_id = await create(unworked, STEPS, approvals=["frame"])
        await until_step(unworked, pipeline_id, "frame", "waiting_for_approval")
        await until_step(unworked, pipeline_id, "wind", "completed")
        await unworked.temporal.get_workflow_handle(pipeline_workflow_id(UUID(pipeline_id))).terminate()
        async with unworked.sessions.begin() as session:  # nobody waits for the next look
            await session.execute(text("update pipelines set check_at = now()"))

        async def runs_again() -> bool:
            handle = unworked.temporal.get_workflow_handle(pipeline_workflow_id(UUID(pipeline_id)))
            status = (await handle.describe()).status
            return status is not None and status.name == "RUNNING"

        await eventually(runs_again)
        await approve(unworked, pipeline_id, "frame")
        await ends_well_with_one_film(unworked, pipeline_id)


@pytest.mark.fault("F3")
async def test_a_pipeline_that_temporal_did_not_take_is_started_when_it_is_back(servers: Servers) -> None:
    """What is written down is all that an API which is killed leaves behind, too."""
    async with (
        open_line(servers.temporal.port) as temporal,
        open_line(servers.postgres.server.port) as postgres,
        running_service(servers, lines=Lines(temporal, postgres), timeouts=replace(PATIENT, command=2)) as service,
    ):
        with temporal.cut():
            pipeline_id = await create(service, {"frame": FRAME})
            assert statuses(await read(service, pipeline_id)) == {"frame": "waiting"}
        async with service.sessions.begin() as session:  # nobody waits for the next look
            await session.execute(text("update pipelines set check_at = now()"))
        assert await posts(service, await until(service, pipeline_id, "completed")) == 1


async def test_with_its_user_a_pipeline_goes_and_its_run_ends(unworked: Service) -> None:
    async with unworked.worker():
        pipeline_id = await create(unworked, STEPS, approvals=["frame"])
        await until_step(unworked, pipeline_id, "frame", "waiting_for_approval")
        async with unworked.sessions.begin() as session:
            await session.execute(text("delete from pipelines"))
        handle = unworked.temporal.get_workflow_handle(pipeline_workflow_id(UUID(pipeline_id)))
        decision = Decision(step="frame", is_approved=True)
        await handle.signal(PipelineWorkflow.decide, decision)
        assert await handle.result() == PipelineStatus.CANCELED

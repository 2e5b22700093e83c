"""What runs of a pipeline that is canceled is stopped, whoever started it, and bought no more."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from tests.eventually import eventually
from tests.integration.pipelines.shared import (
    FRAME,
    Plan,
    act_on,
    create,
    credits_of,
    posts,
    statuses,
    until,
    until_step,
    with_input,
)
from tests.running import Service, running_service
from tests.servers import Servers
from tests.unit.media.samples import make_video
from workflows.ids import pipeline_workflow_id

VIDEO_FILE = "an uploaded video"
STEPS: dict[str, Plan] = {"generation": FRAME, "mix": {"kind": "mix", "video": VIDEO_FILE}}


@pytest.fixture
async def unworked(servers: Servers) -> AsyncIterator[Service]:
    """Without a worker."""
    async with running_service(servers, worker=False) as service:
        yield service


async def has_scheduled(service: Service, pipeline_id: str, activity_id: str) -> None:
    """Returns once the newest run has scheduled that activity."""
    handle = service.temporal.get_workflow_handle(pipeline_workflow_id(UUID(pipeline_id)))

    async def is_scheduled() -> bool:
        events = (await handle.fetch_history()).events
        return any(event.activity_task_scheduled_event_attributes.activity_id == activity_id for event in events)

    await eventually(is_scheduled)


@pytest.mark.fault("F7")
@pytest.mark.parametrize("kind", ["generation", "mix"])
async def test_a_step_that_begins_while_its_pipeline_is_canceled_is_not_made(
    unworked: Service, kind: str, tmp_path: Path
) -> None:
    service, step = unworked, STEPS[kind]
    if kind == "mix":
        content = make_video(tmp_path / "plain.mp4").read_bytes()
        step = step | {"video": (await service.client.post("/api/uploads", files={"file": content})).json()["uri"]}
    pipeline_id = await create(service, {"step": step})
    async with service.sessions() as session:
        row = text("select from pipeline_steps where pipeline_id = :id for no key update")
        await session.execute(row, {"id": UUID(pipeline_id)})
        async with service.worker():
            await has_scheduled(service, pipeline_id, "begin-step")
            await act_on(service, pipeline_id, "cancel")
            await has_scheduled(service, pipeline_id, "cancel")
            await session.rollback()

            canceled = await until(service, pipeline_id, "canceled")
            await service.until(canceled["steps"]["step"]["jobId"], "canceled")
            assert statuses(canceled) == {"step": "failed"}
            assert await posts(service, canceled) == 0
            assert (await credits_of(service))["heldCents"] == 0
            await act_on(service, pipeline_id, "retry")
            await until(service, pipeline_id, "completed")


@pytest.mark.fault("F7")
async def test_a_job_that_another_run_has_started_is_withdrawn(unworked: Service) -> None:
    service = unworked
    async with service.worker():
        pipeline_id = await create(service, {"frame": with_input(FRAME, prompt="slow [sim: latency=10m]")})
        job_id = (await until_step(service, pipeline_id, "frame", "running"))["steps"]["frame"]["jobId"]
        await service.until_accepted(job_id)
        await service.temporal.get_workflow_handle(pipeline_workflow_id(UUID(pipeline_id))).terminate()
        async with service.sessions.begin() as session:  # nobody waits for the next look
            await session.execute(text("update pipelines set check_at = now()"))
        await has_scheduled(service, pipeline_id, "wait-frame")

        await act_on(service, pipeline_id, "cancel")
        canceled = await until(service, pipeline_id, "canceled")
        assert (statuses(canceled), (await service.job(job_id))["status"]) == ({"frame": "failed"}, "canceled")
        assert (await service.simulated(job_id))["cancel_calls"] == 1
        assert (await credits_of(service))["heldCents"] == 0
        await until(service, await create(service, {"frame": FRAME}), "completed")

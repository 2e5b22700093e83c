"""Transfers wait on a task queue of their own: nothing else waits for them."""

from collections.abc import AsyncIterator

import pytest
from temporalio.api.enums.v1 import PendingActivityState

from tests.eventually import eventually
from tests.integration.service.killed_worker import worker_process
from tests.lab.devstack.commands import reelay
from tests.running import Service, running_service
from tests.servers import Servers
from workflows.task_queues import TaskQueue


@pytest.fixture
async def service(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, worker=False, webhook_patience=60) as running:
        yield running


async def until_queued(service: Service, job_id: str) -> None:
    """Its transfer waits at the server: no worker's slot is taken by it."""
    await service.until(job_id, "archiving")

    async def is_queued() -> bool:
        description = (await service.run(job_id).describe()).raw_description
        states = {each.activity_type.name: each.state for each in description.pending_activities}
        return states == {"archive": PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED}

    await eventually(is_queued)


async def until_counted(service: Service, job_id: str, what: str) -> None:
    """The provider was asked for it."""

    async def is_counted() -> bool:
        return bool((await service.simulated(job_id)).get(what))

    await eventually(is_counted)


@pytest.mark.fault("O19")
async def test_while_transfers_have_no_slot_left_others_are_submitted_polled_and_finished(service: Service) -> None:
    async with service.worker(transfers_at_once=1):
        slow = await service.create("a long way home [sim: media=slow:8m]")
        await until_counted(service, slow, "downloads")
        in_line = [await service.create(f"in line {number}") for number in range(3)]
        for job_id in in_line:
            await until_queued(service, job_id)

        polled = await service.create("polled [sim: latency=10m, webhook=lost]")
        await service.until_accepted(polled)
        await service.client.post(f"/api/jobs/{polled}/poll")
        await until_counted(service, polled, "status_calls")

        canceled, *others = in_line
        for job_id in (canceled, polled):
            assert (await service.client.post(f"/api/jobs/{job_id}/cancel")).status_code == 202
            await service.until(job_id, "canceled")
        assert (await service.job(slow))["status"] == "in_progress"
        assert (await service.client.post(f"/api/jobs/{slow}/cancel")).status_code == 202
        for job_id in others:
            await service.until(job_id, "completed")
        downloads = {job_id: (await service.simulated(job_id)).get("downloads", 0) for job_id in in_line}
        assert downloads == {canceled: 0, **dict.fromkeys(others, 1)}


@pytest.mark.fault("O19")
async def test_a_job_whose_transfers_have_no_worker_waits_for_one(service: Service) -> None:
    async with service.worker([TaskQueue.GENERATIONS]):
        job_id = await service.create()
        await until_queued(service, job_id)
        async with worker_process(service.settings, "--queues", "transfers"):
            await service.until(job_id, "completed")
    assert (await service.simulated(job_id))["accepted"] == 1


async def test_a_queue_that_there_is_not_is_refused() -> None:
    code, output = await reelay("worker", "--queues", "generations,uploads")

    assert (code, "'uploads' is not a task queue: choose from" in output) == (2, True)

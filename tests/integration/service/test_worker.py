"""Deploys: an old and a new worker at once, by Temporal's Worker Versioning; and a worker that remembers no run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import pytest
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.service import RPCError, RPCStatusCode

from tests.running import PATIENCE_WITH_TESTS, Service, running_service
from tests.servers import Servers
from workflows.starting import connect

IN_A_WHILE = "[sim: latency=8s]"


@asynccontextmanager
async def build(service: Service, name: str) -> AsyncIterator[None]:
    """A worker of that build."""
    settings = service.settings.model_copy(update={"worker_build_id": name})
    async with replace(service, settings=settings).worker():
        yield


async def make_current(service: Service, build_id: str) -> None:
    """As `temporal worker deployment set-current-version` does, once the build's worker is known."""
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=service.temporal.namespace,
        deployment_name=service.settings.worker_deployment or "",
        build_id=build_id,
        identity="test",
    )
    async with asyncio.timeout(PATIENCE_WITH_TESTS):
        while True:
            try:
                await service.temporal.workflow_service.set_worker_deployment_current_version(request)
                return
            except RPCError as error:
                if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
                    raise
            await asyncio.sleep(0.1)


async def build_of(service: Service, job_id: str) -> str:
    """That did the run's last step."""
    description = await service.run(job_id).describe()
    return description.raw_description.workflow_execution_info.versioning_info.deployment_version.build_id


async def completes(service: Service, job_id: str) -> None:
    await service.until(job_id, "completed")
    assert await service.closed_as(job_id) == "COMPLETED"
    assert (await service.simulated(job_id))["accepted"] == 1


@pytest.mark.fault("O9", "O8")
async def test_new_build_takes_over_the_runs_of_the_old_one(servers: Servers) -> None:
    deployment = f"reelay-{uuid4()}"
    async with AsyncExitStack() as new, AsyncExitStack() as old:
        service = await new.enter_async_context(
            running_service(
                servers, worker=False, worker_deployment=deployment, worker_build_id="unused", webhook_patience=60
            )
        )
        await old.enter_async_context(build(service, "old"))
        await make_current(service, "old")
        ended = await service.create("control")
        await completes(service, ended)
        under_way = await service.create(IN_A_WHILE)
        await service.until_accepted(under_way)
        await new.enter_async_context(build(service, "new"))
        await make_current(service, "new")
        await old.aclose()

        await completes(service, under_way)
        fresh = await service.create("after the old one has gone")
        await completes(service, fresh)
        builds = [await build_of(service, job_id) for job_id in (ended, under_way, fresh)]
        assert builds == ["old", "new", "new"]


@pytest.mark.fault("O9")
async def test_worker_that_remembers_no_run_loses_nothing(servers: Servers) -> None:
    """Every step replays the whole history, at whichever of two workers takes it.

    All tests run like this, with one worker, with REELAY_MAX_CACHED_WORKFLOWS=0.
    """
    async with (
        running_service(servers, max_cached_workflows=0, webhook_patience=1) as service,
        replace(service, temporal=await connect()).worker(),
    ):
        jobs = [
            await service.create(f"{words}, remembered by none")
            for words in (
                "told",
                "asked for [sim: webhook=lost]",
                "adopted [sim: submit=drop]",
                "empty at first [sim: webhook=no-media:1s]",
                "too early [sim: submit=slow:1s, webhook=early]",
            )
        ]
        canceled = await service.create("[sim: latency=60s]")
        await service.until_accepted(canceled)
        await service.client.post(f"/api/jobs/{canceled}/cancel")
        for job_id in jobs:
            await completes(service, job_id)
        await service.until(canceled, "canceled")

"""Deploys: an old and a new worker at once, by Temporal's Worker Versioning; and a worker that remembers no run."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.deployment.v1 import WorkerDeploymentVersion as DeploymentVersion
from temporalio.api.workflow.v1 import VersioningOverride, WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import (
    SetWorkerDeploymentCurrentVersionRequest,
    UpdateWorkflowExecutionOptionsRequest,
)
from temporalio.service import RPCError, RPCStatusCode

from lab.devstack.ports import HOST, free_ports
from reelay.cli.exit_codes import Exit
from tests.eventually import eventually
from tests.integration.service.killed_worker import worker_process
from tests.running import Service, running_service
from tests.servers import Servers
from workflows.client import connect
from workflows.task_queues import TaskQueue

NOT_YET = (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.RESOURCE_EXHAUSTED)


@asynccontextmanager
async def build(service: Service, name: str) -> AsyncIterator[None]:
    """A worker of that build."""
    settings = service.settings.model_copy(update={"worker_build_id": name})
    async with replace(service, settings=settings).worker((TaskQueue.GENERATIONS, TaskQueue.TRANSFERS)):
        yield


def process_of_build(service: Service, name: str) -> AbstractAsyncContextManager[object]:
    """The same, as a deploy starts it."""
    settings = service.settings.model_copy(update={"worker_build_id": name})
    return worker_process(settings, "--queues", "generations,transfers")


async def make_current(service: Service, build_id: str) -> None:
    """As `temporal worker deployment set-current-version` does, once the build's worker is known."""
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=service.temporal.namespace,
        deployment_name=service.settings.worker_deployment or "",
        build_id=build_id,
        identity="test",
    )

    async def is_current() -> bool:
        try:
            await service.temporal.workflow_service.set_worker_deployment_current_version(request)
        except RPCError as error:
            if error.status not in NOT_YET:
                raise
            return False
        return True

    await eventually(is_current, every=0.5)


async def move(service: Service, job_id: str, *, to: str) -> None:
    """As `temporal workflow update-options --versioning-override-behavior pinned` does."""
    version = DeploymentVersion(deployment_name=service.settings.worker_deployment or "", build_id=to)
    pinned = VersioningOverride.PinnedOverride(
        behavior=VersioningOverride.PINNED_OVERRIDE_BEHAVIOR_PINNED, version=version
    )
    await service.temporal.workflow_service.update_workflow_execution_options(
        UpdateWorkflowExecutionOptionsRequest(
            namespace=service.temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=service.run(job_id).id),
            workflow_execution_options=WorkflowExecutionOptions(versioning_override=VersioningOverride(pinned=pinned)),
            update_mask=FieldMask(paths=["versioning_override"]),
        )
    )


async def until_listed(service: Service, build_id: str) -> None:
    """The filter by which docs/upgrade.md finds the running generations of a version."""
    version = f"TemporalWorkerDeploymentVersion = '{service.settings.worker_deployment}:{build_id}'"

    async def is_listed() -> bool:
        return bool((await service.temporal.count_workflows(version)).count)

    await eventually(is_listed)


async def build_of(service: Service, job_id: str) -> str:
    """That did the run's last task."""
    description = await service.run(job_id).describe()
    return description.raw_description.workflow_execution_info.versioning_info.deployment_version.build_id


async def completes(service: Service, job_id: str) -> None:
    await service.until(job_id, "completed")
    assert await service.closed_as(job_id) == "COMPLETED"
    assert (await service.simulated(job_id))["accepted"] == 1


@asynccontextmanager
async def without_workers(servers: Servers) -> AsyncIterator[Service]:
    """The service of a deployment of its own."""
    deployment = f"reelay-{uuid4()}"
    async with running_service(
        servers, worker=False, worker_deployment=deployment, worker_build_id="unused", webhook_patience=60
    ) as service:
        yield service


@pytest.mark.fault("O9", "O8")
async def test_run_ends_on_the_version_that_began_it_and_the_way_back_is_the_same(servers: Servers) -> None:
    async with without_workers(servers) as service, process_of_build(service, "old"):
        await make_current(service, "old")
        begun_on_old = await service.create("[sim: latency=10m]")
        await service.until_accepted(begun_on_old)
        async with process_of_build(service, "new"):
            await make_current(service, "new")
            begun_on_new = await service.create("[sim: latency=10m]")
            await service.until_accepted(begun_on_new)
            await make_current(service, "old")
            begun_after_the_way_back = await service.create()
            for job_id in (begun_on_old, begun_on_new):
                await servers.end_at_provider(job_id)

            jobs = (begun_on_old, begun_on_new, begun_after_the_way_back)
            for job_id in jobs:
                await completes(service, job_id)
        assert [await build_of(service, job_id) for job_id in jobs] == ["old", "new", "old"]


@pytest.mark.fault("O9")
async def test_run_that_waits_for_its_version_can_be_moved_to_another(servers: Servers) -> None:
    """What an operator does about a version that has no workers any more."""
    async with without_workers(servers) as service, build(service, "new"):
        async with build(service, "old"):
            await make_current(service, "old")
            job_id = await service.create("[sim: latency=10m]")
            await service.until_accepted(job_id)
        await make_current(service, "new")
        await until_listed(service, "old")
        await move(service, job_id, to="new")
        await servers.end_at_provider(job_id)

        await completes(service, job_id)
        assert await build_of(service, job_id) == "new"


@pytest.mark.fault("O9")
async def test_first_version_takes_over_the_runs_of_workers_without_one(servers: Servers) -> None:
    async with without_workers(servers) as service:
        unversioned = service.settings.model_copy(update={"worker_deployment": None, "worker_build_id": None})
        async with replace(service, settings=unversioned).worker():
            job_id = await service.create("[sim: latency=10m]")
            await service.until_accepted(job_id)
        async with build(service, "first"):
            await make_current(service, "first")
            await servers.end_at_provider(job_id)

            await completes(service, job_id)
        assert await build_of(service, job_id) == "first"


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
        canceled = await service.create("[sim: latency=10m]")
        await service.until_accepted(canceled)
        await service.client.post(f"/api/jobs/{canceled}/cancel")
        for job_id in jobs:
            await completes(service, job_id)
        await service.until(canceled, "canceled")


async def test_a_worker_that_does_not_reach_temporal_says_so_in_a_sentence_and_ends(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    environment = {
        **os.environ,
        "ENVIRONMENT": "development",
        "DATABASE_SERVICE_URL": f"postgresql://service:secret@{HOST}:{port}/reelay",
        "REELAY_DATA_DIR": str(tmp_path),
        "TEMPORAL_ADDRESS": f"{HOST}:{port}",
    }
    reelay = Path(sys.executable).with_name("reelay")
    process = await asyncio.create_subprocess_exec(reelay, "worker", env=environment, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert process.returncode == Exit.NOT_REACHABLE
    (line,) = said.decode().splitlines()
    assert line.startswith(f"reelay: Temporal at {HOST}:{port} does not answer")

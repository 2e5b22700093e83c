"""Runs that did not end their job, and not because anybody wanted it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from temporalio.client import WorkflowExecutionStatus

from reelay.domain.reconciliation import Reconciled, Run
from tests.eventually import eventually
from tests.integration.service.reconciling import broken_run, reconcile
from tests.running import Service, running_service
from tests.servers import Servers, temporal_server
from workflows.generation import GenerationWorkflow
from workflows.runs import GenerationRuns

FRENCH = {"accept-language": "fr"}


async def is_told(service: Service, job_id: str) -> None:
    job = await service.until(job_id, "failed")
    assert (job["errorCode"], job["actualCostCents"]) == ("run_stopped", 0)
    assert job["errorMessage"].startswith("This service had to end the job")
    in_french = (await service.client.get(f"/api/jobs/{job_id}", headers=FRENCH)).json()["errorMessage"]
    assert in_french.startswith("Ce service a dû arrêter la tâche")
    assert (await service.client.get("/api/credits")).json()["heldCents"] == 0


@pytest.fixture
async def short_histories(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    folder = servers.folder / uuid4().hex
    folder.mkdir()
    async with temporal_server(folder, limit__historyCount__error=60) as temporal:
        monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
        async with running_service(servers, webhook_patience=60) as service:
            yield service


@pytest.mark.fault("O20")
async def test_run_that_temporal_itself_ended_is_told_as_that(short_histories: Service) -> None:
    service = short_histories
    job_id = await service.create("a harbour [sim: latency=10m]")
    await service.until_accepted(job_id)
    run = service.run(job_id)

    async def is_terminated() -> bool:
        if (await run.describe()).status is WorkflowExecutionStatus.RUNNING:
            await run.signal(GenerationWorkflow.poll)
            return False
        return True

    await eventually(is_terminated)
    assert await service.closed_as(job_id) == "TERMINATED"

    assert await reconcile(service) == Reconciled(checked=1, ended=1)
    await is_told(service, job_id)
    (told,) = [line for line in await service.trail(job_id) if line.startswith("Reconciled")]
    assert "ended by Temporal" in told
    assert (await service.simulated(job_id))["cancel_calls"] == 1


class Later(GenerationRuns):
    """Half an hour later: what fails has failed often."""

    async def describe(self, generation_id: UUID) -> Run:
        run = await super().describe(generation_id)
        return replace(run, broken=run.failing)


@pytest.mark.fault("O20")
async def test_run_whose_code_cannot_go_on_is_given_up(servers: Servers) -> None:
    async with running_service(servers, worker=False) as service:
        queue = service.settings.task_queue
        async with broken_run(service, Later(service.temporal, queue, None)) as job_id:
            assert await reconcile(service) == Reconciled(checked=1, ended=1)
        assert await service.closed_as(job_id) == "TERMINATED"
        assert (await GenerationRuns(service.temporal, queue, None).describe(UUID(job_id))).end_reason
        await is_told(service, job_id)

"""Reconciliations that a test starts itself, and runs whose code is broken."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

from temporalio import workflow
from temporalio.client import WorkflowHandle
from temporalio.worker import Worker

from activities.reconciliation import ReconciliationActivities
from reelay.catalog.loader import load_catalog
from reelay.domain.generation import Generation
from reelay.domain.reconciliation import Reconciled
from reelay.providers.registry import Providers
from tests.eventually import eventually
from tests.running import Service
from workflows.reconciliation import ReconciliationWorkflow
from workflows.runs import GenerationRuns

Pass = WorkflowHandle[ReconciliationWorkflow, Reconciled]
AT_ONCE = timedelta(0)


async def begin(service: Service, *, grace: timedelta = AT_ONCE) -> Pass:
    return await service.temporal.start_workflow(
        ReconciliationWorkflow.run, grace, id=f"reconciliation-{uuid4()}", task_queue=service.settings.task_queue
    )


async def reconcile(service: Service, *, grace: timedelta = AT_ONCE) -> Reconciled:
    return await (await begin(service, grace=grace)).result()


def reconciliation_of(service: Service, runs: GenerationRuns | None = None) -> ReconciliationActivities:
    """Without a provider."""
    runs = runs or GenerationRuns(service.temporal, service.settings.task_queue, None)
    return ReconciliationActivities(service.settings, service.sessions, Providers(), runs, load_catalog())


@workflow.defn(name="Generation", sandboxed=False)
class BrokenWorkflow:
    @workflow.run
    async def run(self, generation: Generation) -> None:
        raise RuntimeError("a bug of ours")


@asynccontextmanager
async def broken_run(service: Service, runs: GenerationRuns) -> AsyncIterator[str]:
    """The id of a job whose run fails again and again; passes look at it by `runs`. For a service without a worker."""
    reconciliation = reconciliation_of(service, runs)
    async with Worker(
        service.temporal,
        task_queue=service.settings.task_queue,
        workflows=[BrokenWorkflow, ReconciliationWorkflow],
        activities=[reconciliation.reconcile],
    ):
        job_id = await service.create("broken")

        async def is_failing() -> bool:
            return (await runs.describe(UUID(job_id))).failing

        await eventually(is_failing)
        yield job_id

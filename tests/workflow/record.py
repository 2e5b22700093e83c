"""Record what a release writes: `python -m tests.workflow.record`, once per release, before it is tagged.

One history per path of each workflow, and of each payload examples and the schema. Old releases' files stay: a running
generation may be of any.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4

from temporalio import activity
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.worker import Worker

from reelay.domain.endpoint import EndpointAnswer, EndpointState
from reelay.domain.failure import FailureCode
from reelay.domain.generation import Generation, Stage, UncertainSubmitPolicy
from reelay.domain.housekeeping import Pruned
from reelay.domain.pipeline import Begun, Decision, PipelineStatus, StepStatus
from reelay.domain.reconciliation import Reconciled
from tests.eventually import eventually
from tests.servers import temporal_server
from tests.workflow.conftest import generation, report, with_fallbacks
from tests.workflow.payloads import payload_types, schema_of, written_today
from tests.workflow.pipelines import PipelineScript, bad_film, pipeline
from tests.workflow.steps import Steps, lost_answer, running, verdict, without_a_list
from workflows.client import connect
from workflows.endpoints import EndpointWorkflow
from workflows.generation import GenerationWorkflow
from workflows.housekeeping import HousekeepingWorkflow
from workflows.ids import (
    endpoint_workflow_id,
    housekeeping_id,
    pipeline_workflow_id,
    reconciliation_id,
    workflow_id,
)
from workflows.pipeline import PipelineWorkflow
from workflows.reconciliation import ReconciliationWorkflow
from workflows.schedule import GRACE
from workflows.task_queues import transfers_queue

RELEASES = Path(__file__).parent / "releases"
RELEASE = version("reelay")
FOLDER = RELEASES / RELEASE
RECONCILIATION, ENDPOINT, HOUSEKEEPING = "reconciliation", "endpoint", "housekeeping"
Handle = WorkflowHandle[GenerationWorkflow, list[str]]
MOMENT = timedelta(seconds=1)


async def until(handle: Handle, stage: Stage) -> None:
    async def is_there() -> bool:
        return (await handle.query(GenerationWorkflow.current_status)).stage is stage

    await eventually(is_there)


async def webhook_after_the_answer(handle: Handle) -> None:
    await until(handle, Stage.GENERATING)
    await handle.signal(GenerationWorkflow.report, report())


async def webhook_at_once(handle: Handle) -> None:
    await handle.signal(GenerationWorkflow.report, report())


async def nothing(handle: Handle) -> None:
    """The run finds its end alone."""


async def webhook_while_polling(handle: Handle) -> None:
    await until(handle, Stage.POLLING)
    await handle.signal(GenerationWorkflow.report, report())


async def webhook_while_uncertain(handle: Handle) -> None:
    await until(handle, Stage.UNCERTAIN)
    await handle.signal(GenerationWorkflow.report, report())


async def webhooks_of_a_stranger_and_ours(handle: Handle) -> None:
    await until(handle, Stage.UNCERTAIN)
    await handle.signal(GenerationWorkflow.report, report("somebody-elses"))
    await handle.signal(GenerationWorkflow.report, report())


async def webhook_of_the_first_attempt(handle: Handle) -> None:
    await until(handle, Stage.GENERATING)
    await handle.signal(GenerationWorkflow.report, report("request-1", attempt=1))


async def webhook_of_the_hedge(handle: Handle) -> None:
    await until_done(handle, "submit", 2)
    await handle.signal(GenerationWorkflow.report, report("request-2", attempt=2))


async def webhook_without_the_hedge(handle: Handle) -> None:
    await until_done(handle, "lead", 1)
    await handle.signal(GenerationWorkflow.report, report())


async def until_done(handle: Handle, activity: str, times: int) -> None:
    """So many activities of that name have ended well."""

    async def is_done() -> bool:
        events = (await handle.fetch_history()).events
        names = {event.event_id: event.activity_task_scheduled_event_attributes.activity_type.name for event in events}
        ended = [event.activity_task_completed_event_attributes.scheduled_event_id for event in events]
        return [names.get(begun) for begun in ended].count(activity) >= times

    await eventually(is_done)


async def cancel_while_waiting(handle: Handle) -> None:
    await until(handle, Stage.GENERATING)
    await handle.cancel()


async def cancel_while_lost(handle: Handle) -> None:
    await until(handle, Stage.UNCERTAIN)
    await handle.cancel()


PATHS: dict[str, tuple[Steps, Callable[[Handle], Awaitable[None]], Generation]] = {
    "webhook": (Steps(), webhook_after_the_answer, generation()),
    "early-webhook": (Steps(), webhook_at_once, generation()),
    "patience-then-poll": (Steps(polls=[running(ask_again_in=MOMENT), None]), nothing, generation(patience=MOMENT)),
    "webhook-while-polling": (
        Steps(webhook_expected=False, polls=[running()]),
        webhook_while_polling,
        generation(),
    ),
    "no-media-at-first": (
        Steps(archives=[False, None]),
        webhook_after_the_answer,
        generation(poll_interval=MOMENT),
    ),
    "adopted": (Steps(submits=[lost_answer()]), webhook_while_uncertain, generation()),
    "found-in-the-list": (Steps(submits=[lost_answer()], finds=[None]), nothing, generation()),
    "not-ours": (
        Steps(submits=[lost_answer()], finds=[without_a_list()], strangers=frozenset({"somebody-elses"})),
        webhooks_of_a_stranger_and_ours,
        generation(),
    ),
    "resubmitted": (
        Steps(submits=[lost_answer(), None], webhook_expected=False),
        nothing,
        generation(UncertainSubmitPolicy.RESUBMIT, adoption_window=MOMENT),
    ),
    "overtaken": (
        Steps(submits=[lost_answer(), None]),
        webhook_of_the_first_attempt,
        generation(UncertainSubmitPolicy.RESUBMIT, adoption_window=MOMENT),
    ),
    "unknown-outcome": (Steps(submits=[lost_answer()]), nothing, generation(adoption_window=MOMENT)),
    "deadline": (
        Steps(polls=[running(ask_again_in=MOMENT)]),
        nothing,
        generation(patience=MOMENT, deadline=4 * MOMENT),
    ),
    "refused": (Steps(archives=[verdict(FailureCode.CONTENT_POLICY)]), webhook_at_once, generation()),
    "fell-back": (
        Steps(archives=[verdict(FailureCode.PROVIDER_ERROR), None], webhook_expected=False),
        nothing,
        with_fallbacks(),
    ),
    "hedge-ended-first": (Steps(), webhook_of_the_hedge, replace(with_fallbacks(), hedge_after=MOMENT)),
    "hedge-failed": (
        Steps(submits=[None, verdict(FailureCode.PROVIDER_REJECTED)]),
        webhook_without_the_hedge,
        replace(with_fallbacks(), hedge_after=MOMENT),
    ),
    "canceled": (Steps(), cancel_while_waiting, generation()),
    "canceled-while-lost": (
        Steps(submits=[lost_answer()], finds=[without_a_list()], stored=report()),
        cancel_while_lost,
        generation(),
    ),
}


async def record(client: Client, name: str) -> None:
    steps, happening, given = PATHS[name]
    queue = f"record-{uuid4()}"
    generations, transfers = steps.workers(client, queue)
    async with generations, transfers:
        handle = await client.start_workflow(
            GenerationWorkflow.run, given, id=workflow_id(UUID(int=len(name))), task_queue=queue
        )
        await happening(handle)
        await asyncio.gather(handle.result(), return_exceptions=True)
        history = await handle.fetch_history()
    write(name, history)


async def approve_frame(handle: WorkflowHandle[PipelineWorkflow, PipelineStatus]) -> None:
    await handle.signal(PipelineWorkflow.decide, Decision(step="frame", is_approved=True))


async def reject_frame(handle: WorkflowHandle[PipelineWorkflow, PipelineStatus]) -> None:
    await handle.signal(PipelineWorkflow.decide, Decision(step="frame", is_approved=False, note="too dark"))


async def cancel_pipeline(handle: WorkflowHandle[PipelineWorkflow, PipelineStatus]) -> None:
    await handle.cancel()


PIPELINE_PATHS = {
    "pipeline": (PipelineScript(generation()), approve_frame),
    "pipeline-rejected": (PipelineScript(generation()), reject_frame),
    "pipeline-reused": (
        PipelineScript(generation(), begins={"frame": Begun(status=StepStatus.REUSED)}, mix_failure=bad_film()),
        approve_frame,
    ),
    "pipeline-canceled": (PipelineScript(generation()), cancel_pipeline),
}


async def record_pipeline(client: Client, name: str) -> None:
    script, happening = PIPELINE_PATHS[name]
    queue, given = f"record-{uuid4()}", pipeline()
    pipelines, transfers = script.workers(client, queue)
    async with pipelines, transfers:
        handle = await client.start_workflow(
            PipelineWorkflow.run, given, id=pipeline_workflow_id(given.id), task_queue=queue
        )
        await happening(handle)
        await asyncio.gather(handle.result(), return_exceptions=True)
        history = await handle.fetch_history()
    write(name, history)


async def record_reconciliation(client: Client) -> None:
    """A pass, as the schedule starts it."""
    queue = f"record-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[ReconciliationWorkflow], activities=[reconcile]):
        handle = await client.start_workflow(
            ReconciliationWorkflow.run, GRACE, id=reconciliation_id("recorded"), task_queue=queue
        )
        await handle.result()
        write(RECONCILIATION, await handle.fetch_history())


async def record_endpoint(client: Client) -> None:
    """As the API asks for one."""
    queue = f"record-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[EndpointWorkflow], activities=[fetch_endpoint]):
        handle = await client.start_workflow(
            EndpointWorkflow.run, "fal-ai/x", id=endpoint_workflow_id("recorded", "fal-ai/x"), task_queue=queue
        )
        await handle.result()
        write(ENDPOINT, await handle.fetch_history())


@activity.defn
async def fetch_endpoint(endpoint_id: str) -> EndpointAnswer:
    return EndpointAnswer(state=EndpointState.UNKNOWN, near=(f"{endpoint_id}/y",))


async def record_housekeeping(client: Client) -> None:
    """The same of the housekeeping."""
    queue = f"record-{uuid4()}"
    async with (
        Worker(client, task_queue=queue, workflows=[HousekeepingWorkflow]),
        Worker(client, task_queue=transfers_queue(queue), activities=[prune]),
    ):
        handle = await client.start_workflow(HousekeepingWorkflow.run, id=housekeeping_id("recorded"), task_queue=queue)
        await handle.result()
        write(HOUSEKEEPING, await handle.fetch_history())


@activity.defn
async def prune(at_most: timedelta) -> Pruned:
    return Pruned(jobs=3, erased=3)


@activity.defn
async def reconcile(grace: timedelta) -> Reconciled:
    return Reconciled(checked=3, started=1, left=2)


def write(name: str, history: WorkflowHistory) -> None:
    (FOLDER / "histories" / f"{name}.json").write_text(json.dumps(scrubbed(history.to_json_dict()), indent=1) + "\n")


def write_payloads() -> None:
    recorded = {
        name: {"schema": schema_of(kind), "examples": written_today(kind)} for name, kind in payload_types().items()
    }
    (FOLDER / "payloads.json").write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")


def scrubbed(value: Any) -> Any:
    """Without what belongs to the machine that recorded it, none of which a replay looks at."""
    match value:
        case dict():
            return {key: scrubbed(entry) for key, entry in value.items() if key not in ("stackTrace", "identity")}
        case list():
            return [scrubbed(entry) for entry in value]
        case _:
            return value


async def main() -> None:
    (FOLDER / "histories").mkdir(parents=True, exist_ok=True)
    write_payloads()
    with TemporaryDirectory() as folder:
        async with temporal_server(Path(folder)) as server:
            os.environ["TEMPORAL_ADDRESS"] = server.address
            client = await connect()
            for name in PATHS:
                await record(client, name)
            for name in PIPELINE_PATHS:
                await record_pipeline(client, name)
            await record_reconciliation(client)
            await record_endpoint(client)
            await record_housekeeping(client)


if __name__ == "__main__":
    asyncio.run(main())

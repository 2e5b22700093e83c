"""Runs of the workflow with scripted steps and skipped time. Every history is replayed when its module is over."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowHistory
from temporalio.testing import TimeSkipper, TimeSkippingConfig
from temporalio.worker import Interceptor, Replayer, Worker

from lab.devstack.temporal import EmbeddedTemporal
from reelay.domain.generation import (
    Candidate,
    Generation,
    JobType,
    ProviderName,
    Report,
    Stage,
    Timing,
    UncertainSubmitPolicy,
)
from tests.eventually import PATIENCE, eventually
from tests.workflow.steps import REQUEST, Steps
from workflows.client import connect
from workflows.converter import data_converter
from workflows.generation import GenerationWorkflow
from workflows.ids import workflow_id
from workflows.pipeline import PipelineWorkflow

FALLBACK_CENTS = 18


def generation(policy: UncertainSubmitPolicy = UncertainSubmitPolicy.FAIL, **timing: timedelta) -> Generation:
    times: dict[str, Any] = {
        "expected": timedelta(minutes=2),
        "patience": timedelta(minutes=4),
        "poll_interval": timedelta(seconds=10),
        "adoption_window": timedelta(minutes=15),
        "deadline": timedelta(hours=1),
    }
    return Generation(
        id=uuid4(),
        user_id=UUID(int=1),
        job_type=JobType.VIDEO_VEO31,
        provider=ProviderName.FAL,
        model="veo3.1",
        endpoint="fal-ai/veo3.1",
        arguments={"prompt": "a lighthouse in the rain"},
        timing=Timing(**(times | timing)),
        uncertain_submit_policy=policy,
    )


def with_fallbacks(
    count: int = 1, policy: UncertainSubmitPolicy = UncertainSubmitPolicy.FAIL, **timing: timedelta
) -> Generation:
    asked = generation(policy, **timing)
    fallback = Candidate(
        job_type=JobType.VIDEO,
        provider=ProviderName.REPLICATE,
        model="seedance-1-lite",
        endpoint="bytedance/seedance-1-lite",
        arguments={"prompt": "a lighthouse"},
        timing=asked.timing,
        price_cents=FALLBACK_CENTS,
    )
    return replace(asked, fallbacks=(fallback,) * count)


def hedged(
    fallbacks: int = 1,
    policy: UncertainSubmitPolicy = UncertainSubmitPolicy.FAIL,
    *,
    after: timedelta = timedelta(seconds=1),
) -> Generation:
    return replace(with_fallbacks(fallbacks, policy), hedge_after=after)


def report(request_id: str = REQUEST, *, attempt: int = 1) -> Report:
    return Report(attempt=attempt, request_id=request_id, delivery_id=uuid4())


@dataclass(frozen=True)
class Run:
    handle: WorkflowHandle[GenerationWorkflow, list[str]]
    skipper: TimeSkipper

    async def pass_time(self, duration: timedelta) -> None:
        """Move the run's clock, if the run is not over before."""
        await self.skipper.fast_forward(self.handle, duration)

    async def hear(self, told: Report) -> None:
        await self.handle.signal(GenerationWorkflow.report, told)

    async def over(self) -> str:
        """How Temporal calls the end."""
        with suppress(WorkflowFailureError):
            await self.handle.result(rpc_timeout=timedelta(seconds=PATIENCE))
        status = (await self.handle.describe()).status
        return status.name if status else "?"

    async def has_event(self, attributes: str) -> bool:
        events = (await self.handle.fetch_history()).events
        return any(event.WhichOneof("attributes") == attributes for event in events)

    async def cancel_and_be_understood(self) -> None:
        """Return when the workflow has done what a cancellation makes it do at once."""
        await self.handle.cancel()

        async def is_understood() -> bool:
            events = [event.WhichOneof("attributes") for event in (await self.handle.fetch_history()).events]
            asked = "workflow_execution_cancel_requested_event_attributes"
            return asked in events and "workflow_task_completed_event_attributes" in events[events.index(asked) :]

        await eventually(is_understood)

    async def took(self) -> timedelta:
        """From start to end on the run's own clock."""
        events = (await self.handle.fetch_history()).events
        return events[-1].event_time.ToDatetime() - events[0].event_time.ToDatetime()


async def until(run: Run, stage: Stage) -> None:
    async def is_there() -> bool:
        return (await run.handle.query(GenerationWorkflow.current_status)).stage is stage

    await eventually(is_there)


async def started(client: Client, given: Generation, task_queue: str, *, skipping: bool = False) -> Run:
    skipper = TimeSkipper(client, config=TimeSkippingConfig(enabled=skipping))
    handle = await skipper.client.start_workflow(
        GenerationWorkflow.run, given, id=workflow_id(given.id), task_queue=task_queue
    )
    return Run(handle, skipper)


Start = Callable[..., Awaitable[Run]]


@pytest.fixture
async def temporal_client(temporal: EmbeddedTemporal) -> Client:
    return await connect()


Keep = Callable[[WorkflowHandle[Any, Any]], Awaitable[None]]


@pytest.fixture(scope="module")
async def histories() -> AsyncIterator[dict[str, WorkflowHistory]]:
    """What the module's runs leave behind, by test and run. One replayer for all: it prepares the sandbox once."""
    kept: dict[str, WorkflowHistory] = {}
    yield kept

    async def those() -> AsyncIterator[WorkflowHistory]:
        for history in kept.values():
            yield history

    replayer = Replayer(workflows=[GenerationWorkflow, PipelineWorkflow], data_converter=data_converter)
    async with replayer.workflow_replay_iterator(those()) as results:
        failures = [result.replay_failure async for result in results]
    assert {test: failure for test, failure in zip(kept, failures, strict=True) if failure} == {}


@pytest.fixture
def keep(histories: dict[str, WorkflowHistory], request: pytest.FixtureRequest) -> Keep:
    """Keeps a run's history, to be replayed."""

    async def keep(run: WorkflowHandle[Any, Any]) -> None:
        histories[f"{request.node.name}: {run.id}"] = await run.fetch_history()

    return keep


@pytest.fixture
async def start(temporal_client: Client, keep: Keep) -> AsyncIterator[Start]:
    """Start a generation on a worker with the given steps. Its clock stands still unless a test moves it, or skips."""
    runs: list[Run] = []
    workers: list[Worker] = []

    async def start_run(
        steps: Steps,
        input: Generation | None = None,
        *,
        skipping: bool = False,
        interceptors: Sequence[Interceptor] = (),
    ) -> Run:
        queue = f"steps-{uuid4()}"
        both = steps.workers(
            temporal_client,
            queue,
            interceptors=interceptors,
            max_cached_workflows=int(os.environ.get("REELAY_MAX_CACHED_WORKFLOWS", "1000")),
        )
        for worker in both:
            workers.append(worker)
            await worker.__aenter__()
        runs.append(await started(temporal_client, input or generation(), queue, skipping=skipping))
        return runs[-1]

    yield start_run
    for run in runs:
        await keep(run.handle)
    for worker in workers:
        await worker.__aexit__(None, None, None)

"""What a pipeline does, step by step, with scripted activities. Every history is replayed when all are over."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.testing import TimeSkipper, TimeSkippingConfig
from temporalio.worker import Worker

from reelay.domain.failure import FailureCode
from reelay.domain.pipeline import Begun, Decision, Pipeline, PipelineStatus, PlannedStep, StepStatus
from tests.eventually import PATIENCE, eventually
from tests.workflow.conftest import Keep, generation
from tests.workflow.pipelines import CLIP_STEPS, FRAME, PipelineScript, bad_film, pipeline
from tests.workflow.steps import Steps, verdict
from workflows.ids import pipeline_workflow_id
from workflows.pipeline import NOBODY_DECIDED, PipelineWorkflow

REUSED = Begun(status=StepStatus.REUSED)


@dataclass(frozen=True)
class Run:
    handle: WorkflowHandle[PipelineWorkflow, PipelineStatus]
    script: PipelineScript

    async def until_done(self, what: str) -> None:
        async def is_done() -> bool:
            return what in self.script.done

        await eventually(is_done)

    async def approve(self, step: str) -> None:
        await self.handle.signal(PipelineWorkflow.decide, Decision(step=step, is_approved=True))

    async def over(self) -> str:
        """How Temporal calls the end."""
        with suppress(WorkflowFailureError):
            await self.handle.result(rpc_timeout=timedelta(seconds=PATIENCE))
        status = (await self.handle.describe()).status
        return status.name if status else "?"

    async def events(self) -> list[str]:
        history = await self.handle.fetch_history()
        return [str(event.WhichOneof("attributes")) for event in history.events]


Start = Callable[..., Awaitable[Run]]


@pytest.fixture
async def start(temporal_client: Client, keep: Keep) -> AsyncIterator[Start]:
    runs: list[Run] = []
    workers: list[Worker] = []

    async def start_run(script: PipelineScript, input: Pipeline | None = None, *, skipping: bool = False) -> Run:
        queue, given = f"pipelines-{uuid4()}", input or pipeline()
        for worker in script.workers(temporal_client, queue):
            workers.append(worker)
            await worker.__aenter__()
        skipper = TimeSkipper(temporal_client, config=TimeSkippingConfig(enabled=skipping))
        handle = await skipper.client.start_workflow(
            PipelineWorkflow.run, given, id=pipeline_workflow_id(given.id), task_queue=queue
        )
        runs.append(Run(handle, script))
        return runs[-1]

    yield start_run
    for run in runs:
        await keep(run.handle)
    for worker in workers:
        await worker.__aexit__(None, None, None)


@pytest.fixture
def script() -> PipelineScript:
    return PipelineScript(generation())


async def test_steps_begin_when_those_that_they_need_are_done(start: Start, script: PipelineScript) -> None:
    run = await start(script)
    await run.until_done("ask frame")
    assert "begin voice" in script.done
    assert "begin video" not in script.done
    await run.approve("frame")

    assert await run.over() == "COMPLETED"
    done = script.done
    assert done.index("approve frame") < done.index("begin video") < done.index("begin film") < done.index("mix")
    assert done[-1] == "end"
    assert script.generations.count("submit") == 3


async def test_what_a_pipeline_costs_of_its_own(start: Start, script: PipelineScript) -> None:
    """Beside its children: a start, an activity to begin each step, two for a mix, one for the end."""
    plain = pipeline(*(PlannedStep(id=step.id, needs=step.needs) for step in CLIP_STEPS))
    run = await start(script, plain)

    assert await run.over() == "COMPLETED"
    events = await run.events()
    assert events.count("activity_task_scheduled_event_attributes") == 4 + 2 + 1
    assert events.count("start_child_workflow_execution_initiated_event_attributes") == 3
    assert events.count("timer_started_event_attributes") == 0


async def test_nothing_is_generated_for_a_step_that_is_reused(start: Start, script: PipelineScript) -> None:
    script.begins = {"frame": REUSED, "voice": REUSED}
    run = await start(script)

    assert await run.over() == "COMPLETED"
    assert script.generations.count("submit") == 1
    assert "ask frame" not in script.done  # it was approved when it was made


async def test_without_a_word_a_step_is_rejected_when_its_days_are_over(start: Start, script: PipelineScript) -> None:
    run = await start(script, skipping=True)

    assert await run.over() == "COMPLETED"
    assert f"reject frame {NOBODY_DECIDED}" in script.done
    assert {"skip video", "skip film"} <= set(script.done)
    assert script.generations.count("submit") == 2


async def test_a_word_that_comes_before_the_question_counts(start: Start, script: PipelineScript) -> None:
    run = await start(script)
    await run.approve("frame")

    assert await run.over() == "COMPLETED"
    assert "approve frame" in script.done


async def test_a_failed_step_skips_what_needs_it_and_nothing_else(start: Start) -> None:
    failing = Steps(webhook_expected=False, archives=[verdict(FailureCode.CONTENT_POLICY)])
    script = PipelineScript(generation(), failing, begins={"voice": REUSED}, waits=StepStatus.FAILED)
    run = await start(script)

    assert await run.over() == "COMPLETED"
    assert {"skip video", "skip film"} <= set(script.done)
    assert "skip voice" not in script.done


async def test_a_film_that_cannot_be_mixed_ends_as_its_job(start: Start, script: PipelineScript) -> None:
    script.begins = {"frame": REUSED, "video": REUSED, "voice": REUSED}
    script.mix_failure = bad_film()
    run = await start(script)

    assert await run.over() == "COMPLETED"
    assert script.ending is not None
    assert script.ending.failure is not None
    assert script.ending.failure.code is FailureCode.BAD_MEDIA


async def test_a_cancellation_cancels_what_runs_and_begins_nothing(start: Start, script: PipelineScript) -> None:
    script.generations.polled.clear()
    run = await start(script)
    await script.generations.until_begun("poll", 2)
    await run.handle.cancel()

    async def is_withdrawn() -> bool:
        return script.done.count("end fal") == 2

    await eventually(is_withdrawn)
    assert await run.over() == "CANCELED"
    assert script.generations.count("withdraw request-1") == 2
    assert script.done[-1] == "cancel"
    assert "begin video" not in script.done


async def test_a_second_run_takes_over_where_the_first_one_was(start: Start, script: PipelineScript) -> None:
    steps = (
        PlannedStep(id="frame", needs_approval=True, status=StepStatus.COMPLETED),
        PlannedStep(id="video", needs=("frame",), status=StepStatus.RUNNING),
        PlannedStep(id="voice", status=StepStatus.WAITING_FOR_APPROVAL, needs_approval=True),
        PlannedStep(id="film", needs=("video", "voice")),
    )
    script.begins = {"video": Begun(status=StepStatus.COMPLETED)}
    run = await start(script, pipeline(*steps))
    await run.until_done("begin video")
    await run.approve("voice")

    assert await run.over() == "COMPLETED"
    assert "begin frame" not in script.done
    assert not any(each.startswith("ask") for each in script.done)
    assert script.generations.count("submit") == 0


async def test_a_job_whose_run_another_one_has_started_is_waited_for(
    start: Start, script: PipelineScript, temporal_client: Client
) -> None:
    script.generations.polled.clear()
    running = Begun(status=StepStatus.RUNNING, generation=generation())
    script.begins = {"frame": running}
    first = await start(script, pipeline(FRAME))
    await script.generations.until_begun("poll")
    await first.handle.terminate()
    second = await start(script, pipeline(PlannedStep(id="frame", status=StepStatus.RUNNING)))

    assert await second.over() == "COMPLETED"
    assert "wait frame" in script.done
    assert script.generations.count("submit") == 1
    script.generations.polled.set()

"""A cancellation is heard wherever the run is, also where what it meets ends all the same."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.worker import Replayer, Worker

from reelay.domain.generation import Generation, Report, Stage, UncertainSubmitPolicy
from tests.eventually import eventually
from tests.workflow.conftest import Run, Start, generation, report, started, until
from tests.workflow.steps import Steps, lost_answer, running
from workflows.converter import data_converter
from workflows.generation import GenerationWorkflow

RESUBMIT = UncertainSubmitPolicy.RESUBMIT
SECOND = timedelta(seconds=1)
BEGUN = ("submit", "find", "adopt", "poll", "archive", "complete")


async def nothing(run: Run) -> None:
    """The run gets there by itself."""


async def end_is_reported(run: Run) -> None:
    await until(run, Stage.GENERATING)
    await run.hear(report())


async def lost_request_is_reported(run: Run) -> None:
    await until(run, Stage.UNCERTAIN)
    await run.hear(report())


@dataclass(frozen=True, kw_only=True)
class State:
    """An activity of the run that has begun, and takes its time."""

    step: str
    held: str
    """The event of `Steps` that the activity waits for."""
    withdrawn: str | None = "request-1"
    """What the provider has accepted by then, or accepts meanwhile."""
    makes: Callable[[], Steps] = Steps
    happens: Callable[[Run], Awaitable[None]] = nothing
    given: Callable[[], Generation] = generation


def makes(**steps: object) -> Callable[[], Steps]:
    return partial(Steps, **steps)  # type: ignore[arg-type]


STATES = {
    "submitting": State(step="submit", held="accepted"),
    "searching": State(step="find", held="listed", makes=makes(submits=[lost_answer()], finds=[None])),
    "adopting": State(
        step="adopt request-1",
        held="adopted",
        makes=makes(submits=[lost_answer()]),
        happens=lost_request_is_reported,
    ),
    "adopting a stranger's": State(
        step="adopt request-1",
        held="adopted",
        makes=makes(submits=[lost_answer()], strangers=frozenset({"request-1"})),
        happens=lost_request_is_reported,
        withdrawn=None,
    ),
    "polling": State(step="poll", held="polled", makes=makes(webhook_expected=False)),
    "archiving": State(step="archive", held="fetched", happens=end_is_reported),
    "archiving no media": State(step="archive", held="fetched", makes=makes(archives=[False]), happens=end_is_reported),
}

ENDLESS = {
    "polling what runs": State(step="poll", held="polled", makes=makes(webhook_expected=False, polls=[running()]))
}


def has_begun_nothing_new(steps: Steps, *, before: int) -> bool:
    return not [step for step in steps.done[before:] if step.startswith(BEGUN)]


@pytest.mark.fault("S11")
@pytest.mark.parametrize("name", STATES | ENDLESS)
async def test_activity_that_ends_although_it_was_canceled_does_not_swallow_it(start: Start, name: str) -> None:
    state = (STATES | ENDLESS)[name]
    steps = state.makes()
    getattr(steps, state.held).clear()
    run = await start(steps, state.given())
    await state.happens(run)
    await steps.until_begun(state.step)
    begun = len(steps.done)
    await run.cancel_and_be_understood()
    getattr(steps, state.held).set()

    assert await run.over() == "CANCELED"
    is_canceled(steps, state, before=begun)


@pytest.mark.fault("S11")
@pytest.mark.parametrize("name", STATES)
async def test_cancel_in_the_same_moment_as_the_activitys_end_is_heard(temporal_client: Client, name: str) -> None:
    state = STATES[name]
    steps = state.makes()
    getattr(steps, state.held).clear()
    async with apart(temporal_client, steps, state.given()) as (run, workflows):
        async with workflows():
            await state.happens(run)
            await steps.until_begun(state.step)
        begun = len(steps.done)
        getattr(steps, state.held).set()
        await eventually(partial(has_ended, run, state.step.split()[0]))
        await run.handle.cancel()
        async with workflows():
            assert await run.over() == "CANCELED"
    is_canceled(steps, state, before=begun)


def is_canceled(steps: Steps, state: State, *, before: int) -> None:
    assert has_begun_nothing_new(steps, before=before)
    assert steps.done[-1] == "end"
    assert steps.ending is not None
    assert steps.ending.failure is None
    withdrawn = [step.removeprefix("withdraw ") for step in steps.done if step.startswith("withdraw")]
    assert withdrawn == ([state.withdrawn] if state.withdrawn else [])


async def test_cancel_in_the_same_moment_as_the_webhook_is_heard(temporal_client: Client) -> None:
    steps = Steps()
    async with apart(temporal_client, steps, generation()) as (run, workflows):
        async with workflows():
            await eventually(partial(run.has_event, "timer_started_event_attributes"))
        await run.hear(report())
        await run.handle.cancel()
        async with workflows():
            assert await run.over() == "CANCELED"
    assert steps.done == ["submit", "withdraw request-1", "end"]


@pytest.mark.fault("S11")
async def test_cancel_while_the_result_holds_no_media_is_heard(start: Start) -> None:
    """The clock stands: the run waits for its next turn."""
    steps = Steps(archives=[False])
    run = await start(steps)
    await end_is_reported(run)
    await steps.until_begun("archive")
    await until(run, Stage.POLLING)
    await run.handle.cancel()

    assert await run.over() == "CANCELED"
    assert steps.done == ["submit", "archive", "withdraw request-1", "end"]


async def test_cancel_while_a_poll_is_replaced_by_another_is_heard(start: Start) -> None:
    steps = Steps(webhook_expected=False, polls=[running()])
    run = await start(steps)
    await until(run, Stage.POLLING)
    await run.handle.signal(GenerationWorkflow.poll)
    await run.handle.cancel()

    assert await run.over() == "CANCELED"
    assert steps.done[-2:] == ["withdraw request-1", "end"]


@pytest.mark.fault("S12")
async def test_cancel_before_the_first_task_of_the_run_buys_nothing(temporal_client: Client) -> None:
    steps = Steps()
    async with apart(temporal_client, steps, generation()) as (run, workflows):
        await run.handle.cancel()
        async with workflows():
            assert await run.over() == "CANCELED"
    assert steps.done == ["end"]


async def test_cancel_after_a_submission_was_sent_twice_withdraws_what_counts(start: Start) -> None:
    """The second was withdrawn when the first one overtook it."""
    steps = Steps(submits=[lost_answer(), None])
    steps.fetched.clear()
    run = await start(steps, generation(RESUBMIT, adoption_window=SECOND))
    await until(run, Stage.UNCERTAIN)
    await run.pass_time(2 * SECOND)
    await until(run, Stage.GENERATING)
    await run.hear(report("request-1", attempt=1))
    await steps.until_begun("archive")
    await run.cancel_and_be_understood()
    steps.fetched.set()

    assert await run.over() == "CANCELED"
    assert [step for step in steps.done if step.startswith("withdraw")] == ["withdraw request-2", "withdraw request-1"]


def without_searches(steps: Steps) -> list[str]:
    return [step for step in steps.done if step != "find"]


@pytest.mark.fault("S15")
async def test_cancel_of_a_lost_submission_withdraws_what_a_webhook_in_the_inbox_names(start: Start) -> None:
    steps = Steps(submits=[lost_answer()], stored=report())
    run = await start(steps)
    await steps.until_begun("find")
    await run.handle.cancel()

    assert await run.over() == "CANCELED"
    found = ["look into the inbox", "adopt request-1", "withdraw request-1"]
    assert without_searches(steps) == ["submit", *found, "end"]


@pytest.mark.fault("S15")
async def test_cancel_while_the_answer_is_being_lost_withdraws_what_the_inbox_names(start: Start) -> None:
    steps = Steps(submits=[lost_answer()], stored=report())
    steps.accepted.clear()
    run = await start(steps)
    await steps.until_begun("submit")
    await run.cancel_and_be_understood()
    steps.accepted.set()

    assert await run.over() == "CANCELED"
    assert steps.done == ["submit", "look into the inbox", "adopt request-1", "withdraw request-1", "end"]


@pytest.mark.fault("S15")
async def test_cancel_in_the_same_moment_as_a_lost_requests_webhook_withdraws_it(temporal_client: Client) -> None:
    steps = Steps(submits=[lost_answer()])
    async with apart(temporal_client, steps, generation()) as (run, workflows):
        async with workflows():
            await steps.until_begun("find")
        await run.hear(report())
        await run.handle.cancel()
        async with workflows():
            assert await run.over() == "CANCELED"
    assert without_searches(steps) == ["submit", "adopt request-1", "withdraw request-1", "end"]


@pytest.mark.parametrize("stored", [None, report("somebody-elses")], ids=["nothing", "a stranger's"])
async def test_cancel_of_a_lost_submission_that_nothing_names_withdraws_nothing(
    start: Start, stored: Report | None
) -> None:
    steps = Steps(submits=[lost_answer()], stored=stored, strangers=frozenset({"somebody-elses"}))
    run = await start(steps)
    await steps.until_begun("find")
    await run.handle.cancel()

    assert await run.over() == "CANCELED"
    adopted = ["adopt somebody-elses"] if stored else []
    assert without_searches(steps) == ["submit", "look into the inbox", *adopted, "end"]


async def has_ended(run: Run, activity: str) -> bool:
    events = (await run.handle.fetch_history()).events
    scheduled = {
        event.event_id
        for event in events
        if event.activity_task_scheduled_event_attributes.activity_type.name == activity
    }
    ended = {event.activity_task_completed_event_attributes.scheduled_event_id for event in events}
    failed = {event.activity_task_failed_event_attributes.scheduled_event_id for event in events}
    return bool(scheduled & (ended | failed))


@asynccontextmanager
async def apart(client: Client, steps: Steps, given: Generation) -> AsyncIterator[tuple[Run, Callable[[], Worker]]]:
    """A run whose workflow tasks are done only while one of the workers lasts; its activities, all the time."""
    queue = f"apart-{uuid4()}"
    activities, transfers = steps.workers(client, queue, workflows=())
    async with activities, transfers:
        run = await started(client, given, queue)
        # Nothing is cached: the next worker gets the next task at once.
        yield run, partial(Worker, client, task_queue=queue, workflows=[GenerationWorkflow], max_cached_workflows=0)
        replayer = Replayer(workflows=[GenerationWorkflow], data_converter=data_converter)
        await replayer.replay_workflow(await run.handle.fetch_history())

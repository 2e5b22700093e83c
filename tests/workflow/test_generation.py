"""The story's turns, with hours passing in milliseconds."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError

from reelay.domain.failure import FailureCode
from reelay.domain.generation import Stage, Status
from tests.workflow.conftest import Run, Start, generation, report, until
from tests.workflow.steps import Steps, running, verdict
from workflows.generation import GenerationWorkflow

HOUR = timedelta(hours=1)


async def test_webhook_ends_the_wait(start: Start) -> None:
    steps = Steps()
    run = await start(steps)
    await until(run, Stage.GENERATING)
    await run.hear(report())

    assert await run.over() == "COMPLETED"
    assert steps.done == ["submit", "archive", "complete"]


async def test_polls_when_no_webhook_arrives_within_the_patience(start: Start) -> None:
    steps = Steps(polls=[running(), running(), None])
    run = await start(steps, skipping=True)

    assert await run.over() == "COMPLETED"
    assert steps.done == ["submit", "poll", "poll", "poll", "archive", "complete"]
    assert timedelta(minutes=4, seconds=20) <= await run.took() < timedelta(minutes=5)


async def test_without_a_webhook_it_polls_at_once(start: Start) -> None:
    steps = Steps(webhook_expected=False)
    run = await start(steps, skipping=True)

    assert await run.over() == "COMPLETED"
    assert await run.took() < timedelta(minutes=1)


async def test_webhook_cuts_the_polling_short(start: Start) -> None:
    steps = Steps(webhook_expected=False, polls=[running()])
    run = await start(steps)
    await until(run, Stage.POLLING)
    await run.hear(report())

    assert await run.over() == "COMPLETED"
    assert steps.done[-2:] == ["archive", "complete"]


async def test_early_webhook_is_kept_and_no_timer_is_started(start: Start) -> None:
    steps = Steps()
    steps.accepted.clear()
    run = await start(steps)
    await until(run, Stage.SUBMITTING)
    await run.hear(report())
    steps.accepted.set()

    assert await run.over() == "COMPLETED"
    names = [event.WhichOneof("attributes") for event in (await run.handle.fetch_history()).events]
    assert "timer_started_event_attributes" not in names


@pytest.mark.fault("W13")
async def test_report_about_another_request_does_not_count(start: Start) -> None:
    steps = Steps(polls=[running()])
    run = await start(steps)
    await until(run, Stage.GENERATING)
    await run.hear(report("somebody-elses"))
    await run.pass_time(timedelta(minutes=3))

    assert "archive" not in steps.done
    await run.hear(report())
    assert await run.over() == "COMPLETED"


async def test_deadline_takes_a_last_look_then_withdraws_and_fails(start: Start) -> None:
    steps = Steps(polls=[running(ask_again_in=timedelta(minutes=5))])
    run = await start(steps, skipping=True)

    assert await run.over() == "FAILED"
    assert steps.done[-3:] == ["poll", "withdraw request-1", "end"]
    assert steps.ending is not None
    assert steps.ending.failure is not None
    assert steps.ending.failure.code is FailureCode.DEADLINE_EXCEEDED
    assert HOUR - timedelta(minutes=6) < await run.took() <= HOUR + timedelta(minutes=1)


async def test_last_look_that_finds_the_end_completes(start: Start) -> None:
    asked_until_the_deadline = [running(ask_again_in=timedelta(minutes=14))] * 4
    steps = Steps(polls=[*asked_until_the_deadline, None])
    run = await start(steps, skipping=True)

    assert await run.over() == "COMPLETED"
    assert steps.done == ["submit", *["poll"] * 5, "archive", "complete"]


@pytest.mark.fault("S4")
async def test_provider_down_for_three_hours_is_waited_out(start: Start) -> None:
    down = ApplicationError("fal does not answer", type="Unavailable", next_retry_delay=timedelta(minutes=10))
    steps = Steps(polls=[down] * 18 + [None])
    run = await start(steps, generation(deadline=timedelta(hours=6)), skipping=True)

    assert await run.over() == "COMPLETED"
    assert await run.took() > timedelta(hours=3)


async def test_deadline_counts_from_the_submission(start: Start) -> None:
    """Not from the creation: what waits for a locked account has all of its time once it is submitted."""
    locked = ApplicationError("fal takes nothing", type="Waiting", next_retry_delay=timedelta(minutes=30))
    steps = Steps(submits=[*[locked] * 6, None], polls=[running(ask_again_in=timedelta(minutes=5))])
    run = await start(steps, skipping=True)

    assert await run.over() == "FAILED"
    assert steps.failed_as() is FailureCode.DEADLINE_EXCEEDED
    assert 4 * HOUR - timedelta(minutes=6) < await run.took() <= 4 * HOUR + timedelta(minutes=1)


async def test_another_run_counts_the_deadline_from_the_same_submission(start: Start) -> None:
    """Its run was lost and started anew: the submission is as old as it was."""
    steps = Steps(sent_ago=timedelta(minutes=50), polls=[running(ask_again_in=timedelta(minutes=3))])
    run = await start(steps, skipping=True)

    assert await run.over() == "FAILED"
    assert steps.failed_as() is FailureCode.DEADLINE_EXCEEDED
    assert await run.took() <= timedelta(minutes=12)


async def test_provider_that_takes_nothing_in_time_fails_without_withdrawing(start: Start) -> None:
    refused = ApplicationError("fal: come back later", type="Throttled", next_retry_delay=timedelta(minutes=10))
    steps = Steps(submits=[refused])
    run = await start(steps, generation(submission_window=HOUR), skipping=True)

    assert await run.over() == "FAILED"
    assert steps.ending is not None
    assert steps.ending.failure is not None
    assert steps.ending.failure.code is FailureCode.WAIT_EXPIRED
    assert "come back later" in steps.ending.failure.message
    assert steps.done[-1] == "end"
    assert set(steps.done) == {"submit", "end"}


async def test_verdict_of_the_provider_is_the_failure_of_the_run(start: Start) -> None:
    steps = Steps(archives=[verdict(FailureCode.CONTENT_POLICY)])
    run = await start(steps)
    await run.hear(report())

    assert await run.over() == "FAILED"
    last = (await run.handle.fetch_history()).events[-1].workflow_execution_failed_event_attributes.failure
    assert last.application_failure_info.type == "content_policy_violation"


async def test_archive_that_is_down_for_hours_is_waited_for(start: Start) -> None:
    down = ApplicationError("no bucket", type="ArchiveUnavailable", next_retry_delay=timedelta(minutes=30))
    steps = Steps(archives=[down] * 8 + [None])
    run = await start(steps, skipping=True)
    await run.hear(report())

    assert await run.over() == "COMPLETED"
    assert await run.took() > timedelta(hours=3)


async def test_archive_that_stays_down_fails_as_such(start: Start) -> None:
    down = ApplicationError("no bucket", type="ArchiveUnavailable", next_retry_delay=timedelta(minutes=30))
    steps = Steps(archives=[down])
    run = await start(steps, skipping=True)
    await run.hear(report())

    assert await run.over() == "FAILED"
    assert steps.ending is not None
    assert steps.ending.failure is not None
    assert steps.ending.failure.code is FailureCode.ARCHIVE_FAILED


async def test_completed_without_media_is_looked_at_again(start: Start) -> None:
    steps = Steps(archives=[False, False, None])
    run = await start(steps)
    await until(run, Stage.GENERATING)
    await run.hear(report())
    await run.pass_time(timedelta(minutes=1))

    assert await run.over() == "COMPLETED"
    assert steps.done == ["submit", "archive", "poll", "archive", "poll", "archive", "complete"]


async def test_asking_now_starts_the_polling_and_then_repeats_it(start: Start) -> None:
    steps = Steps(polls=[running(), None])
    run = await start(steps, generation(poll_interval=timedelta(minutes=10)))
    await until(run, Stage.GENERATING)
    await run.handle.signal(GenerationWorkflow.poll)
    await until(run, Stage.POLLING)
    await run.handle.signal(GenerationWorkflow.poll)

    assert await run.over() == "COMPLETED"
    assert steps.count("poll") == 2


async def test_cancel_is_forwarded_to_the_provider_and_written_down(start: Start) -> None:
    steps = Steps()
    run = await start(steps)
    await until(run, Stage.GENERATING)
    await run.handle.cancel()

    assert await run.over() == "CANCELED"
    assert steps.done == ["submit", "withdraw request-1", "end"]
    assert steps.ending is not None
    assert steps.ending.failure is None


async def test_cancel_between_two_tries_of_a_submission_buys_nothing(start: Start) -> None:
    refused = ApplicationError("busy", type="Throttled", next_retry_delay=timedelta(minutes=10))
    steps = Steps(submits=[refused])
    run = await start(steps)
    await steps.until_begun("submit")
    await run.handle.cancel()

    assert await run.over() == "CANCELED"
    assert steps.done == ["submit", "end"]


async def canceled_during(start: Start, steps: Steps, step: str, going_on: asyncio.Event) -> Run:
    """A run that understood its cancellation while a try of the step was under way, which then goes on."""
    going_on.clear()
    run = await start(steps)
    await until(run, Stage.GENERATING)
    await run.hear(report())
    await steps.until_begun(step, times=1)
    await run.cancel_and_be_understood()
    going_on.set()
    return run


async def test_cancel_while_a_try_of_the_archive_fails_is_a_cancellation(start: Start) -> None:
    """Temporal does not try a step again whose cancellation was asked for: its passing trouble is no failure."""
    steps = Steps(archives=[ApplicationError("a page, not media", type="BadMedia")])
    run = await canceled_during(start, steps, "archive", steps.fetched)

    assert await run.over() == "CANCELED"
    assert steps.done == ["submit", "archive", "withdraw request-1", "end"]
    assert steps.ending is not None
    assert steps.ending.failure is None


async def test_verdict_that_comes_with_a_cancel_stays_the_verdict(start: Start) -> None:
    steps = Steps(archives=[verdict(FailureCode.CONTENT_POLICY)])
    run = await canceled_during(start, steps, "archive", steps.fetched)

    assert await run.over() == "FAILED"
    assert steps.ending is not None
    assert steps.ending.failure is not None
    assert steps.ending.failure.code is FailureCode.CONTENT_POLICY


async def test_cancel_while_the_end_cannot_be_written_comes_too_late(start: Start) -> None:
    steps = Steps(completions=[ApplicationError("Postgres is away", next_retry_delay=timedelta(seconds=0.1)), None])
    run = await canceled_during(start, steps, "complete", steps.recorded)

    assert await run.over() == "COMPLETED"
    assert steps.done == ["submit", "archive", "complete", "complete"]


async def test_provider_that_stops_at_the_deadline_was_too_slow(start: Start) -> None:
    away = ApplicationError("the provider does not answer", next_retry_delay=HOUR)
    steps = Steps(archives=[away, verdict(FailureCode.CANCELED)])
    run = await start(steps, skipping=True)

    assert await run.over() == "FAILED"
    assert await run.took() >= HOUR
    assert steps.ending is not None
    assert steps.ending.failure is not None
    assert steps.ending.failure.code is FailureCode.DEADLINE_EXCEEDED


async def test_own_trouble_after_many_refusals_is_tried_again_before_the_deadline(start: Start) -> None:
    refused = ApplicationError("the account is locked", type="Throttled", next_retry_delay=timedelta(seconds=1))
    steps = Steps(submits=[*[refused] * 10, ApplicationError("Postgres is away"), None])
    run = await start(steps, generation(deadline=timedelta(seconds=90), patience=timedelta(seconds=5)), skipping=True)

    assert await run.over() == "COMPLETED"
    assert steps.count("submit") == 12


async def test_status_query_tells_where_it_is(start: Start) -> None:
    run = await start(Steps())
    await until(run, Stage.GENERATING)
    status = await run.handle.query(GenerationWorkflow.current_status)
    await run.hear(report())

    assert (status.status, status.request_id) == (Status.IN_PROGRESS, "request-1")
    assert await run.over() == "COMPLETED"

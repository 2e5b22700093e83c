"""When a provider fails for reasons of its own, the next model is tried; nothing is ever at two of them."""

from datetime import timedelta

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from temporalio.exceptions import ApplicationError

from activities.errors import not_sent_in_time, retry_later, try_again
from activities.retries import INTERNAL_ERROR
from reelay.db.engine import PostgresUnavailable
from reelay.domain.failure import FailureCode
from reelay.domain.generation import Stage, UncertainSubmitPolicy
from reelay.providers.errors import AccountLocked, Throttled, Unreachable
from tests.eventually import eventually
from tests.workflow.conftest import Start, report, until, with_fallbacks
from tests.workflow.steps import Steps, lost_answer, running, verdict

OWN = verdict(FailureCode.PROVIDER_ERROR)
LATER = timedelta(minutes=1)


async def test_result_of_a_provider_that_failed_is_replaced_by_the_fallbacks(start: Start) -> None:
    steps = Steps(archives=[OWN, None], webhook_expected=False)
    run = await start(steps, with_fallbacks(), skipping=True)

    assert await run.over() == "COMPLETED"
    fell_back = "fall back after 1: provider_error"
    assert steps.done == ["submit", "poll", "archive", fell_back, "submit", "poll", "archive", "complete"]
    assert [attempt.number for attempt in steps.attempts] == [1, 2]
    assert [attempt.generation.provider for attempt in steps.attempts] == ["fal", "replicate"]
    assert steps.attempts[1].generation.held_cents == 18


async def test_provider_that_takes_nothing_is_left_for_the_fallback(start: Start) -> None:
    steps = Steps(submits=[verdict(FailureCode.WAIT_EXPIRED), None])
    run = await start(steps, with_fallbacks())
    await until(run, Stage.GENERATING)
    await run.hear(report("request-2", attempt=2))

    assert await run.over() == "COMPLETED"
    assert steps.done == ["submit", "fall back after 1: wait_expired", "submit", "archive", "complete"]


@pytest.mark.parametrize(
    "code",
    [
        FailureCode.PROVIDER_REJECTED,
        FailureCode.CONTENT_POLICY,
        FailureCode.NO_MEDIA,
        FailureCode.BAD_MEDIA,
        FailureCode.RESULT_EXPIRED,
        FailureCode.CANCELED,
    ],
)
async def test_verdict_on_the_input_or_what_was_bought_is_final(start: Start, code: FailureCode) -> None:
    steps = Steps(archives=[verdict(code)], webhook_expected=False)
    run = await start(steps, with_fallbacks(), skipping=True)

    assert await run.over() == "FAILED"
    assert steps.failed_as() is code
    assert steps.count("submit") == 1


async def test_what_may_have_been_bought_is_not_bought_again(start: Start) -> None:
    steps = Steps(submits=[lost_answer()])
    run = await start(steps, with_fallbacks(), skipping=True)

    assert await run.over() == "FAILED"
    assert steps.failed_as() is FailureCode.UNKNOWN_OUTCOME
    assert steps.count("submit") == 1


async def test_what_may_have_been_bought_before_the_resubmission_is_not_bought_again(start: Start) -> None:
    steps = Steps(submits=[lost_answer(), None], archives=[OWN], webhook_expected=False)
    run = await start(steps, with_fallbacks(policy=UncertainSubmitPolicy.RESUBMIT), skipping=True)

    assert await run.over() == "FAILED"
    assert (steps.failed_as(), steps.count("submit")) == (FailureCode.PROVIDER_ERROR, 2)


async def test_lost_submission_that_was_found_and_failed_leaves_it_to_the_fallback(start: Start) -> None:
    steps = Steps(submits=[lost_answer(), None], finds=[None], archives=[OWN, None], webhook_expected=False)
    run = await start(steps, with_fallbacks(), skipping=True)

    assert await run.over() == "COMPLETED"
    assert steps.count("submit") == 2


@pytest.mark.parametrize(
    "last",
    [
        PostgresUnavailable("it restarts"),
        PoolTimeoutError("no connection is free"),
        ApplicationError("An internal error (KeyError) in submit", type=INTERNAL_ERROR),
    ],
    ids=lambda last: getattr(last, "type", None) or type(last).__name__,
)
async def test_acceptance_that_is_not_written_down_in_time_is_looked_for(start: Start, last: Exception) -> None:
    steps = Steps(submits=[last], finds=[None])
    run = await start(steps, with_fallbacks(submission_window=timedelta(seconds=5)), skipping=True)

    assert await run.over() == "COMPLETED"
    assert steps.done[-4:] == ["find", "poll", "archive", "complete"]
    assert {attempt.number for attempt in steps.attempts} == {1}


async def test_what_turns_out_not_to_have_been_sent_is_left_to_the_fallback(start: Start) -> None:
    away = ApplicationError("it restarts", type="PostgresUnavailable", next_retry_delay=LATER)
    steps = Steps(submits=[away, None], finds=[not_sent_in_time("fal")], webhook_expected=False)
    run = await start(steps, with_fallbacks(submission_window=timedelta(seconds=5)), skipping=True)

    assert await run.over() == "COMPLETED"
    fell_back = "fall back after 1: wait_expired"
    assert steps.done == ["submit", "find", fell_back, "submit", "poll", "archive", "complete"]


@pytest.mark.parametrize(
    "last",
    [
        try_again(Throttled("HTTP 429"), after=LATER),
        try_again(AccountLocked("User is locked"), after=LATER),
        try_again(Unreachable("no connection"), after=LATER),
        retry_later("fal takes no submissions of our account", after=LATER),
        running(ask_again_in=LATER),
    ],
    ids=lambda last: last.type,
)
async def test_what_was_not_sent_in_time_is_not_looked_for(start: Start, last: ApplicationError) -> None:
    steps = Steps(submits=[last, None], webhook_expected=False)
    run = await start(steps, with_fallbacks(submission_window=timedelta(seconds=5)), skipping=True)

    assert await run.over() == "COMPLETED"
    assert steps.done == ["submit", "fall back after 1: wait_expired", "submit", "poll", "archive", "complete"]


async def test_without_another_fallback_it_fails_as_the_last_one(start: Start) -> None:
    steps = Steps(submits=[OWN, OWN, verdict(FailureCode.PROVIDER_UNAUTHORIZED)])
    run = await start(steps, with_fallbacks(2))

    assert await run.over() == "FAILED"
    assert steps.failed_as() is FailureCode.PROVIDER_UNAUTHORIZED
    assert steps.done[-3:] == ["fall back after 2: provider_error", "submit", "end"]


async def test_cancellation_withdraws_what_the_fallback_has(start: Start) -> None:
    steps = Steps(archives=[OWN], polls=[None, running()], webhook_expected=False)
    run = await start(steps, with_fallbacks())
    await eventually(lambda: has_submitted(steps, 2))
    await until(run, Stage.POLLING)
    await run.cancel_and_be_understood()

    assert await run.over() == "CANCELED"
    assert [step for step in steps.done if step.startswith("withdraw")] == ["withdraw request-2"]


async def has_submitted(steps: Steps, times: int) -> bool:
    return steps.count("submit") == times


async def test_late_word_of_the_first_request_is_not_the_fallbacks(start: Start) -> None:
    steps = Steps(archives=[OWN, None])
    run = await start(steps, with_fallbacks())
    await until(run, Stage.GENERATING)
    await run.hear(report())
    await eventually(lambda: has_submitted(steps, 2))
    await until(run, Stage.GENERATING)
    await run.hear(report())
    await run.hear(report("a request of the first attempt that nobody knew", attempt=1))
    await run.pass_time(timedelta(minutes=1))

    assert steps.count("archive") == 1
    await run.hear(report("request-2", attempt=2))
    assert await run.over() == "COMPLETED"
    assert "adopt" not in " ".join(steps.done)


async def test_fallback_is_sent_again_by_policy_under_a_number_of_its_own(start: Start) -> None:
    steps = Steps(submits=[OWN, lost_answer(), None], webhook_expected=False)
    run = await start(steps, with_fallbacks(policy=UncertainSubmitPolicy.RESUBMIT), skipping=True)

    assert await run.over() == "COMPLETED"
    assert [attempt.number for attempt in steps.attempts] == [1, 2, 3]
    assert [attempt.generation.provider for attempt in steps.attempts] == ["fal", "replicate", "replicate"]


async def test_run_that_is_begun_anew_goes_on_with_the_fallback_of_its_row(start: Start) -> None:
    steps = Steps()
    run = await start(steps, with_fallbacks().fall_back(attempts=1))
    await until(run, Stage.GENERATING)
    await run.hear(report("request-2", attempt=2))

    assert await run.over() == "COMPLETED"
    assert [attempt.number for attempt in steps.attempts] == [2]

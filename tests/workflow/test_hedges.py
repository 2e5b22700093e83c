"""A model that takes too long is joined by its fallback: whichever ends first is kept, and the other stopped."""

from datetime import timedelta

import pytest

from reelay.domain.failure import FailureCode
from reelay.domain.generation import Stage, UncertainSubmitPolicy
from tests.eventually import eventually
from tests.workflow.conftest import FALLBACK_CENTS, Run, Start, hedged, report, until
from tests.workflow.steps import FLAGGED, Steps, lost_answer, running, verdict

FIRST, HEDGE = report(), report("request-2", attempt=2)
BOTH = ["submit", "submit"]


async def until_done(steps: Steps, step: str, times: int = 1) -> None:
    async def is_done() -> bool:
        return steps.count(step) == times

    await eventually(is_done)


IN_TIME = timedelta(minutes=10)
"""The first model ends sooner."""


async def both_at_work(steps: Steps, run: Run) -> None:
    await until_done(steps, "submit", 2)

    async def is_known() -> bool:
        return len(await completed(run, "submit")) == 2

    await eventually(is_known)


async def completed(run: Run, activity: str) -> list[str]:
    events = (await run.handle.fetch_history()).events
    names = {event.event_id: event.activity_task_scheduled_event_attributes.activity_type.name for event in events}
    ended = [names.get(event.activity_task_completed_event_attributes.scheduled_event_id) for event in events]
    return [name for name in ended if name == activity]


async def test_fallback_that_ends_first_is_kept_and_the_first_model_stopped(start: Start) -> None:
    steps = Steps()
    run = await start(steps, hedged())
    await both_at_work(steps, run)
    await run.hear(HEDGE)

    assert await run.over() == "COMPLETED"
    assert steps.done == [*BOTH, "follow seedance-1-lite", "archive", "stop request-1", "complete"]
    assert [attempt.number for attempt in steps.attempts] == [1, 2]
    assert [attempt.generation.provider for attempt in steps.attempts] == ["fal", "replicate"]
    assert steps.completion is not None
    assert (steps.completion.generation.model, steps.completion.overtaken_cents) == ("seedance-1-lite", 0)


async def test_first_model_that_ends_first_is_kept_and_the_fallback_stopped(start: Start) -> None:
    steps = Steps()
    run = await start(steps, hedged())
    await both_at_work(steps, run)
    await run.hear(FIRST)

    assert await run.over() == "COMPLETED"
    assert steps.done == [*BOTH, "follow veo3.1", "archive", "stop request-2", "complete"]


async def test_model_that_ends_in_time_has_none_beside_it(start: Start) -> None:
    steps = Steps()
    run = await start(steps, hedged(after=IN_TIME))
    await until(run, Stage.GENERATING)
    await run.hear(FIRST)

    assert await run.over() == "COMPLETED"
    assert steps.done == ["submit", "archive", "complete"]


async def test_of_two_that_end_at_once_one_is_archived_and_both_are_paid(start: Start) -> None:
    steps = Steps(overtaken_cents=18)
    steps.fetched.clear()
    run = await start(steps, hedged())
    await both_at_work(steps, run)
    await run.hear(FIRST)
    await until_done(steps, "archive")
    await run.hear(HEDGE)
    steps.fetched.set()

    assert await run.over() == "COMPLETED"
    assert steps.done == [*BOTH, "follow veo3.1", "archive", "stop request-2", "complete"]
    assert steps.completion is not None
    assert steps.completion.overtaken_cents == 18


async def test_late_word_of_the_model_that_was_stopped_changes_nothing(start: Start) -> None:
    steps = Steps()
    steps.withdrawn.clear()
    run = await start(steps, hedged())
    await both_at_work(steps, run)
    await run.hear(HEDGE)
    await until_done(steps, "stop request-1")
    await run.hear(FIRST)
    steps.withdrawn.set()

    assert await run.over() == "COMPLETED"
    assert steps.count("archive") == 1


async def test_first_model_that_fails_in_time_has_its_fallback_as_without_a_hedge(start: Start) -> None:
    steps = Steps(archives=[verdict(FailureCode.PROVIDER_ERROR), None])
    run = await start(steps, hedged(after=IN_TIME))
    await until(run, Stage.GENERATING)
    await run.hear(FIRST)
    await until_done(steps, "submit", 2)
    await until(run, Stage.GENERATING)
    await run.hear(HEDGE)

    assert await run.over() == "COMPLETED"
    fell_back = "fall back after 1: provider_error"
    assert steps.done == ["submit", "archive", fell_back, "submit", "archive", "complete"]


async def test_first_model_that_fails_leaves_it_to_the_one_beside_it(start: Start) -> None:
    steps = Steps(archives=[verdict(FailureCode.BAD_MEDIA), None])
    run = await start(steps, hedged())
    await both_at_work(steps, run)
    await run.hear(FIRST)
    followed = "follow seedance-1-lite after bad_media"
    await until_done(steps, followed)
    await run.hear(HEDGE)

    assert await run.over() == "COMPLETED"
    assert steps.done == [*BOTH, "follow veo3.1", "archive", followed, "archive", "complete"]


async def fallback_fails_and_the_first_goes_on(start: Start, steps: Steps, code: FailureCode) -> None:
    run = await start(steps, hedged())
    await both_at_work(steps, run)
    await run.hear(HEDGE)
    followed = f"follow veo3.1 after {code}"
    await until_done(steps, followed)
    await run.hear(FIRST)

    assert await run.over() == "COMPLETED"
    assert steps.done == [*BOTH, "follow seedance-1-lite", "archive", followed, "archive", "complete"]


async def test_fallback_that_fails_leaves_it_to_the_first_model(start: Start) -> None:
    code = FailureCode.CONTENT_POLICY
    await fallback_fails_and_the_first_goes_on(start, Steps(archives=[verdict(code), None]), code)


async def test_fallback_that_is_refused_leaves_it_to_the_first_model(start: Start) -> None:
    steps = Steps(submits=[None, verdict(FailureCode.PROVIDER_REJECTED)])
    run = await start(steps, hedged())
    await until(run, Stage.GENERATING)
    followed = "follow veo3.1 after provider_rejected"
    await until_done(steps, followed)
    await run.hear(FIRST)

    assert await run.over() == "COMPLETED"
    assert steps.done == [*BOTH, followed, "archive", "complete"]


async def test_flagged_result_of_the_fallback_leaves_it_to_the_first_model_and_is_paid(start: Start) -> None:
    steps = Steps(archives=[FLAGGED, None])
    await fallback_fails_and_the_first_goes_on(start, steps, FailureCode.RESULT_FLAGGED)
    assert steps.completion is not None
    assert (steps.completion.generation.model, steps.completion.overtaken_cents) == ("veo3.1", FALLBACK_CENTS)


async def test_flagged_result_of_the_first_model_ends_both(start: Start) -> None:
    steps = Steps(archives=[FLAGGED])
    run = await start(steps, hedged())
    await both_at_work(steps, run)
    await run.hear(FIRST)

    assert await run.over() == "FAILED"
    assert steps.failed_as() is FailureCode.RESULT_FLAGGED
    assert steps.done == [*BOTH, "follow veo3.1", "archive", "withdraw request-2", "end"]
    assert steps.ending is not None
    assert (steps.ending.refused, steps.ending.beside_cents) == (FLAGGED, 0)


async def test_where_the_results_of_both_are_flagged_both_are_paid(start: Start) -> None:
    steps = Steps(archives=[FLAGGED])
    run = await start(steps, hedged())
    await both_at_work(steps, run)
    await run.hear(HEDGE)
    await until_done(steps, "follow veo3.1 after result_flagged")
    await run.hear(FIRST)

    assert await run.over() == "FAILED"
    assert steps.failed_as() is FailureCode.RESULT_FLAGGED
    assert steps.ending is not None
    assert (steps.ending.refused, steps.ending.beside_cents) == (FLAGGED, FALLBACK_CENTS)


async def test_verdict_on_the_input_ends_both(start: Start) -> None:
    steps = Steps(archives=[verdict(FailureCode.CONTENT_POLICY)])
    run = await start(steps, hedged(2))
    await both_at_work(steps, run)
    await run.hear(FIRST)

    assert await run.over() == "FAILED"
    assert steps.failed_as() is FailureCode.CONTENT_POLICY
    assert steps.done == [*BOTH, "follow veo3.1", "archive", "withdraw request-2", "end"]


@pytest.mark.parametrize("order", [(FIRST, HEDGE), (HEDGE, FIRST)])
async def test_where_both_fail_the_next_fallback_goes_on_under_a_number_of_its_own(
    start: Start, order: tuple[object, ...]
) -> None:
    own = verdict(FailureCode.PROVIDER_ERROR)
    steps = Steps(archives=[own, own, None])
    run = await start(steps, hedged(2))
    await both_at_work(steps, run)
    for number, told in enumerate(order, start=1):
        await run.handle.signal("report", told)
        await until_done(steps, "archive", number)
    await until_done(steps, "submit", 3)
    await until(run, Stage.GENERATING)
    await run.hear(report("request-3", attempt=3))

    assert await run.over() == "COMPLETED"
    assert "fall back after 2: provider_error" in steps.done
    assert [attempt.number for attempt in steps.attempts] == [1, 2, 3]
    assert steps.attempts[-1].generation.hedge_after is None


async def test_cancellation_withdraws_both(start: Start) -> None:
    steps = Steps()
    run = await start(steps, hedged())
    await both_at_work(steps, run)
    await run.cancel_and_be_understood()

    assert await run.over() == "CANCELED"
    assert steps.done == [*BOTH, "withdraw request-1", "withdraw request-2", "end"]


async def test_cancellation_while_the_fallback_is_submitted_withdraws_both(start: Start) -> None:
    steps = Steps(slow_from=2)
    steps.accepted.clear()
    run = await start(steps, hedged())
    await until_done(steps, "submit", 2)
    await run.cancel_and_be_understood()
    steps.accepted.set()

    assert await run.over() == "CANCELED"
    assert steps.done == [*BOTH, "withdraw request-1", "withdraw request-2", "end"]


async def test_what_is_made_does_not_wait_for_the_answer_to_the_others_submission(start: Start) -> None:
    steps = Steps(slow_from=2)
    steps.accepted.clear()
    run = await start(steps, hedged())
    await until_done(steps, "submit", 2)
    await run.hear(FIRST)
    await until_done(steps, "archive")
    await until_done(steps, "complete")
    steps.accepted.set()

    assert await run.over() == "COMPLETED"
    assert steps.done[-2:] == ["complete", "withdraw request-2"]


async def test_fallback_whose_answer_is_lost_is_found_beside_the_first_model_by_its_webhook(start: Start) -> None:
    steps = Steps(submits=[None, lost_answer()])
    run = await start(steps, hedged())
    await steps.until_begun("find")
    await run.hear(HEDGE)

    assert await run.over() == "COMPLETED"
    assert "adopt request-2" in steps.done
    assert steps.done[-4:] == ["follow seedance-1-lite", "archive", "stop request-1", "complete"]


async def test_model_that_is_sent_again_by_policy_leaves_the_number_after_to_the_fallback(start: Start) -> None:
    steps = Steps(submits=[lost_answer(), None])
    given = hedged(policy=UncertainSubmitPolicy.RESUBMIT)
    run = await start(steps, given)
    await until(run, Stage.UNCERTAIN)
    await until_done(steps, "submit", 2)
    await run.hear(report("request-3", attempt=3))

    assert await run.over() == "COMPLETED"
    assert [attempt.number for attempt in steps.attempts] == [1, 3]


async def test_run_that_is_begun_anew_finds_both_at_work(start: Start) -> None:
    """Its row was following the second one."""
    steps = Steps(sent_ago=timedelta(minutes=1))
    run = await start(steps, hedged())
    await run.hear(HEDGE)
    await until_done(steps, "submit", 2)

    assert await run.over() == "COMPLETED"
    assert steps.done == [*BOTH, "follow seedance-1-lite", "archive", "stop request-1", "complete"]


async def test_what_the_first_model_may_have_bought_is_not_bought_by_a_third(start: Start) -> None:
    steps = Steps(
        submits=[lost_answer(), None],
        polls=[running(ask_again_in=timedelta(minutes=20)), None],
        archives=[verdict(FailureCode.PROVIDER_ERROR)],
        webhook_expected=False,
    )
    run = await start(steps, hedged(2), skipping=True)

    assert await run.over() == "FAILED"
    assert "follow seedance-1-lite after unknown_outcome" in steps.done
    assert (steps.failed_as(), steps.count("submit")) == (FailureCode.PROVIDER_ERROR, 2)

"""A submission whose answer was lost: found again by one of two roads, or not; sent again only by policy."""

from datetime import timedelta
from functools import partial

import pytest
from temporalio.exceptions import ApplicationError

from activities.errors import not_sent_in_time
from reelay.db.engine import PostgresUnavailable
from reelay.domain.failure import FailureCode
from reelay.domain.generation import Stage, UncertainSubmitPolicy
from tests.eventually import eventually
from tests.workflow.conftest import Run, Start, generation, report, until
from tests.workflow.steps import Steps, lost_answer, not_listed, running, without_a_list
from workflows.generation import GenerationWorkflow

RESUBMIT = UncertainSubmitPolicy.RESUBMIT
WINDOW = timedelta(minutes=15)
SELDOM = timedelta(minutes=1)
"""Between two looks, where many of them would show nothing else."""


def ended_as(steps: Steps) -> FailureCode:
    assert steps.ending is not None
    assert steps.ending.failure is not None
    return steps.ending.failure.code


async def test_webhook_names_the_request(start: Start) -> None:
    steps = Steps(submits=[lost_answer()])
    run = await start(steps)
    await until(run, Stage.UNCERTAIN)
    await run.hear(report())

    assert await run.over() == "COMPLETED"
    assert [step for step in steps.done if step != "find"] == ["submit", "adopt request-1", "archive", "complete"]


async def test_webhook_that_came_before_the_doubt_needs_no_window(start: Start) -> None:
    steps = Steps(submits=[lost_answer()])
    steps.accepted.clear()
    run = await start(steps)
    await run.hear(report())
    steps.accepted.set()

    assert await run.over() == "COMPLETED"
    assert steps.count("adopt request-1") == 1


async def test_list_names_the_request(start: Start) -> None:
    steps = Steps(submits=[lost_answer()], finds=[not_listed(), not_listed(), None])
    run = await start(steps, skipping=True)

    assert await run.over() == "COMPLETED"
    assert steps.done == ["submit", "find", "find", "find", "poll", "archive", "complete"]
    assert await run.took() < timedelta(minutes=1)


async def test_looking_into_the_list_adds_no_history(start: Start) -> None:
    lengths = []
    for looks in (2, 40):
        run = await start(Steps(submits=[lost_answer()], finds=[not_listed()] * looks + [None]), skipping=True)
        assert await run.over() == "COMPLETED"
        names = [event.WhichOneof("attributes") or "" for event in (await run.handle.fetch_history()).events]
        lengths.append(sum("time_skipping" not in name for name in names))

    assert lengths[0] == lengths[1]


@pytest.mark.parametrize("find", [not_listed(), without_a_list()], ids=["never listed", "no list"])
async def test_what_nothing_explains_is_not_sent_again(start: Start, find: ApplicationError) -> None:
    steps = Steps(submits=[lost_answer()], finds=[find])
    run = await start(steps, generation(poll_interval=SELDOM), skipping=True)

    assert await run.over() == "FAILED"
    assert steps.count("submit") == 1
    assert ended_as(steps) is FailureCode.UNKNOWN_OUTCOME
    assert await run.took() >= WINDOW


@pytest.mark.parametrize("policy", UncertainSubmitPolicy)
async def test_webhook_that_waits_in_the_inbox_is_heard_before_anything_is_given_up(
    start: Start, policy: UncertainSubmitPolicy
) -> None:
    steps = Steps(submits=[lost_answer()], stored=report())
    run = await start(steps, generation(policy=policy), skipping=True)

    assert await run.over() == "COMPLETED"
    assert steps.count("submit") == 1
    assert steps.done[-5:] == ["look into the inbox", "adopt request-1", "poll", "archive", "complete"]


async def test_webhook_is_still_heard_where_there_is_no_list(start: Start) -> None:
    steps = Steps(submits=[lost_answer()], finds=[without_a_list()])
    run = await start(steps)
    await until(run, Stage.UNCERTAIN)
    await steps.until_begun("find")
    await run.hear(report())

    assert await run.over() == "COMPLETED"


async def test_somebody_elses_request_is_not_ours_and_the_window_goes_on(start: Start) -> None:
    steps = Steps(submits=[lost_answer()], strangers=frozenset({"somebody-elses"}))
    run = await start(steps)
    await until(run, Stage.UNCERTAIN)
    await run.hear(report("somebody-elses"))
    await run.hear(report("somebody-elses"))
    await run.pass_time(timedelta(minutes=5))
    await run.hear(report())

    assert await run.over() == "COMPLETED"
    assert [step for step in steps.done if step.startswith("adopt")] == ["adopt somebody-elses", "adopt request-1"]


async def test_policy_sends_it_once_more_after_the_window(start: Start) -> None:
    steps = Steps(submits=[lost_answer(), None], webhook_expected=False)
    run = await start(steps, generation(RESUBMIT), skipping=True)

    assert await run.over() == "COMPLETED"
    assert steps.count("submit") == 2
    assert WINDOW <= await run.took() < WINDOW + timedelta(minutes=1)


AWAY = PostgresUnavailable("it restarts")
NOT_SENT = not_sent_in_time("fal")
IN_VAIN = ApplicationError("it restarts", type="PostgresUnavailable", next_retry_delay=WINDOW)
"""There is no time for another try."""


@pytest.mark.parametrize(
    "steps",
    [Steps(submits=[IN_VAIN], finds=[NOT_SENT]), Steps(submits=[IN_VAIN], finds=[AWAY], stored=NOT_SENT)],
    ids=["at once", "after an outage"],
)
async def test_what_was_not_sent_in_time_is_not_sent_by_policy(start: Start, steps: Steps) -> None:
    run = await start(steps, generation(RESUBMIT, submission_window=timedelta(seconds=5)), skipping=True)

    assert await run.over() == "FAILED"
    assert ended_as(steps) is FailureCode.WAIT_EXPIRED
    assert steps.count("submit") == 1
    assert steps.done[-1] == "end"


async def test_policy_sends_it_no_third_time(start: Start) -> None:
    steps = Steps(submits=[lost_answer()])
    run = await start(steps, generation(RESUBMIT, poll_interval=SELDOM), skipping=True)

    assert await run.over() == "FAILED"
    assert steps.count("submit") == 2
    assert ended_as(steps) is FailureCode.UNKNOWN_OUTCOME
    assert await run.took() >= 2 * WINDOW


async def test_policy_sends_nothing_after_the_deadline(start: Start) -> None:
    steps = Steps(submits=[lost_answer()])
    run = await start(steps, generation(RESUBMIT, poll_interval=SELDOM, deadline=timedelta(minutes=10)), skipping=True)

    assert await run.over() == "FAILED"
    assert steps.count("submit") == 1


async def sent_twice(start: Start, steps: Steps, then: Stage) -> Run:
    """A run that waits for its second request, while the first one's answer is lost for good."""
    steps.submits = [lost_answer(), None]
    run = await start(steps, generation(RESUBMIT, adoption_window=timedelta(seconds=1)))
    await until(run, Stage.UNCERTAIN)
    await run.pass_time(timedelta(seconds=2))
    await until(run, then)
    return run


@pytest.mark.parametrize("polling", [False, True], ids=["waiting", "polling"])
async def test_first_request_that_ends_is_used_and_the_second_withdrawn(start: Start, *, polling: bool) -> None:
    steps = Steps(webhook_expected=not polling, polls=[running()])
    run = await sent_twice(start, steps, Stage.POLLING if polling else Stage.GENERATING)
    await run.hear(report("request-1", attempt=1))
    await run.hear(report("request-2", attempt=2))

    assert await run.over() == "COMPLETED"
    assert steps.done[-4:] == ["adopt request-1", "withdraw request-2", "archive", "complete"]


async def test_cancel_in_the_middle_of_the_withdrawal_is_obeyed(start: Start) -> None:
    steps = Steps()
    steps.withdrawn.clear()
    run = await sent_twice(start, steps, Stage.GENERATING)
    await run.hear(report("request-1", attempt=1))
    await steps.until_begun("withdraw request-2", 1)
    await run.cancel_and_be_understood()
    steps.withdrawn.set()

    assert await run.over() == "CANCELED"
    assert "archive" not in steps.done
    assert steps.done[-1] == "end"


async def test_second_request_that_ends_first_is_used(start: Start) -> None:
    steps = Steps()
    run = await sent_twice(start, steps, Stage.GENERATING)
    await run.hear(report("request-2", attempt=2))
    await run.hear(report("request-1", attempt=1))

    assert await run.over() == "COMPLETED"
    assert steps.done[-2:] == ["archive", "complete"]
    assert "adopt request-1" not in steps.done


async def test_what_the_list_shows_at_the_windows_very_end_is_not_given_up(start: Start) -> None:
    steps = Steps(submits=[lost_answer()], finds=[None])
    steps.listed.clear()
    run = await start(steps, generation(adoption_window=timedelta(seconds=1)))
    await eventually(partial(run.has_event, "timer_fired_event_attributes"))
    steps.listed.set()

    assert await run.over() == "COMPLETED"
    assert steps.count("submit") == 1


async def test_cancel_in_the_middle_of_a_look_withdraws_what_it_finds(start: Start) -> None:
    steps = Steps(submits=[lost_answer()], finds=[None])
    steps.listed.clear()
    run = await start(steps)
    await until(run, Stage.UNCERTAIN)
    await steps.until_begun("find")
    await run.cancel_and_be_understood()
    steps.listed.set()

    assert await run.over() == "CANCELED"
    assert steps.done == ["submit", "find", "withdraw request-1", "end"]


async def test_cancel_while_uncertain_stops_the_search(start: Start) -> None:
    steps = Steps(submits=[lost_answer()])
    run = await start(steps)
    await until(run, Stage.UNCERTAIN)
    await run.handle.cancel()

    assert await run.over() == "CANCELED"
    assert steps.done[-1] == "end"
    assert (await run.handle.query(GenerationWorkflow.current_status)).stage is Stage.DONE


async def test_wish_to_look_now_hastens_the_search(start: Start) -> None:
    """The clock stands: the next look is due in 10 s."""
    steps = Steps(submits=[lost_answer()], finds=[not_listed(), not_listed(), None])
    run = await start(steps)
    await until(run, Stage.UNCERTAIN)
    for looks in (1, 2):
        await steps.until_begun("find", looks)
        await run.handle.signal(GenerationWorkflow.poll)

    assert await run.over() == "COMPLETED"
    assert steps.done == ["submit", "find", "find", "find", "poll", "archive", "complete"]


async def test_wish_to_look_now_does_not_lengthen_the_window(start: Start) -> None:
    steps = Steps(submits=[lost_answer()])
    run = await start(steps)
    await until(run, Stage.UNCERTAIN)
    await steps.until_begun("find", 1)
    await run.pass_time(timedelta(minutes=1))
    await run.handle.signal(GenerationWorkflow.poll)
    await run.pass_time(WINDOW - timedelta(seconds=30))

    assert await run.over() == "FAILED"
    assert ended_as(steps) is FailureCode.UNKNOWN_OUTCOME


async def test_wish_to_look_now_does_not_end_the_search(start: Start) -> None:
    steps = Steps(submits=[lost_answer()], finds=[not_listed()])
    run = await start(steps)
    await until(run, Stage.UNCERTAIN)
    await run.handle.signal(GenerationWorkflow.poll)
    await run.pass_time(timedelta(minutes=1))
    await run.hear(report())

    assert await run.over() == "COMPLETED"

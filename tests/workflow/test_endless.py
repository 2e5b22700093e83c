"""Every loop of the workflow ends, however long what it waits for does not come, and costs a bounded history."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.inputs import Accepted, Adoption
from reelay.domain.failure import FailureCode
from reelay.domain.generation import Generation, Stage, Submission, UncertainSubmitPolicy
from tests.workflow.conftest import Run, Start, generation, report, until
from tests.workflow.steps import Steps, lost_answer, not_listed, running, without_a_list
from workflows.generation import GenerationWorkflow

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
RESUBMIT = UncertainSubmitPolicy.RESUBMIT
MOST_EVENTS = 2_000
"""Temporal ends a run at 51,200."""


def down(kind: str, *, ask_again_in: timedelta = MINUTE) -> ApplicationError:
    return ApplicationError("it does not answer", type=kind, next_retry_delay=ask_again_in)


@dataclass(frozen=True, kw_only=True)
class Endless:
    """A provider that never gives what one of the loops waits for."""

    steps: Steps
    ends_as: FailureCode
    within: timedelta
    given: Generation | None = None
    is_withdrawn: bool = False


LOOPS = {
    "no end": Endless(
        steps=Steps(polls=[running(ask_again_in=MINUTE)]),
        ends_as=FailureCode.DEADLINE_EXCEEDED,
        within=HOUR,
        is_withdrawn=True,
    ),
    "no answer to polls": Endless(
        steps=Steps(polls=[down("Unavailable")], webhook_expected=False),
        ends_as=FailureCode.DEADLINE_EXCEEDED,
        within=HOUR,
        is_withdrawn=True,
    ),
    "no media": Endless(steps=Steps(archives=[False]), ends_as=FailureCode.NO_MEDIA, within=HOUR),
    "no media, asked often": Endless(
        steps=Steps(archives=[False], webhook_expected=False),
        ends_as=FailureCode.NO_MEDIA,
        within=6 * HOUR,
        given=generation(poll_interval=timedelta(seconds=3), deadline=6 * HOUR),
    ),
    "no media, and at work again": Endless(
        steps=Steps(archives=[False], polls=[None, running(ask_again_in=MINUTE)]),
        ends_as=FailureCode.DEADLINE_EXCEEDED,
        within=HOUR,
        is_withdrawn=True,
    ),
    "no room in the archive": Endless(
        steps=Steps(archives=[down("ArchiveUnavailable")]),
        ends_as=FailureCode.ARCHIVE_FAILED,
        within=2 * HOUR,
        given=generation(patience=MINUTE, archive_window=2 * HOUR - 10 * MINUTE),
    ),
    "no submission taken": Endless(
        steps=Steps(submits=[down("Throttled")]),
        ends_as=FailureCode.WAIT_EXPIRED,
        within=2 * HOUR,
        given=generation(submission_window=2 * HOUR),
    ),
    "no request listed": Endless(
        steps=Steps(submits=[lost_answer()], finds=[not_listed()]),
        ends_as=FailureCode.UNKNOWN_OUTCOME,
        within=HOUR,
        given=generation(poll_interval=MINUTE),
    ),
    "no answer to the list": Endless(
        steps=Steps(submits=[lost_answer()], finds=[down("Unavailable")]),
        ends_as=FailureCode.UNKNOWN_OUTCOME,
        within=HOUR,
    ),
    "no list, twice": Endless(
        steps=Steps(submits=[lost_answer()], finds=[without_a_list()]),
        ends_as=FailureCode.UNKNOWN_OUTCOME,
        within=HOUR,
        given=generation(RESUBMIT, poll_interval=MINUTE),
    ),
}


async def events_of(run: Run) -> int:
    names = [event.WhichOneof("attributes") or "" for event in (await run.handle.fetch_history()).events]
    return sum("time_skipping" not in name for name in names)


@pytest.mark.fault("S10")
@pytest.mark.parametrize("loop", LOOPS)
async def test_what_never_comes_ends_the_job_in_time(start: Start, loop: str) -> None:
    endless = LOOPS[loop]
    run = await start(endless.steps, endless.given, skipping=True)

    assert await run.over() == "FAILED"
    assert endless.steps.failed_as() is endless.ends_as
    assert await run.took() <= endless.within + 2 * MINUTE
    assert await events_of(run) < MOST_EVENTS
    assert endless.steps.done[-1] == "end"
    assert ("withdraw request-1" in endless.steps.done) == endless.is_withdrawn
    assert endless.steps.count("complete") == 0


async def test_what_shows_no_media_is_asked_ever_more_rarely(start: Start) -> None:
    steps = Steps(archives=[False], webhook_expected=False)
    run = await start(steps, skipping=True)

    assert await run.over() == "FAILED"
    assert 10 <= steps.count("archive") <= 20


@dataclass
class Pestering(Steps):
    """Whenever the workflow has dealt with something, it is told something else."""

    strangers_told: int = 0

    @activity.defn
    async def adopt(self, adoption: Adoption) -> Submission | None:
        self.strangers_told += 1
        await self._signal(GenerationWorkflow.report, report(f"stranger-{self.strangers_told}", attempt=9))
        return None

    @activity.defn
    async def poll(self, accepted: Accepted) -> None:
        await self._signal(GenerationWorkflow.poll)
        await super().poll(accepted)

    async def _signal(self, *signal: object) -> None:
        told: tuple[object, ...] = signal
        info = activity.info()
        assert info.workflow_id
        handle = activity.client().get_workflow_handle(info.workflow_id)
        await handle.signal(*told)  # type: ignore[call-overload]


SOON = timedelta(seconds=4)
"""On the real clock: nothing is waited for that could be skipped."""


@pytest.mark.parametrize(
    ("steps", "given", "code"),
    [
        (Pestering(), generation(deadline=SOON), FailureCode.DEADLINE_EXCEEDED),
        (Pestering(submits=[lost_answer()]), generation(adoption_window=SOON), FailureCode.UNKNOWN_OUTCOME),
    ],
    ids=["while it waits", "while it searches"],
)
async def test_strangers_reports_without_end_end_with_the_wait(
    start: Start, steps: Pestering, given: Generation, code: FailureCode
) -> None:
    run = await start(steps, given)
    await run.hear(report("stranger-0", attempt=9))

    assert await run.over() == "FAILED"
    assert steps.failed_as() is code
    assert steps.strangers_told > 1


async def test_requests_to_poll_without_end_end_at_the_deadline(start: Start) -> None:
    steps = Pestering(polls=[running()], webhook_expected=False)
    run = await start(steps, generation(deadline=SOON))

    assert await run.over() == "FAILED"
    assert steps.failed_as() is FailureCode.DEADLINE_EXCEEDED
    assert steps.count("poll") > 2


async def test_report_of_another_attempt_counts_while_the_result_holds_no_media(start: Start) -> None:
    """It comes with the report of the request that shows none, and is not thrown away with it."""
    steps = Steps(submits=[lost_answer(), None], archives=[False, None])
    steps.fetched.clear()
    run = await start(steps, generation(RESUBMIT, adoption_window=timedelta(seconds=1)))
    await until(run, Stage.UNCERTAIN)
    await run.pass_time(timedelta(seconds=2))
    await until(run, Stage.GENERATING)
    await run.hear(report("request-2", attempt=2))
    await steps.until_begun("archive")
    await run.hear(report("request-1", attempt=1))
    steps.fetched.set()

    assert await run.over() == "COMPLETED"
    assert steps.done[-5:] == ["archive", "adopt request-1", "withdraw request-2", "archive", "complete"]

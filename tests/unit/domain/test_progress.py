"""Progress is estimated from the stage and its age, and never claims an end that has not come."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelay.domain.generation import ACTIVE, Stage, Status
from reelay.domain.progress import estimate_progress, measured_progress

MINUTE = timedelta(minutes=1)
IN_ORDER = (
    Stage.RESERVING,
    Stage.WAITING,
    Stage.SUBMITTING,
    Stage.QUEUED,
    Stage.GENERATING,
    Stage.ARCHIVING,
    Stage.FINISHING,
)


def test_ends_are_100_or_0() -> None:
    assert estimate_progress(Status.COMPLETED, Stage.DONE, MINUTE, MINUTE) == 100
    assert estimate_progress(Status.FAILED, Stage.DONE, MINUTE, MINUTE) == 0
    assert estimate_progress(Status.CANCELED, Stage.ARCHIVING, MINUTE, MINUTE) == 0


@given(
    status=st.sampled_from(sorted(ACTIVE)),
    stage=st.sampled_from(Stage),
    ages=st.lists(st.timedeltas(timedelta(0), timedelta(days=3)), min_size=2).map(sorted),
    expected=st.timedeltas(timedelta(0), timedelta(hours=1)),
)
def test_grows_with_time_and_stays_below_100_while_it_lives(
    status: Status, stage: Stage, ages: list[timedelta], expected: timedelta
) -> None:
    estimates = [estimate_progress(status, stage, age, expected) for age in ages]

    assert all(earlier <= later for earlier, later in pairwise(estimates))
    assert stage is Stage.DONE or max(estimates) < 100


@given(age=st.timedeltas(timedelta(0), timedelta(days=3)))
def test_a_later_stage_is_never_behind_an_earlier_one(age: timedelta) -> None:
    latest = [estimate_progress(Status.IN_PROGRESS, stage, age, MINUTE) for stage in IN_ORDER]
    fresh = [estimate_progress(Status.IN_PROGRESS, stage, timedelta(0), MINUTE) for stage in IN_ORDER]

    assert all(before <= after for before, after in zip(latest, fresh[1:], strict=False))


@pytest.mark.fault("O7")
def test_a_clock_that_runs_behind_does_not_go_below_the_stages_start() -> None:
    assert estimate_progress(Status.SUBMITTED, Stage.GENERATING, -MINUTE, MINUTE) == 25


def test_a_provider_that_measures_stays_within_the_generating_part() -> None:
    assert [measured_progress(percent) for percent in (-5, 0, 50, 100, 400)] == [25, 25, 50, 75, 75]

"""The table of `docs/decisions/006-reconciliation.md`."""

from datetime import UTC, datetime, timedelta

import pytest

from reelay.domain.generation import Timing
from reelay.domain.reconciliation import LONGEST_AFTERMATH, Repair, RunState, SubmissionState, decide, is_overdue

ONE, MANY = timedelta(seconds=1), timedelta(hours=1)
LEAVE, START, RESUME, CANCEL, FAIL = Repair.LEAVE, Repair.START, Repair.RESUME, Repair.CANCEL, Repair.FAIL


@pytest.mark.parametrize(
    ("run", "by_submission"),
    [
        (RunState.OPEN, (LEAVE, LEAVE, LEAVE)),
        (RunState.UNKNOWN, (START, RESUME, RESUME)),
        (RunState.COMPLETED, (FAIL, RESUME, RESUME)),
        (RunState.FAILED, (FAIL, FAIL, FAIL)),
        (RunState.TIMED_OUT, (FAIL, FAIL, FAIL)),
        (RunState.STOPPED, (FAIL, FAIL, FAIL)),
        (RunState.CANCELED, (CANCEL, CANCEL, CANCEL)),
        (RunState.TERMINATED, (CANCEL, CANCEL, CANCEL)),
    ],
)
def test_what_an_open_row_needs(run: RunState, by_submission: tuple[Repair, ...]) -> None:
    states = (SubmissionState.NONE, SubmissionState.UNCERTAIN, SubmissionState.ACCEPTED)

    assert tuple(decide(run, submission) for submission in states) == by_submission


def test_only_what_temporal_never_had_is_started_without_an_attempt() -> None:
    started = [run for run in RunState if decide(run, SubmissionState.NONE) in (Repair.START, Repair.RESUME)]

    assert started == [RunState.UNKNOWN]


def test_a_run_may_outlive_its_deadline_by_its_archiving() -> None:
    timing = Timing(expected=ONE, patience=ONE, poll_interval=ONE, adoption_window=ONE, deadline=MANY)
    created = datetime(2026, 1, 1, tzinfo=UTC)
    submitted = created + 3 * MANY
    end = submitted + MANY + LONGEST_AFTERMATH

    assert not is_overdue(created, submitted, timing, end)
    assert is_overdue(created, submitted, timing, end + ONE)


def test_what_waits_for_its_submission_is_not_overdue_before_its_window_is() -> None:
    timing = Timing(expected=ONE, patience=ONE, poll_interval=ONE, adoption_window=ONE, deadline=ONE)
    created = datetime(2026, 1, 1, tzinfo=UTC)
    end = created + timing.submission_window + LONGEST_AFTERMATH

    assert not is_overdue(created, None, timing, end)
    assert is_overdue(created, None, timing, end + ONE)

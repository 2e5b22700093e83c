"""When a step is tried again: as the other side asks, or after growing pauses; never all at once, never too late."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.errors import LONGEST_BACKOFF, LONGEST_PAUSE, try_again
from reelay.providers.errors import Throttled, Unavailable

SPREAD = 1.25
TRIES = 200


def pauses(after: timedelta | None, *, attempt: int = 1, tries: int = TRIES) -> list[timedelta]:
    environment = ActivityEnvironment()
    environment.info = replace(ActivityEnvironment.default_info(), attempt=attempt)

    def pause() -> timedelta:
        error = try_again(Throttled("later"), after=after)
        assert isinstance(error, ApplicationError)
        assert not error.non_retryable
        assert error.next_retry_delay
        return error.next_retry_delay

    return environment.run(lambda: [pause() for _ in range(tries)])


@pytest.mark.fault("P7", "S4")
@pytest.mark.parametrize(
    ("asked", "least"),
    [
        (timedelta(seconds=3), timedelta(seconds=3)),
        (timedelta(days=1), LONGEST_PAUSE),
        (timedelta.max, LONGEST_PAUSE),
    ],
)
def test_what_is_asked_for_is_waited_for_up_to_a_limit_and_not_by_all_alike(asked: timedelta, least: timedelta) -> None:
    given = pauses(asked)

    assert all(least <= pause <= least * SPREAD for pause in given)
    assert len(set(given)) > TRIES / 2


@pytest.mark.fault("P6", "S4")
@pytest.mark.parametrize("nothing", [None, timedelta(0)])
def test_pauses_that_nobody_asked_for_grow_and_differ(nothing: timedelta | None) -> None:
    longest = [max(pauses(nothing, attempt=attempt)) for attempt in (1, 3, 5)]

    assert longest == sorted(longest)
    assert max(pauses(nothing, attempt=50)) <= LONGEST_BACKOFF + timedelta(seconds=1)
    assert len(set(pauses(nothing, attempt=6))) > TRIES / 2


OUTAGE = timedelta(hours=3)
JOBS = 250


@pytest.mark.fault("S4", "P6")
def test_jobs_ask_seldom_in_three_hours_and_come_back_spread_over_a_minute() -> None:
    """The pauses that the product takes, laid end to end: what a provider sees during its outage and after it."""
    asked: Counter[int] = Counter()
    for _ in range(JOBS):
        moment = timedelta(0)
        tries = int(OUTAGE / timedelta(seconds=20))
        growing = [pauses(None, attempt=attempt, tries=1)[0] for attempt in range(1, 6)]
        for pause in growing + pauses(None, attempt=6, tries=tries):
            moment += pause
            asked[int(moment.total_seconds())] += 1
            if moment >= OUTAGE:
                break
        assert moment >= OUTAGE, f"asked {tries} times"

    healed = int(OUTAGE.total_seconds())
    assert max(asked) <= healed + LONGEST_BACKOFF.total_seconds() + 1
    # With a pause of 30 s on average 250 jobs ask eight times a second, once the first pauses have drawn them apart.
    assert max(count for second, count in asked.items() if second > 60) < JOBS / 7


def test_pause_names_its_reason() -> None:
    environment = ActivityEnvironment()
    error = environment.run(lambda: try_again(Unavailable("fal answered HTTP 503")))

    assert (error.type, error.message) == ("Unavailable", "fal answered HTTP 503")

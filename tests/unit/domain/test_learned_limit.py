from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from reelay.domain.learned_limit import FIRST_SLOTS, INCREASE_AFTER, Lesson, Observation, learn


def seen(
    slots: int, *, in_use: int = 0, waiting: int = 0, queued: int = 0, ago: timedelta = INCREASE_AFTER
) -> Observation:
    return Observation(slots=slots, in_use=in_use, waiting=waiting, queued=queued, unchanged_for=ago)


def test_one_more_when_jobs_waited_and_all_were_run() -> None:
    assert learn(seen(2, in_use=2, waiting=1)) == (3, Lesson.ALL_RUN)
    assert learn(seen(2, in_use=2)) is None
    assert learn(seen(2, in_use=1, waiting=1)) is None
    assert learn(seen(2, in_use=2, waiting=1, ago=INCREASE_AFTER / 2)) is None


def test_a_quarter_less_when_the_provider_queues_and_never_none() -> None:
    assert learn(seen(8, in_use=8, waiting=1, queued=1)) == (6, Lesson.QUEUED)
    assert learn(seen(2, queued=1)) == (1, Lesson.QUEUED)
    assert learn(seen(1, in_use=1, waiting=1, queued=1)) is None


@given(st.integers(min_value=1, max_value=40), st.integers(min_value=1, max_value=200))
def test_swings_about_what_the_provider_runs(runs: int, begins_with: int) -> None:
    """Where jobs always wait."""
    slots, history = begins_with, []
    for _ in range(400):
        queued = max(slots - runs, 0)
        changed = learn(seen(slots, in_use=slots, waiting=9, queued=queued))
        slots = changed[0] if changed else slots
        history.append(slots)
    settled = history[-100:]
    assert min(settled) >= max(int(runs * 0.75), 1)
    assert max(settled) <= runs + 1
    assert runs in settled or runs < FIRST_SLOTS

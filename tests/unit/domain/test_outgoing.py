from datetime import timedelta

import pytest

from reelay.domain.outgoing import pause_before
from reelay.settings import WEBHOOK_SCHEDULE


def test_the_schedule_lasts_75_hours() -> None:
    pauses = [pause_before(attempt, WEBHOOK_SCHEDULE) for attempt in range(1, 12)]
    assert pauses[10] is None
    assert pauses[0] == timedelta(0)
    for pause, wanted in zip(pauses[:10], WEBHOOK_SCHEDULE, strict=True):
        assert pause is not None
        assert wanted <= pause <= wanted * 1.1
    assert sum(WEBHOOK_SCHEDULE, timedelta(0)) == timedelta(hours=75, minutes=35, seconds=5)


def test_what_failed_together_is_not_tried_again_together() -> None:
    assert len({pause_before(4, WEBHOOK_SCHEDULE) for _ in range(20)}) > 1


@pytest.mark.parametrize(
    ("asked", "pause"),
    [
        (timedelta(hours=1), timedelta(hours=1)),
        (timedelta(days=365), timedelta(hours=24)),
    ],
)
def test_a_receiver_may_ask_for_more_time(asked: timedelta, pause: timedelta) -> None:
    assert pause_before(2, WEBHOOK_SCHEDULE, asked) == pause


def test_a_receiver_may_not_ask_for_less() -> None:
    pause = pause_before(3, WEBHOOK_SCHEDULE, timedelta(seconds=1))
    assert pause is not None
    assert pause >= timedelta(minutes=5)

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from reelay.domain.forecast import Span, expected_starts


def minutes(expected: float, earliest: float, latest: float) -> Span:
    return Span(*(timedelta(minutes=each) for each in (expected, earliest, latest)))


def exactly(*each: float) -> list[Span]:
    return [Span.exact(timedelta(minutes=number)) for number in each]


def test_starts_are_expected_in_the_slot_that_is_free_first() -> None:
    assert expected_starts(exactly(2, 5), 2, exactly(1, 1, 3)) == exactly(2, 3, 4)
    assert expected_starts([], 2, exactly(1, 1, 3)) == exactly(0, 0, 1)
    assert expected_starts(exactly(-1), 1, exactly(1)) == exactly(0)


def test_doubt_grows_with_what_goes_first_and_more_slowly_than_that() -> None:
    first, second, third = expected_starts([minutes(3, 2, 7)], 1, [minutes(4, 1, 7)] * 2 + [minutes(1, 1, 1)])
    assert first == minutes(3, 2, 7)
    assert second == Span(timedelta(minutes=7), timedelta(minutes=7 - 10**0.5), timedelta(minutes=7 + 5))
    assert timedelta(minutes=5) < third.latest - third.expected < timedelta(minutes=4 + 3 + 3)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100)), max_size=30), st.integers(1, 5))
def test_ranges_hold_what_is_expected(times: list[tuple[float, float, float]], slots: int) -> None:
    spans = [minutes(*(sorted(each)[index] for index in (1, 0, 2))) for each in times]
    for start in expected_starts(spans[:slots], slots, spans):
        assert start.earliest <= start.expected <= start.latest

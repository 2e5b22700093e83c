"""When jobs that wait for a slot are expected to start and to end, and between which moments most of them do.

What one job takes varies, and what several take one after the other varies less than the sum of that: deviations are
taken as independent, so that their squares add up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from heapq import heapify, heapreplace
from math import sqrt
from typing import Self

NOW = timedelta(0)
GUESSED_SHARES = (0.5, 2.0)
"""Of the expected time, where nobody has measured what a model takes."""


@dataclass(frozen=True, order=True)
class Span:
    """A time, with the range in which four of five fall."""

    expected: timedelta
    earliest: timedelta
    latest: timedelta

    @classmethod
    def guess(cls, expected: timedelta) -> Self:
        least, most = GUESSED_SHARES
        return cls(expected, expected * least, expected * most)

    @classmethod
    def exact(cls, at: timedelta) -> Self:
        return cls(at, at, at)

    def not_before(self, moment: timedelta) -> "Span":
        return Span(max(self.expected, moment), max(self.earliest, moment), max(self.latest, moment))

    def minus(self, elapsed: timedelta) -> "Span":
        return Span(self.expected - elapsed, self.earliest - elapsed, self.latest - elapsed)

    def plus(self, other: "Span") -> "Span":
        """One after the other."""
        expected = self.expected + other.expected
        sooner = _length(self.expected - self.earliest, other.expected - other.earliest)
        later = _length(self.latest - self.expected, other.latest - other.expected)
        return Span(expected, expected - sooner, expected + later)


def expected_starts(ends: Sequence[Span], slots: int, durations: Sequence[Span]) -> list[Span]:
    """From now, when jobs that take so long start one after the other, each in the slot that is free first.

    `ends`: when those end that hold a slot now.
    """
    free = [end.not_before(NOW) for end in ends] + [Span.exact(NOW)] * (slots - len(ends))
    heapify(free)
    starts = []
    for duration in durations:
        starts.append(free[0])
        heapreplace(free, free[0].plus(duration))
    return starts


def _length(one: timedelta, other: timedelta) -> timedelta:
    return timedelta(seconds=sqrt(one.total_seconds() ** 2 + other.total_seconds() ** 2))

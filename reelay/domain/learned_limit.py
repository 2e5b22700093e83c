"""How many requests a provider runs at once, learned from whether it queues what it is sent.

Additive increase, multiplicative decrease (Chiu and Jain, 1989): one more each time that the limit was what jobs waited
for and the provider ran them all, a quarter less when it queued one.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

FIRST_SLOTS = 2
"""What fal gives a new account."""
USUAL_QUEUE = timedelta(seconds=10)
"""What is in the provider's queue for longer waits for one of our own requests to end."""
INCREASE_AFTER = timedelta(seconds=30)
KEPT_OF_LIMIT = 0.75


class Learned(StrEnum):
    """In the place of a limit."""

    AUTO = "auto"


class Lesson(StrEnum):
    """Why a learned limit is what it is.

    - `begun`: it is where learning begins.
    - `queued`: the provider queued what it was sent within the limit.
    - `all_run`: jobs waited for a slot while the provider ran all that it had.
    """

    BEGUN = "begun"
    QUEUED = "queued"
    ALL_RUN = "all_run"


@dataclass(frozen=True, kw_only=True)
class Observation:
    """Of a provider's account since its limit was changed last."""

    slots: int
    in_use: int
    waiting: int
    queued: int
    """Sent since then, and in the provider's queue for longer than usual."""
    unchanged_for: timedelta


def learn(seen: Observation) -> tuple[int, Lesson] | None:
    """The new limit; None while nothing follows from what was seen."""
    if seen.queued:
        fewer = max(1, int(seen.slots * KEPT_OF_LIMIT))
        return (fewer, Lesson.QUEUED) if fewer < seen.slots else None
    if seen.waiting and seen.in_use >= seen.slots and seen.unchanged_for >= INCREASE_AFTER:
        return seen.slots + 1, Lesson.ALL_RUN
    return None

"""How much of something a user may have in a time."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Quota:
    """A bucket that holds `amount` at most and refills evenly within the window."""

    name: str
    amount: int
    window: float
    """Seconds."""

    @property
    def rate(self) -> float:
        """What comes back in a second."""
        return self.amount / self.window


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What was had of a quota."""

    quota: Quota
    granted: int
    left: float

    @property
    def seconds_to_next(self) -> float:
        """Until there is one more to be had."""
        return max(0.0, (1 - self.left) / self.quota.rate)

    @property
    def seconds_to_full(self) -> float:
        return (self.quota.amount - self.left) / self.quota.rate

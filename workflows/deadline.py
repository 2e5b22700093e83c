"""The moment at which a generation gives up."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio import workflow


@dataclass
class Deadline:
    """At first the end of the wait for a submission; from the submission on, that of the provider's work on it."""

    at: datetime

    @property
    def has_passed(self) -> bool:
        return workflow.now() >= self.at

    def time_left(self) -> timedelta:
        """Never less than a moment, so that a last activity can still be started."""
        return max(self.at - workflow.now(), timedelta(seconds=1))

"""What is compared: anything that can carry one generation from its creation to its end."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

PROVIDER_SECONDS = 0.2
"""How long the provider takes, from the submission to its webhook."""
STATUS_AFTER_SECONDS = 0.1
"""When a timed generation is asked for its status: while it waits for the provider."""


class Step(StrEnum):
    """What a timed generation is timed at."""

    CREATE = "create"
    STATUS = "status"
    WEBHOOK = "webhook"
    """The provider's word, until it is acknowledged."""
    FINISH = "finish"
    """From the provider's word to the end."""
    WHOLE = "whole"
    """From before the creation to the end."""


Timings = Mapping[Step, float]
"""Seconds."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A webhook. The moments are of the machine's monotonic clock, the same for all its processes."""

    sent_at: float
    """For the first time."""
    acknowledged_at: float


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What one generation left behind in the engine."""

    events: int
    """Of its history."""
    actions: int
    """As Temporal Cloud bills them, as far as the history tells: queries leave no trace."""
    history_bytes: int
    """As the server counts them."""


class Contender(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def processes(self) -> Mapping[str, int]:
        """Its own processes, name to pid."""
        ...

    async def generate(self) -> str:
        """One generation to its end; its id. Raises whatever kept it from completing."""
        ...

    async def generate_timed(self) -> Timings:
        """The same under the clock, with one look at its status in the middle."""
        ...

    async def footprint(self, job: str) -> Footprint | None:
        """None without a Temporal history."""
        ...

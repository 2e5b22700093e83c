"""What is compared: anything that can carry one generation from its creation to its end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import httpx

PROVIDER_SECONDS = 0.2
"""How long the provider takes, from the submission to its webhook."""
STATUS_AFTER_SECONDS = 0.1
"""When a timed generation is asked for its status: while it waits for the provider."""

# A server that closes a resting connection after 5 s, uvicorn's way, may do so just when it is used again.
CONNECTIONS = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=1.0)
"""As many as there are calls."""


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
class Footprint:
    """What one generation left behind in the engine."""

    events: int
    """Of its history."""
    actions: int
    """As Temporal Cloud bills them, as far as the history tells: queries leave no trace."""
    history_bytes: int = field(default=0, compare=False)
    """As the server counts them; nobody promises any."""


class Contender(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def promise(self) -> Footprint | None:
        """What it claims that a job leaves behind."""
        ...

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

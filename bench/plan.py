"""How much is measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True)
class Plan:
    throughput: Mapping[int, int]
    """Concurrency to generations per round."""
    latency: Mapping[int, int]
    """The same for the timed generations."""
    rounds: int
    """At most."""
    budget: timedelta
    """After the first round none is begun that would, going by the first, end later than this."""
    archive_rounds: int = 0
    """0 leaves the study out; so do the next four."""
    waiting: int = 0
    """Generations at once."""
    streams: int = 0
    """Open at once."""
    pollers: int = 0
    """Readers of one living job."""
    polls: int = 7
    """Of each of them."""
    poll_seconds: float = 3.0
    """From one to the next."""
    stored: Sequence[int] = ()
    """Generations in the database; growing."""


# On two cores a round takes about 60 s short and 4 minutes full.
SHORT = Plan(throughput={1: 5, 16: 48, 64: 96}, latency={1: 10, 16: 32}, rounds=2, budget=timedelta(seconds=95))
FULL = Plan(
    throughput={1: 10, 16: 96, 64: 256},
    latency={1: 30, 16: 96},
    rounds=3,
    budget=timedelta(minutes=6),
    archive_rounds=2,
    waiting=1000,
    streams=1000,
    pollers=50,
    stored=(1000, 1_000_000),
)

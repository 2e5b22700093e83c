"""How much is measured."""

from collections.abc import Mapping
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


# On two cores a round takes about 60 s short and 4 minutes full.
SHORT = Plan(throughput={1: 5, 16: 48, 64: 96}, latency={1: 10, 16: 32}, rounds=2, budget=timedelta(seconds=95))
FULL = Plan(throughput={1: 15, 16: 128, 64: 320}, latency={1: 30, 16: 100}, rounds=5, budget=timedelta(minutes=9))

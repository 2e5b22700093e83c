"""How much is measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    limit: timedelta | None = None
    """For all of it: a study is given up when it is over, and none is begun after it."""
    studies: Mapping[str, int] = field(default_factory=dict)
    """In their order, with the size of each."""

    def only(self, studies: Mapping[str, int | None]) -> "Plan":
        """These alone, without the comparison of the contenders and without a limit; where a size is given, of it.

        Raises: LookupError.
        """
        if unknown := studies.keys() - self.studies.keys():
            raise LookupError(f"there is no study {', '.join(sorted(unknown))}: {', '.join(self.studies)}")
        sizes = {name: studies[name] or size for name, size in self.studies.items() if name in studies}
        return replace(self, throughput={}, latency={}, limit=None, studies=sizes)


# On two cores a round takes about 75 s short and 2 minutes full. 10,000 waiting take half an hour, so they are run by
# themselves; so are 10,000 events.
SHORT = Plan(throughput={1: 5, 16: 48, 64: 96}, latency={1: 10, 16: 32}, rounds=2, budget=timedelta(seconds=95))
FULL = Plan(
    throughput={1: 6, 16: 64, 64: 160},
    latency={1: 20, 16: 64},
    rounds=3,
    budget=timedelta(minutes=5),
    limit=timedelta(minutes=30),
    studies={
        "archive": 2,  # rounds
        "cancel": 512,  # MiB of the file that is archived meanwhile
        "files": 2048,  # MiB of an upload; a result has half of them
        "polling": 7,  # polls of each reader
        "streams": 1000,  # open at once
        "growth": 256,  # generations at once, at most
        "switches": 48,  # generations with each, per round
        "waiting": 500,  # generations
        "outgoing": 1000,  # events
        "mixing": 60,  # seconds of film
        "slots": 500,  # generations that wait for one
        "pythons": 48,  # generations by each, per round
        "pruning": 100_000,  # generations that are deleted
        "stored": 1_000_000,  # generations, at most; last, because all that comes after would live with them
    },
)

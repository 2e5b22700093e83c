"""How much is measured."""

from collections.abc import Collection, Mapping, Sequence
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
    archive_rounds: int = 0
    """0 leaves the study out; so do the next ones."""
    cancelled_bytes: int = 0
    """Of a file whose generation is canceled while it is archived."""
    large_file_bytes: int = 0
    """Of an upload; a result has half of them."""
    pollers: int = 0
    """Readers of one living job."""
    polls: int = 7
    """Of each of them."""
    poll_seconds: float = 3.0
    """From one to the next."""
    streams: int = 0
    """Open at once."""
    concurrency: Mapping[int, int] = field(default_factory=dict)
    """Growth: concurrency to generations."""
    waiting: int = 0
    """Generations at once."""
    events: int = 0
    """Told to endpoints at once."""
    film_seconds: int = 0
    """Of a film that is mixed."""
    in_line: int = 0
    """Generations that wait for a slot at once."""
    pythons: int = 0
    """Generations by each Python, per round."""
    pruned: int = 0
    """Generations that are deleted beside others."""
    stored: Sequence[int] = ()
    """Generations in the database; growing."""
    stored_generations: int = 64
    """With each number of them."""

    def only(self, studies: Collection[str]) -> "Plan":
        """Without the comparison of the contenders, and without any other study. Raises: LookupError."""
        if unknown := set(studies) - STUDIES.keys():
            raise LookupError(f"there is no study {', '.join(sorted(unknown))}: {', '.join(STUDIES)}")
        left_out = {size: type(getattr(self, size))() for study, size in STUDIES.items() if study not in studies}
        return replace(self, throughput={}, latency={}, **left_out)


STUDIES = {
    "archive": "archive_rounds",
    "cancel": "cancelled_bytes",
    "files": "large_file_bytes",
    "polling": "pollers",
    "streams": "streams",
    "growth": "concurrency",
    "waiting": "waiting",
    "outgoing": "events",
    "mixing": "film_seconds",
    "slots": "in_line",
    "pythons": "pythons",
    "pruning": "pruned",
    "stored": "stored",
}
"""In their order, each with the field that says how much of it there is."""

# On two cores a round takes about 65 s short and 2 minutes full. 10,000 waiting take half an hour, so they are run by
# themselves; so are 10,000 events.
SHORT = Plan(throughput={1: 5, 16: 48, 64: 96}, latency={1: 10, 16: 32}, rounds=2, budget=timedelta(seconds=95))
FULL = Plan(
    throughput={1: 6, 16: 64, 64: 160},
    latency={1: 20, 16: 64},
    rounds=3,
    budget=timedelta(minutes=5),
    limit=timedelta(minutes=14),
    archive_rounds=2,
    cancelled_bytes=512 * 1024**2,
    large_file_bytes=2 * 1024**3,
    pollers=50,
    streams=1000,
    concurrency={1: 8, 4: 32, 16: 64, 64: 128, 256: 256},
    waiting=500,
    events=1000,
    film_seconds=60,
    in_line=500,
    pythons=48,
    pruned=100_000,
    stored=(1, 1000, 10_000, 100_000, 1_000_000),
    stored_generations=48,
)

"""The table on the terminal, with what its figures mean, and the same as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lab.bench.contender import PROVIDER_SECONDS, Footprint
from lab.bench.measuring import Round
from lab.bench.rows import Row, rows_of

NEXT_TO_NOTHING = 0.5
"""Of whatever a row counts: a ratio to less would be noise."""
NOTES = (
    "Every contender but the empty skeleton does the same job: a row, one POST to the provider, a signed webhook "
    "verified, the result fetched, 1 MiB of video downloaded, hashed, probed and given a poster, the row completed.",
    "empty skeleton: a Temporal workflow of five empty activities and a signal, driven by raw calls. floor with I/O: "
    "the job's steps as a Temporal workflow, written in the most direct way. DBOS: the same as a durable workflow by "
    "its documentation, in one process. no engine: web server and SQL; what is under way when it dies is lost.",
    "Reelay adds to the floor: API keys, row-level security, the attempt written down before its POST, credits held "
    "and settled, guarded downloads, an archive, a timeline, live progress.",
    "All use the same development server of Temporal (one shard, SQLite) or the same Postgres, durability on. "
    "Servers, contenders, provider and driver share the machine's cores, and machines are noisy: only the ratios of "
    "one run mean something.",
    "Rates and CPU are medians of rounds in which the contenders take turns; p50 and p99 are of all rounds' samples.",
    f"The provider takes {PROVIDER_SECONDS:g} s: a single caller gets less than {1 / PROVIDER_SECONDS:g} generations "
    "per second, whatever else happens.",
    "With Temporal the end is learned by one long poll of the workflow, without it by one of its process. The HTTP "
    "latencies contain the Python client's own time.",
    "Event streams are read by one process, whose own time is in what they tell. Queries of the engine are those that "
    "its server counted; readers of one job share an answer that is at most a second old. A 304 "
    "says that not even the job's estimate has moved.",
    "Actions are counted from histories: a query is one more, and leaves no event.",
)


@dataclass(frozen=True, kw_only=True)
class Report:
    machine: Mapping[str, str]
    promises: Mapping[str, Footprint] = field(default_factory=dict)
    """By contender."""
    rounds: Sequence[Round] = ()
    studies: Sequence[Row] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    """What kept a study from its end, by its name."""
    is_whole: bool = False
    """There is nothing left to be measured."""

    @property
    def comparison(self) -> list[Row]:
        return rows_of(self.rounds) if self.rounds else []

    @property
    def broken_promises(self) -> list[str]:
        """Of the runs with the least load: under more, a repeated step may cost an action."""
        return [
            f"{name} promises at most {promise.events} events and {promise.actions} actions, and left "
            f"{left.events} and {left.actions}"
            for name, promise in self.promises.items()
            for left in _at_least_load(self.rounds, name)
            if left.events > promise.events or left.actions > promise.actions
        ]

    def write(self, path: Path) -> None:
        """The rows of the table, and all that they were made of."""
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {
            "machine": self.machine,
            "is_whole": self.is_whole,
            "failures": dict(self.failures),
            "comparison": [asdict(row) for row in self.comparison],
            "studies": [asdict(row) for row in self.studies],
            "rounds": [asdict(round) for round in self.rounds],
        }
        new = path.with_suffix(".new")
        new.write_text(json.dumps(document, indent=1))
        new.replace(path)

    def show(self, console: Console) -> None:
        facts = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        console.print(f"{facts}, rounds {len(self.rounds)}", markup=False, highlight=False, soft_wrap=True)
        for table in self._tables():
            console.print(table)
        for name, why in self.failures.items():
            console.print(f"{name} is missing: {why}", markup=False, highlight=False)
        for note in (*self._kept_promises(), *NOTES):
            console.print(f"- {note}", markup=False, highlight=False)

    def _tables(self) -> Iterator[Table]:
        """One for the contenders, and one for each study."""
        if self.comparison:
            yield _table(self.comparison)
        for _, rows in groupby(self.studies, lambda row: row.section):
            yield _table(list(rows))

    def _kept_promises(self) -> Iterator[str]:
        for name, promise in self.promises.items():
            throughput = [each for round in self.rounds for each in round.throughput if each.contender == name]
            found = [footprint for each in throughput for footprint in each.footprints]
            more = sum(left.events > promise.events or left.actions > promise.actions for left in found)
            yield (
                f"{name} promises at most {promise.events} events and {promise.actions} actions per generation. Of "
                f"{len(found)} runs {found.count(promise)} left just that, {len(found) - found.count(promise) - more} "
                f"less, {more} more. Under load a webhook may come before its timer is set, which saves the timer."
            )


def _at_least_load(rounds: Sequence[Round], contender: str) -> list[Footprint]:
    throughput = [each for round in rounds for each in round.throughput if each.contender == contender]
    least = min(each.concurrency for each in throughput)
    return [left for each in throughput if each.concurrency == least for left in each.footprints]


def _table(rows: Sequence[Row]) -> Table:
    first, *others = dict.fromkeys(name for row in rows for name in row.values)
    table = Table(box=None, header_style="bold")
    table.add_column("", no_wrap=True)
    for heading in (first, *others, *(f"{first} / {other}" for other in others)):
        table.add_column(heading, justify="right")
    for section, members in groupby(rows, lambda row: row.section):
        table.add_row(section, style="bold")
        for row in members:
            values = (_figure(row.values.get(name)) for name in (first, *others))
            table.add_row(f"  {row.label}", *values, *(_ratio(row, first, other) for other in others))
    return table


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _ratio(row: Row, one: str, other: str) -> str:
    if row.values.get(other, 0.0) < NEXT_TO_NOTHING or one not in row.values:
        return ""
    return f"{row.values[one] / row.values[other]:.2f}"

"""What a run has measured: rows of figures, on the terminal, in Markdown and in a file of JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True)
class Row:
    section: str
    label: str
    values: Mapping[str, float]
    """By contender; one that has no such figure is not in it."""


def of_reelay(section: str, label: str, value: float) -> Row:
    return Row(section, label, {"Reelay": value})


@dataclass(frozen=True, kw_only=True)
class Results:
    machine: Mapping[str, str]
    """Where and with what it was measured: figures without it say nothing."""
    comparison: Sequence[Row] = ()
    """Of the contenders."""
    studies: Sequence[Row] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    """What kept a study from its end, or Reelay from its promise, by its name."""
    is_whole: bool = False
    """There is nothing left to be measured."""

    @property
    def rows(self) -> Sequence[Row]:
        return (*self.comparison, *self.studies)

    def find(self, section: str, label: str) -> Row | None:
        """The row of a section that begins like this; of several the last: what is larger comes later."""
        found = [row for row in self.rows if row.section.startswith(section) and row.label == label]
        return found[-1] if found else None

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self), indent=1) + "\n")
        new.replace(path)


def read_results(path: Path) -> Results:
    document = json.loads(path.read_text())
    return Results(
        machine=document["machine"],
        failures=document["failures"],
        comparison=[Row(**row) for row in document["comparison"]],
        studies=[Row(**row) for row in document["studies"]],
    )


def merged(runs: Sequence[Results]) -> Results:
    """Of several runs the first has the comparison and the machine; the studies of the others stand beside its own, or
    for them where they are of the same size."""
    first, *others = runs
    for other in others:
        sections = {row.section for row in other.studies}
        kept = [row for row in first.studies if row.section not in sections]
        first = replace(first, studies=[*kept, *other.studies])
    return first

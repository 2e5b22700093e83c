"""A run's results, read again from their file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.bench.rows import Row


@dataclass(frozen=True, kw_only=True)
class Results:
    machine: Mapping[str, str]
    failures: Mapping[str, str]
    comparison: Sequence[Row]
    """Of the contenders."""
    studies: Sequence[Row]

    @property
    def rows(self) -> Sequence[Row]:
        return (*self.comparison, *self.studies)

    def find(self, section: str, label: str) -> Row | None:
        """The row of a section that begins like this; of several the last: what is larger comes later."""
        found = [row for row in self.rows if row.section.startswith(section) and row.label == label]
        return found[-1] if found else None

    def section(self, section: str) -> list[Row]:
        """The rows of the sections that begin like this."""
        return [row for row in self.rows if row.section.startswith(section)]


def read_results(path: Path) -> Results:
    document = json.loads(path.read_text())
    return Results(
        machine=document["machine"],
        failures=document["failures"],
        comparison=[Row(**row) for row in document["comparison"]],
        studies=[Row(**row) for row in document["studies"]],
    )

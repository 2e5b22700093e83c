"""A run's results as tables for `docs/performance.md`: `python -m bench.markdown bench/results/<run>.json`."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def lines_of(document: Mapping[str, Any]) -> Iterator[str]:
    yield ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    for compared, rows in groupby(document["rows"], key=_compared):
        yield from _table(compared, list(rows))


def _compared(row: Row) -> tuple[str, ...]:
    """What the table's columns are: the contenders of the main table, even of a row that not all of them have."""
    return () if "Reelay" in row["values"] and len(row["values"]) != 2 else tuple(row["values"])


def _table(compared: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    names = compared or tuple(dict.fromkeys(name for row in rows for name in row["values"]))
    yield ""
    yield f"| | {' | '.join(names)} |"
    yield f"| --- |{' ---: |' * len(names)}"
    for section, members in groupby(rows, key=lambda row: row["section"]):
        yield f"| **{section}** |{' |' * len(names)}"
        for row in members:
            figures = (f"{row['values'][name]:.1f}" if name in row["values"] else "" for name in names)
            yield f"| {row['label']} | {' | '.join(figures)} |"


def main(path: Path) -> None:
    sys.stdout.write("\n".join(lines_of(json.loads(path.read_text()))) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

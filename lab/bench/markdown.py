"""A run's results as Markdown: `python -m lab.bench.markdown lab/bench/results/<run>.json...`.

Of several runs the first has the comparison; the studies of the others stand beside its own, or for them where they
are of the same size.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from lab.bench.cloud import PRICES_READ, lines_of_cloud
from lab.bench.figures import Results, read_results
from lab.bench.goals import FOOTPRINT, lines_of_goals
from lab.bench.rows import Row

SUMMARY = (
    ("generations per second", "at concurrency 1"),
    ("generations per second", "at concurrency 64"),
    ("milliseconds at concurrency 1,", "POST (skeleton: insert, then start), p50"),
    ("milliseconds at concurrency 1,", "webhook until the end (skeleton: signal), p50"),
    (FOOTPRINT, "history events"),
    (FOOTPRINT, "billable actions"),
    ("CPU milliseconds per generation", "all of these"),
)
"""What docs/performance.md shows of the comparison: sections by how they begin, and their rows."""


def blocks_of(results: Results) -> dict[str, list[str]]:
    """By what they are about; one that the results say nothing of is empty."""
    return {
        "summary": list(_lines_of_summary(results)),
        "run": list(_lines_of_run(results)),
        "goals": list(lines_of_goals(results)),
        "cloud": list(_lines_of_cloud(results)),
    }


def merged(runs: Sequence[Results]) -> Results:
    """The machine is the first one's."""
    first, *others = runs
    for other in others:
        sections = {row.section for row in other.studies}
        kept = [row for row in first.studies if row.section not in sections]
        first = replace(first, studies=[*kept, *other.studies])
    return first


def _lines_of_summary(results: Results) -> Iterator[str]:
    found = (results.find(section, label) for section, label in SUMMARY)
    if rows := [row for row in found if row]:
        yield ", ".join(f"{name} {value}" for name, value in results.machine.items())
        yield from _table(rows)


def _lines_of_run(results: Results) -> Iterator[str]:
    yield ", ".join(f"{name} {value}" for name, value in results.machine.items())
    if results.comparison:
        yield from _table(results.comparison)
    for _, rows in groupby(results.studies, key=lambda row: row.section):
        yield from _table(list(rows))
    for study, why in results.failures.items():
        yield from ("", f"{study} is missing: {why}")


def _table(rows: Sequence[Row]) -> Iterator[str]:
    names = tuple(dict.fromkeys(name for row in rows for name in row.values))
    yield ""
    yield f"| | {' | '.join(names)} |"
    yield f"| --- |{' ---: |' * len(names)}"
    for section, members in groupby(rows, key=lambda row: row.section):
        yield f"| **{section}** |{' |' * len(names)}"
        for row in members:
            figures = (f"{row.values[name]:.1f}" if name in row.values else "" for name in names)
            yield f"| {row.label} | {' | '.join(figures)} |"


def _lines_of_cloud(results: Results) -> Iterator[str]:
    found = [results.find(FOOTPRINT, label) for label in ("billable actions", "history, bytes")]
    actions, history = (row.values.get("Reelay") if row else None for row in found)
    if actions and history:
        yield f"Prices of {PRICES_READ}, {actions:g} actions and {history / 1000:.1f} KB of history per generation."
        yield ""
        yield from lines_of_cloud(actions=actions, history_bytes=history)


def main(paths: Sequence[Path]) -> None:
    blocks = blocks_of(merged([read_results(path) for path in paths]))
    sys.stdout.write("\n\n".join("\n".join(lines) for lines in blocks.values() if lines) + "\n")


if __name__ == "__main__":
    main([Path(path) for path in sys.argv[1:]])

"""Writes results into the documents: `python -m lab.bench.document <run>.json...`.

They are kept beside this module, as what the documents quote. A block stands between `<!-- bench: NAME -->` and
`<!-- end -->`; what is around it stays as it is.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from lab.bench.goals import CPU, FINISH, FOOTPRINT, POST, RATES, SINGLE, lines_of_goals
from lab.bench.results import Results, Row, merged, read_results

ROOT = Path(__file__).parents[2]
QUOTED = Path(__file__).with_name("quoted.json")
"""What the documents were written from."""
PAGES = {
    ROOT / "README.md": ("headline",),
    ROOT / "docs" / "performance.md": ("machine", "goals", "summary", "growth"),
    Path(__file__).with_name("NOTEBOOK.md"): ("run",),
}
"""Each document, and the blocks that stand in it."""
SUMMARY = (
    *((RATES, f"at concurrency {many}") for many in (1, 16, 64)),
    (SINGLE, f"{POST}, p50"),
    (SINGLE, FINISH),
    (FOOTPRINT, "history events"),
    (FOOTPRINT, "billable actions"),
    (CPU, "its own processes"),
    (CPU, "all of these"),
)
"""What readers see of the comparison: sections by how they begin, and their rows."""
GROWTH = (
    *(("per generation, by how many", f"CPU ms, {process}") for process in ("api", "worker", "temporal", "postgres")),
    *(
        ("milliseconds by stored generations", label)
        for label in ("POST", "GET of a finished job", "list, newest first")
    ),
)


def blocks_of(results: Results) -> dict[str, list[str]]:
    return {
        "headline": list(_headline(results)),
        "machine": [_machine(results)],
        "goals": list(lines_of_goals(results)),
        "summary": list(_table(_chosen(results, SUMMARY))),
        "growth": [line for _, rows in groupby(_chosen(results, GROWTH), _columns) for line in _table(list(rows))],
        "run": list(lines_of_run(results)),
    }


def _machine(results: Results) -> str:
    return ", ".join(f"{name} {value}" for name, value in results.machine.items())


def _headline(results: Results) -> Iterator[str]:
    """Of what a row says, in the words of a reader."""
    for text, section, label, unit in (
        ("Generations per second, 64 at once", RATES, "at concurrency 64", ""),
        ("CPU per generation, all processes and servers", CPU, "all of these", " ms"),
        ("Webhook sent until completed, p50", SINGLE, FINISH, " ms"),
    ):
        if row := results.find(section, label):
            yield f"- {text}: " + ", ".join(f"{name} {value:.1f}{unit}" for name, value in row.values.items()) + "."
    waiting = results.find("", "worker: MiB while all of them wait")
    if waiting:
        yield f"- {waiting.section.capitalize()}: {waiting.values['Reelay']:.0f} MiB of memory."


def lines_of_run(results: Results) -> Iterator[str]:
    """All tables."""
    yield _machine(results)
    if results.comparison:
        yield from _table(results.comparison)
    for _, rows in groupby(results.studies, key=lambda row: row.section):
        yield from _table(list(rows))
    for name, why in results.failures.items():
        yield from ("", f"{name} is missing: {why}")


def _chosen(results: Results, chosen: Sequence[tuple[str, str]]) -> list[Row]:
    return [row for section, label in chosen if (row := results.find(section, label))]


def _columns(row: Row) -> tuple[str, ...]:
    return tuple(row.values)


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


def with_blocks(text: str, blocks: Mapping[str, Sequence[str]]) -> str:
    """Raises: LookupError when the text has no place for one of them."""
    for name, lines in blocks.items():
        place = re.search(rf"(?<=<!-- bench: {name} -->\n).*?(?=<!-- end -->)", text, re.DOTALL)
        if place is None:
            raise LookupError(f"there is no place for {name}")
        inside = "\n".join(lines).strip("\n")
        text = f"{text[: place.start()]}\n{inside}\n\n{text[place.end() :]}"
    return text


def written(page: Path, results: Results) -> str:
    """The page with the results in their places."""
    blocks = blocks_of(results)
    return with_blocks(page.read_text(encoding="utf-8"), {name: blocks[name] for name in PAGES[page]})


def main(paths: Sequence[Path]) -> None:
    results = merged([read_results(path) for path in paths])
    results.write(QUOTED)
    for page in PAGES:
        page.write_text(written(page, results), encoding="utf-8")


if __name__ == "__main__":
    main([Path(path) for path in sys.argv[1:]])

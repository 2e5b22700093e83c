"""What the documents say of performance."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lab.bench.document import PAGES, QUOTED, blocks_of, with_blocks, written
from lab.bench.goals import RATES, lines_of_goals
from lab.bench.results import Results, Row, merged, read_results

SMALL, LARGE = "100 generations waiting on one worker", "10,000 generations waiting on one worker"


def results(*rows: Row) -> Results:
    return Results(machine={"machine": "2 cores"}, studies=rows)


def waiting(section: str, per_second: float) -> Row:
    values = {"Reelay": per_second, "steady rate at 64": 10.0}
    return Row(section, "all webhooks at once: completions per second", values)


def rates(many: int, values: Mapping[str, float]) -> Row:
    return Row(RATES, f"at concurrency {many}", values)


def test_goals_say_what_was_reached_missed_and_not_measured() -> None:
    measured = {"Reelay": 10.0, "DBOS": 20.0, "floor with I/O": 8.0}
    dbos, floor, *others = list(lines_of_goals(results(rates(64, measured), waiting(SMALL, 9.5))))[2:]
    assert dbos.endswith("| -, **0.50x (10 / 20)** | 0 of 1 reached, 1 not measured |")
    assert floor.endswith("| -, 1.25x (10 / 8) | reached, 1 not measured |")
    (many,) = (line for line in others if line.startswith("| 10,000 waiting are done"))
    assert many.endswith(f"| 0.95x (9.5 / 10), - | reached, 1 not measured; measured with {SMALL} |")
    assert sum(line.endswith("| not measured |") for line in others) > 5


def test_a_study_that_was_run_by_itself_stands_beside_those_of_the_run() -> None:
    run, alone = results(waiting(SMALL, 9.0)), results(waiting(LARGE, 5.0))
    blocks = blocks_of(merged([run, replace(alone, machine={})]))
    text = with_blocks(
        "<!-- bench: run -->\n<!-- end --> <!-- bench: goals -->\nwhat was there<!-- end -->",
        {name: blocks[name] for name in ("run", "goals")},
    )
    assert "what was there" not in text
    assert SMALL in text
    assert LARGE in text
    assert "**0.50x (5 / 10)**" in text  # of the larger one
    assert "machine 2 cores" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_says_what_was_measured(page: Path) -> None:
    """`python -m lab.bench.document <results.json>...` writes it."""
    assert written(page, read_results(QUOTED)) == page.read_text(encoding="utf-8")


def test_the_readme_quotes_four_lines() -> None:
    assert len(blocks_of(read_results(QUOTED))["headline"]) == 4

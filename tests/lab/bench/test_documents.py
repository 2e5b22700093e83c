"""What the document of performance is made of."""

from collections.abc import Mapping
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from lab.bench.cloud import INCLUDED_ACTIONS, INCLUDED_ACTIVE_GBH, INCLUDED_RETAINED_GBH, Month
from lab.bench.document import PAGES, with_blocks
from lab.bench.figures import Results
from lab.bench.goals import RATES, lines_of_goals
from lab.bench.markdown import blocks_of, merged
from lab.bench.plot import svg_of
from lab.bench.rows import Row

SMALL, LARGE = "100 generations waiting on one worker", "10,000 generations waiting on one worker"


def results(*rows: tuple[str, str, Mapping[str, float]]) -> Results:
    made = [Row(section=section, label=label, values=values) for section, label, values in rows]
    return Results(machine={"machine": "2 cores"}, failures={}, comparison=[], studies=made)


def waiting(section: str, per_second: float) -> tuple[str, str, Mapping[str, float]]:
    values = {"Reelay": per_second, "steady rate at 64": 10.0}
    return section, "all webhooks at once: completions per second", values


def test_goals_say_what_was_reached_missed_and_not_measured() -> None:
    rates = {"Reelay": 10.0, "empty skeleton": 20.0, "floor with I/O": 8.0}
    lines = list(lines_of_goals(results((RATES, "at concurrency 64", rates), waiting(SMALL, 9.5))))
    assert "| **0.50x**, 1.25x, - | 1 of 2 reached, 1 not measured |" in lines[2]
    (many,) = (line for line in lines if line.startswith("| 10,000 waiting"))
    assert f"| 0.95x, -, -, - | reached, 3 not measured; measured with {SMALL} |" in many
    assert sum("not measured |" in line for line in lines) > 5


def test_a_study_that_was_run_by_itself_stands_beside_those_of_the_run() -> None:
    run, alone = results(waiting(SMALL, 9.0)), results(waiting(LARGE, 5.0))
    blocks = blocks_of(merged([run, replace(alone, machine={})]))
    text = with_blocks("<!-- bench: run -->\n<!-- end --> <!-- bench: goals -->\nold<!-- end -->", blocks)
    assert "old" not in text
    assert SMALL in text
    assert LARGE in text
    assert "**0.50x**" in text  # of the larger one
    assert "machine 2 cores" in text


def test_growth_is_drawn_with_a_line_for_each_cost() -> None:
    counts = {f"{count:,} stored": 10.0 + count for count in (1000, 10, 0)}
    labels = ("CPU ms, worker", "CPU ms, postgres", "ms until the end, p50")
    drawn = svg_of(results(*(("per generation, 16 at once, by stored generations", each, counts) for each in labels)))
    picture = ElementTree.fromstring(drawn)
    lines = picture.findall("{*}polyline")
    assert len(lines) == 2  # the time until the end is not drawn
    points = [tuple(map(float, point.split(","))) for point in lines[0].attrib["points"].split()]
    assert points == sorted(points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    with pytest.raises(LookupError):
        svg_of(results())


def test_cloud_prices_are_those_of_the_examples_in_the_price_list() -> None:
    """https://docs.temporal.io/cloud/pricing"""
    month = Month(
        actions=INCLUDED_ACTIONS + 11.25e6,
        active_gbh=INCLUDED_ACTIVE_GBH + 720,
        retained_gbh=INCLUDED_RETAINED_GBH + 3600,
    )
    assert month.for_actions == 525
    assert month.for_storage == pytest.approx(34.02)
    assert month.for_plan == 500
    assert month.whole == pytest.approx(1059.02)


def test_each_page_has_a_place_for_its_blocks() -> None:
    for page, names in PAGES.items():
        text = page.read_text(encoding="utf-8")
        assert with_blocks(text, {name: ["new"] for name in names}).count("new\n\n<!-- end -->") == len(names)


def test_the_summary_shows_some_rows_of_the_run() -> None:
    rows = [Row(section=RATES, label=f"at concurrency {many}", values={"Reelay": 3.0}) for many in (1, 16, 64)]
    blocks = blocks_of(Results(machine={"machine": "2 cores"}, failures={}, comparison=rows, studies=[]))
    assert "| at concurrency 64 | 3.0 |" in blocks["summary"]
    assert not any("at concurrency 16" in line for line in blocks["summary"])

"""The smallest real run: faults, kills, and books that balance."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from lab.chaos.plan import Times, draw_plan
from lab.chaos.report import Report
from lab.chaos.run import run_chaos

SEED = 4  # kills the worker, then Temporal
JOBS = 45


@pytest.mark.fault("O1", "O3", "O5")
async def test_a_short_run_loses_nothing_pays_nothing_twice_and_leaves_nothing_hanging(tmp_path: Path) -> None:
    """With four slots at each provider, which are never exceeded, and do not leak."""
    plan = draw_plan(SEED, JOBS, Times(deadline=60, slots=4, wait=300))
    lines: list[str] = []
    evidence = await run_chaos(tmp_path / "chaos", plan, lines.append)

    report = Report(evidence)
    table = StringIO()
    report.show(Console(file=table, width=160))
    assert report.holds, table.getvalue()
    assert [kill.part for kill in evidence.kills] == [kill.part for kill in plan.kills]
    assert any(f"created {JOBS}/{JOBS}" in line for line in lines)
    assert not list((tmp_path / "chaos").glob("stack.json")), "the stack is stopped"

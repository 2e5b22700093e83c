"""The bench's smallest run: that it works, not how fast anything is."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path

from rich.console import Console

from lab.bench.plan import Plan
from lab.bench.report import Report
from lab.bench.run import run_bench

SMALLEST = Plan(
    throughput={2: 3}, latency={1: 2}, rounds=1, budget=timedelta(0), streams=4, pollers=2, polls=2, concurrency={2: 2}
)

CONTENDERS = ("Reelay", "empty skeleton", "floor with I/O", "DBOS", "no engine")


async def test_every_contender_completes_its_generations_within_what_it_promises(tmp_path: Path) -> None:
    results = tmp_path / "results" / "bench.json"
    report = await run_bench(tmp_path / "bench", SMALLEST, lambda line: None, lambda report: report.write(results))

    (round,) = report.rounds
    assert [(each.contender, each.generations) for each in round.throughput] == [(name, 3) for name in CONTENDERS]
    assert all(len(samples) == 2 for each in round.latency for samples in each.seconds.values())
    reelay = round.throughput[0]
    assert len(reelay.footprints) == 3
    assert all(left.events <= 29 and left.actions <= 6 for left in reelay.footprints)
    assert {"api", "worker", "temporal", "postgres"} < reelay.cpu_seconds.keys()
    assert not report.failures
    assert not report.broken_promises
    assert_tells_every_row(report, results)


def assert_tells_every_row(report: Report, path: Path) -> None:
    """On the terminal and in the file."""
    terminal = StringIO()
    report.show(Console(file=terminal, width=200))
    written = json.loads(path.read_text())
    rows = [*written["comparison"], *written["studies"]]
    assert rows
    assert all(row["label"] in terminal.getvalue() and row["values"] for row in rows)
    assert all("Reelay" in row["values"] for row in written["comparison"])

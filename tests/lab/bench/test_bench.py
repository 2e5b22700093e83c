"""The bench's smallest run: that it works, not how fast anything is."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from lab.bench.contenders import restate_server
from lab.bench.document import lines_of_run
from lab.bench.plan import FULL, Plan
from lab.bench.results import read_results
from lab.bench.run import STUDIES, run_bench

SMALLEST = Plan(
    throughput={2: 3},
    latency={1: 2},
    rounds=1,
    budget=timedelta(0),
    studies={"streams": 4, "polling": 2, "growth": 1},
)


async def test_every_contender_completes_its_generations_within_what_it_promises(tmp_path: Path) -> None:
    file, said = tmp_path / "results" / "bench.json", list[str]()
    results = await run_bench(tmp_path / "bench", SMALLEST, said.append, lambda results: results.write(file))
    is_installed = restate_server.find_binary() is not None
    contenders = ["Reelay", "empty skeleton", "floor with I/O", "DBOS", *["Restate"] * is_installed, "no engine"]
    (rates,) = (row for row in results.comparison if row.section == "generations per second")
    assert list(rates.values) == contenders
    assert results.machine["Restate"] == restate_server.versions()
    assert (f"Restate is {restate_server.LEFT_OUT}" in said) is not is_installed
    events, actions = (results.find("per generation", label) for label in ("history events", "billable actions"))
    assert events is not None
    assert actions is not None
    assert events.values["Reelay"] <= 29
    assert actions.values["Reelay"] <= 6
    costs = {row.label for row in results.comparison if row.section.startswith("CPU milliseconds")}
    assert {"api", "worker", "temporal", "postgres"} < costs
    assert not results.failures
    assert list(read_results(file).rows) == list(results.rows)
    tables = "\n".join(lines_of_run(results))
    assert all(row.label in tables and row.values for row in results.rows)


def test_the_full_bench_has_every_study() -> None:
    assert list(FULL.studies) == list(STUDIES)
    assert FULL.only({"waiting": 10_000, "growth": None}).studies == {"growth": 256, "waiting": 10_000}
    with pytest.raises(LookupError):
        FULL.only({"sleeping": None})


def test_without_its_server_a_contender_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restate_server, "PACKAGES", tmp_path)
    assert restate_server.find_binary() is None
    assert restate_server.versions() == restate_server.LEFT_OUT


def test_the_server_that_is_run_is_the_one_that_is_locked() -> None:
    folder = restate_server.PACKAGES.parents[1]
    (wanted,) = json.loads((folder / "package.json").read_text())["dependencies"].values()
    locked = json.loads((folder / "package-lock.json").read_text())["packages"]
    assert {locked[each]["version"] for each in locked if "restate-server" in each} == {wanted}

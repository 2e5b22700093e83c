"""What becomes of a study's rows."""

import asyncio
from collections.abc import AsyncIterator

from lab.bench.results import Results, Row
from lab.bench.run import with_study

ROWS = [Row("a", "b", {"one": 1.0}), Row("a", "b", {"one": 1.0, "two": 2.0})]


async def fails() -> AsyncIterator[Row]:
    for row in ROWS:
        yield row
    raise RuntimeError("the worker is gone")


async def hangs() -> AsyncIterator[Row]:
    yield ROWS[0]
    await asyncio.Event().wait()


async def test_a_study_that_fails_or_takes_too_long_keeps_what_it_has_measured() -> None:
    said, all_results = list[str](), [Results(machine={})]
    for name, study, seconds in [("growth", fails, None), ("stored", hangs, 0.01), ("waiting", hangs, 0.0)]:
        async for results in with_study(all_results[-1], name, study(), seconds, said.append):
            all_results.append(results)
    assert "in fails" in said[0]  # where it happened
    assert [list(results.studies) for results in all_results[1:4]] == [ROWS[:1], ROWS[1:], ROWS[1:]], "as they come"
    assert list(all_results[-1].studies[:2]) == [ROWS[1], ROWS[0]]
    late = "there was no time left for it"
    failures = {"growth": "RuntimeError: the worker is gone", "stored": late, "waiting": late}
    assert all_results[-1].failures == failures

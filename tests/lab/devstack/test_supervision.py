"""The rules by which parts are started, restarted and stopped, on stand-ins for the parts."""

import os
import signal
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lab.devstack.processes import ProcessDied, Program, running
from lab.devstack.supervision import STARTS_AT_MOST
from reelay.cli.errors import NeverReady
from tests.lab.devstack.watched import Watched

STAND_IN = Path(__file__).with_name("stand_in.py")


def stand_in(folder: Path, name: str, behaviour: str = "answers", *, needs: tuple[str, ...] = ()) -> Program:
    async def answers(pid: int, /) -> bool:
        return (folder / f"{name}.{pid}").exists()

    return Program(
        name=name,
        needs=needs,
        command=(sys.executable, "-S", str(STAND_IN), str(folder), name, behaviour),
        environment={},
        log_file=folder / "logs" / f"{name}.log",
        answers=answers,
    )


def journal(folder: Path) -> list[str]:
    return (folder / "journal").read_text().splitlines()


async def test_parts_start_when_what_they_need_answers_and_stop_in_reverse(tmp_path: Path) -> None:
    ground = stand_in(tmp_path, "ground")
    watched = Watched(ground, stand_in(tmp_path, "house", needs=("ground",)))
    await watched.supervisor.run(watched.supervisor.all_answer())
    assert journal(tmp_path) == ["ground started", "house started", "house stopped", "ground stopped"]


async def test_a_part_that_dies_is_named_with_its_last_lines_and_restarted(tmp_path: Path) -> None:
    watched = Watched(stand_in(tmp_path, "part", "dies once"))
    await watched.supervisor.run(watched.supervisor.all_answer())
    assert watched.said[0] == "part died (exit code 7). Its last lines:"
    assert watched.said[-2:] == ["  part | line 99 of life 1", "part runs again"]
    assert len(watched.said) < 20
    assert journal(tmp_path) == ["part started", "part started", "part stopped"]


async def test_a_killed_part_is_restarted_and_the_others_stay(tmp_path: Path) -> None:
    watched = Watched(stand_in(tmp_path, "other"), stand_in(tmp_path, "part"))

    async def kill_one() -> None:
        await watched.supervisor.all_answer()
        before = watched.supervisor.pids
        os.kill(before["part"], signal.SIGKILL)
        await watched.replaced("part", before["part"])
        assert watched.supervisor.pids["other"] == before["other"]

    await watched.supervisor.run(kill_one())
    assert watched.said[0].startswith("part died (killed by SIGKILL)")


async def test_a_part_that_was_ready_is_restarted_however_often_it_dies(tmp_path: Path) -> None:
    watched = Watched(stand_in(tmp_path, "other"), stand_in(tmp_path, "part"))

    async def kill_it_often() -> None:
        await watched.supervisor.all_answer()
        pid = watched.supervisor.pids["part"]
        for _ in range(2 * STARTS_AT_MOST):
            os.kill(pid, signal.SIGKILL)
            pid = await watched.replaced("part", pid)
        await watched.supervisor.all_answer()

    await watched.supervisor.run(kill_it_often())
    assert journal(tmp_path).count("part started") == 1 + 2 * STARTS_AT_MOST
    assert journal(tmp_path).count("other started") == 1


async def test_the_pause_before_a_restart_grows(tmp_path: Path) -> None:
    pauses = (0.01, 0.4, 0.8)
    watched = Watched(stand_in(tmp_path, "part"), pauses=pauses)
    took = []

    async def kill_it_thrice() -> None:
        await watched.supervisor.all_answer()
        pid = watched.supervisor.pids["part"]
        for _ in pauses:
            begun = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            pid = await watched.replaced("part", pid)
            took.append(time.monotonic() - begun)

    await watched.supervisor.run(kill_it_thrice())
    assert [seconds >= pause for seconds, pause in zip(took, pauses, strict=True)] == [True, True, True]


async def test_a_part_that_dies_while_it_is_completed_again_is_restarted(tmp_path: Path) -> None:
    lives = iter(("complete", "broken", "complete"))

    async def complete() -> None:
        if next(lives) == "broken":
            raise ConnectionResetError("it died in the middle")

    watched = Watched(replace(stand_in(tmp_path, "part"), complete=complete))

    async def kill_it() -> None:
        await watched.supervisor.all_answer()
        pid = watched.supervisor.pids["part"]
        os.kill(pid, signal.SIGKILL)
        await watched.replaced("part", pid)

    await watched.supervisor.run(kill_it())
    assert journal(tmp_path).count("part started") == 3
    assert any("could not be completed: ConnectionResetError" in line for line in watched.said)


async def test_a_part_that_never_becomes_ready_stops_everything(tmp_path: Path) -> None:
    watched = Watched(stand_in(tmp_path, "other"), stand_in(tmp_path, "part", "dies"))
    with pytest.raises(NeverReady, match=r"part did not become ready in 3 starts; .*part\.log"):
        await watched.supervisor.run(watched.supervisor.all_answer())
    assert journal(tmp_path).count("part started") == 3
    assert journal(tmp_path)[-1] == "other stopped"
    assert not watched.supervisor.pids


async def test_a_trouble_that_passes_is_no_death(tmp_path: Path) -> None:
    part = replace(stand_in(tmp_path, "part", "dies once"), passing_troubles=("line 99",))
    watched = Watched(part)
    await watched.supervisor.run(watched.supervisor.all_answer())
    assert watched.said == []


async def test_a_part_that_never_answers_is_killed(tmp_path: Path) -> None:
    async def never(pid: int, /) -> bool:
        return False

    part = replace(stand_in(tmp_path, "part"), answers=never, start_timeout=timedelta(seconds=0.3))
    with pytest.raises(ProcessDied, match="did not answer"):
        async with running(part):
            pytest.fail("it does not answer")


async def test_a_part_that_ignores_the_stop_is_killed(tmp_path: Path) -> None:
    part = replace(stand_in(tmp_path, "part", "stubborn"), stop_timeout=timedelta(seconds=0.3))
    async with running(part) as child:
        pid = child.pid
    assert pid is not None
    assert child.pid is None


async def test_a_failing_completion_stops_everything(tmp_path: Path) -> None:
    async def fail() -> None:
        raise ValueError("no such table")

    watched = Watched(replace(stand_in(tmp_path, "part"), complete=fail))
    with pytest.raises(ValueError, match="no such table"):
        await watched.supervisor.run(watched.supervisor.all_answer())
    assert journal(tmp_path)[-1] == "part stopped"

"""Background tasks do not die silently."""

import asyncio
from collections import Counter
from contextlib import suppress
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from reelay.background import Succeeded, TaskSupervisor, every
from reelay.db.engine import within
from tests.eventually import PATIENCE, eventually


@pytest.fixture
def counted() -> Counter[str]:
    return Counter()


@pytest.fixture
def tasks(counted: Counter[str]) -> TaskSupervisor:
    def count(task: str, failures: int) -> None:
        counted[task] += failures

    return TaskSupervisor(count, first_pause=0.01, longest_pause=0.04)


class Flaky:
    """Fails for as long as it has an error."""

    def __init__(self, error: BaseException) -> None:
        self.error: BaseException | None = error

    async def work(self) -> None:
        if self.error:
            raise self.error


async def until_state(tasks: TaskSupervisor, name: str, state: str) -> None:
    async def has_it() -> bool:
        return tasks.states[name] == state

    await eventually(has_it)


@pytest.mark.parametrize("error", [ValueError("no such provider"), asyncio.CancelledError("by a library")])
async def test_a_task_that_raises_is_logged_counted_and_begun_again(
    tasks: TaskSupervisor, counted: Counter[str], error: BaseException
) -> None:
    flaky, steady = Flaky(error), Flaky(error)
    steady.error = None
    with capture_logs() as lines:
        async with (
            tasks.running("flaky", every(0.01, flaky.work)),
            tasks.running("steady", every(0.01, steady.work)),
        ):
            await until_state(tasks, "flaky", f"failed: {type(error).__name__}")
            assert tasks.states["steady"] == "ok"
            flaky.error = None
            await until_state(tasks, "flaky", "ok")
            flaky.error = error
            await until_state(tasks, "flaky", f"failed: {type(error).__name__}")

    assert {(line["event"], line["task"]) for line in lines} == {("background_task_failed", "flaky")}
    assert [line["exc_info"] for line in lines if line["exc_info"]] == [error] * 2
    assert counted == {"flaky": len(lines), "steady": 0}
    assert tasks.states == {}


async def test_a_task_that_fails_again_and_again_waits_longer_and_shows_one_traceback(tasks: TaskSupervisor) -> None:
    began = []

    async def work(_: Succeeded) -> None:
        began.append(asyncio.get_running_loop().time())
        raise ConnectionError("nobody there")

    async def has_failed_often() -> bool:
        return len(began) > 6

    with capture_logs() as lines:
        async with tasks.running("unlucky", work):
            await eventually(has_failed_often)

    pauses = [later - earlier for earlier, later in pairwise(began)]
    assert all(pause >= least for pause, least in zip(pauses, (0.01, 0.02, 0.04, 0.04, 0.04), strict=False))
    assert [line["exc_info"] is not None for line in lines] == [True, *[False] * (len(lines) - 1)]


async def test_a_task_that_returns_is_begun_again(tasks: TaskSupervisor) -> None:
    begun = asyncio.Semaphore(0)

    async def work(_: Succeeded) -> None:
        begun.release()

    async with tasks.running("brief", work):
        for _ in range(3):
            await begun.acquire()
        assert tasks.states["brief"] == "ok"


async def test_a_task_that_fails_while_it_ends_is_logged_and_does_not_go_on(tasks: TaskSupervisor) -> None:
    async def work(succeeded: Succeeded) -> None:
        try:
            succeeded()
            await asyncio.Event().wait()
        finally:
            raise ValueError("not closed")

    with capture_logs() as lines:
        async with tasks.running("untidy", work):
            await asyncio.sleep(0)  # it begins

    assert [(line["event"], line["task"], line["error"]) for line in lines] == [
        ("background_task_failed", "untidy", "not closed")
    ]


async def test_a_task_that_swallows_its_cancellation_ends_all_the_same(tasks: TaskSupervisor) -> None:
    begun = asyncio.Event()

    async def deaf() -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def deaf_work(_: Succeeded) -> None:
        await deaf()

    for work in (every(0.01, deaf), deaf_work):
        async with asyncio.timeout(PATIENCE):
            async with tasks.running("deaf", work):
                await begun.wait()
        begun.clear()


async def test_what_comes_of_a_statement_after_its_time_is_logged() -> None:
    is_over = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            is_over.set()
            raise ConnectionError("closed at last") from None

    with capture_logs() as lines:
        with pytest.raises(TimeoutError):
            await within(0.01, slow())
        assert not is_over.is_set()

        async def is_logged() -> bool:
            return bool(lines)

        await eventually(is_logged)
    assert [(line["event"], line["error"]) for line in lines] == [("late_database_error", "closed at last")]

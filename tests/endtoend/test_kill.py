"""kill -9 of one part at a time, while a generation waits and while it archives: it completes, paid for once."""

from collections.abc import AsyncIterator

import pytest

from tests.endtoend.stack import RunningStack, running_stack

PARTS = ("worker", "api", "temporal", "postgres")


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningStack]:
    async with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


async def completes(stack: RunningStack, job_id: str) -> None:
    job = await stack.until(job_id, "completed", "failed", "canceled")
    assert job["status"] == "completed", job["errorMessage"]
    assert (await stack.client.get(job["resultUrl"])).status_code == 200
    counted = await stack.simulated(job_id)
    assert (counted["accepted"], counted["billed"]) == (1, 1)


async def test_without_a_kill_it_completes(stack: RunningStack) -> None:
    """The control."""
    await completes(stack, await stack.create("nothing happens"))


@pytest.mark.fault("O5")
@pytest.mark.parametrize("part", PARTS)
async def test_killed_while_waiting(stack: RunningStack, part: str) -> None:
    job_id = await stack.create(f"the {part} dies while this waits [sim: latency=3s]")
    await stack.until(job_id, "submitted")
    await stack.kill(part)

    await completes(stack, job_id)
    await completes(stack, await stack.create("a fresh one"))


@pytest.mark.fault("D18")
@pytest.mark.parametrize("part", PARTS)
async def test_killed_while_archiving(stack: RunningStack, part: str) -> None:
    job_id = await stack.create(f"the {part} dies while this is archived [sim: media=slow:3s]")
    await stack.until(job_id, "archiving")
    await stack.kill(part)

    await completes(stack, job_id)
    await completes(stack, await stack.create("a fresh one"))

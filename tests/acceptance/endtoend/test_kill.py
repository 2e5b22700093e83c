"""kill -9 of one part at a time, while generations wait and are archived: they complete, paid for once."""

import asyncio
import resource

import httpx
import psutil
import pytest

from tests.acceptance.endtoend.stack import RunningStack

PARTS = ("worker", "api", "temporal", "postgres")


async def completes(stack: RunningStack, job_id: str) -> None:
    job = await stack.until(job_id, "completed", "failed", "canceled")
    assert job["status"] == "completed", job["errorMessage"]
    assert (await stack.client.get(job["resultUrl"])).status_code == 200
    counted = await stack.simulated(job_id)
    assert (counted["accepted"], counted["billed"]) == (1, 1)


async def test_without_a_kill_it_completes(stack: RunningStack) -> None:
    """The control."""
    await completes(stack, await stack.create("nothing happens"))


@pytest.mark.fault("O5", "D18")
@pytest.mark.parametrize("part", PARTS)
async def test_killed_while_one_waits_and_one_is_archived(stack: RunningStack, part: str) -> None:
    waiting = await stack.create(f"the {part} dies while this waits [sim: latency=10m]")
    await stack.until(waiting, "generating")
    archived = await stack.create(f"the {part} dies while this is archived [sim: latency=100ms, media=slow:5s]")
    await stack.until(archived, "archiving")
    await stack.kill(part)
    await stack.end_at_provider(waiting)

    await completes(stack, waiting)
    await completes(stack, archived)
    await completes(stack, await stack.create("a fresh one"))


AT_ONCE = 8


async def answer_of(stack: RunningStack, number: int) -> httpx.Response | None:
    """To a creation, if it was answered."""
    try:
        return await stack.client.post(
            "/api/generate/video",
            json={"prompt": f"one of many: {number}", "quality": "fast"},
            headers={"idempotency-key": f"one of many {number}", "connection": "close"},
            timeout=10,
        )
    except httpx.TransportError:
        return None


@pytest.mark.fault("O10")
async def test_api_without_file_descriptors_is_slow_or_says_503_and_makes_no_job_twice(stack: RunningStack) -> None:
    api = psutil.Process(stack.pid_of("api"))
    soft, hard = resource.prlimit(api.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(api.pid, resource.RLIMIT_NOFILE, (api.num_fds() + 1, hard))
    try:
        starved = await asyncio.gather(*(answer_of(stack, number) for number in range(AT_ONCE)))
    finally:
        resource.prlimit(api.pid, resource.RLIMIT_NOFILE, (soft, hard))
    statuses = {answer.status_code if answer else None for answer in starved}
    assert statuses & {None, 503}, "the limit was felt"
    assert statuses <= {None, 202, 503}

    answers = await asyncio.gather(*(answer_of(stack, number) for number in range(AT_ONCE)))
    ours = [answer.json()["jobId"] for answer in answers if answer is not None and answer.status_code == 202]
    assert len(set(ours)) == AT_ONCE
    assert {answer.json()["jobId"] for answer in starved if answer is not None and answer.is_success} <= set(ours)
    await asyncio.gather(*(completes(stack, job_id) for job_id in ours))

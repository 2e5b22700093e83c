"""A worker that is told to stop, as in every deploy, lets the POSTs that are under way come back."""

import os
import signal

import pytest

from tests.acceptance.endtoend.stack import RunningStack


@pytest.mark.fault("P3")
async def test_sigterm_with_20_submissions_under_way_loses_and_repeats_none(stack: RunningStack) -> None:
    jobs = [await stack.create(f"number {number} [sim: submit=slow:4s]") for number in range(20)]
    for job in jobs:
        await stack.until(job, "submitting", "generating")
    worker = stack.pid_of("worker")
    os.kill(worker, signal.SIGTERM)
    await stack.is_replaced("worker", worker)

    for job in jobs:
        await stack.until(job, "completed")
        assert (await stack.simulated(job))["accepted"] == 1
        history = (await stack.client.get(f"/api/jobs/{job}/history")).json()["data"]
        assert "uncertain" not in [event["stage"] for event in history]
    fresh = await stack.create("after the deploy")
    await stack.until(fresh, "completed")

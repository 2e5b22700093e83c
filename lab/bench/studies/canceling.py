"""A generation that is canceled while its large file is archived: its heartbeats, and how soon it ends."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from temporalio.client import WorkflowFailureError, WorkflowHandle

from lab.bench.results import Row, of_reelay
from lab.bench.studies.service import Service

MIB_PER_SECOND = 32
"""Of the provider: so the file takes longer than we look."""
POLLING_SECONDS = 6.0
POLL_EVERY_SECONDS = 0.05


async def cancel_rows(service: Service, mebibytes: int) -> AsyncIterator[Row]:
    section = f"a file of {mebibytes} MiB at {MIB_PER_SECOND} MiB per second, canceled on its way"
    async with service.results_of(mebibytes, f"?mib_per_second={MIB_PER_SECOND}"):
        job = await service.reelay.create()
        run = service.run_of(job)
        yield of_reelay(section, "longest time without a heartbeat, s", await longest_silence(run))
        begun = time.monotonic()
        (await service.api.post(f"/api/jobs/{job}/cancel")).raise_for_status()
        try:
            await run.result()
        except WorkflowFailureError:
            yield of_reelay(section, "cancel until the workflow's end, s", time.monotonic() - begun)
        else:
            raise RuntimeError("a generation that was canceled while it was archived has completed")


async def longest_silence(run: WorkflowHandle[Any, Any]) -> float:
    """The oldest that the last heartbeat of its only activity became, in seconds, from the first one on."""
    longest, until = 0.0, float("inf")
    while time.monotonic() < until:
        pending = (await run.describe()).raw_description.pending_activities
        if any(each.HasField("last_heartbeat_time") for each in pending):
            (last,) = (each.last_heartbeat_time.ToDatetime(UTC) for each in pending)
            longest = max(longest, (datetime.now(UTC) - last).total_seconds())
            until = min(until, time.monotonic() + POLLING_SECONDS)
        await asyncio.sleep(POLL_EVERY_SECONDS)
    return longest

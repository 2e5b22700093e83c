"""A generation that is canceled while its large file is archived: its heartbeats, and how soon it ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
from temporalio.client import WorkflowFailureError, WorkflowHandle

from lab.bench.contenders.reelay import CREATING, api_headers
from lab.bench.ground import Ground
from lab.bench.over_http import clients
from lab.bench.rows import Row
from workflows.ids import workflow_id

MIB_PER_SECOND = 32
"""Of the provider: so the file takes longer than we look."""
POLLING_SECONDS = 6.0
POLL_EVERY_SECONDS = 0.05
MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Canceling:
    api: httpx.AsyncClient
    run: WorkflowHandle[Any, Any]
    job: str

    async def longest_silence(self) -> float:
        """The oldest that the last heartbeat of its only activity became, in seconds, from the first one on."""
        longest, until = 0.0, float("inf")
        while time.monotonic() < until:
            pending = (await self.run.describe()).raw_description.pending_activities
            if any(each.HasField("last_heartbeat_time") for each in pending):
                (last,) = (each.last_heartbeat_time.ToDatetime(UTC) for each in pending)
                longest = max(longest, (datetime.now(UTC) - last).total_seconds())
                until = min(until, time.monotonic() + POLLING_SECONDS)
            await asyncio.sleep(POLL_EVERY_SECONDS)
        return longest

    async def seconds_until_canceled(self) -> float:
        begun = time.monotonic()
        (await self.api.post(f"/api/jobs/{self.job}/cancel")).raise_for_status()
        try:
            await self.run.result()
        except WorkflowFailureError:
            return time.monotonic() - begun
        raise RuntimeError("a generation that was canceled while it was archived has completed")


async def cancel_rows(ground: Ground, *, file_bytes: int, say: Callable[[str], None]) -> AsyncIterator[Row]:
    section = f"a file of {file_bytes // MIB} MiB at {MIB_PER_SECOND} MiB per second, canceled on its way"
    video = {"path": f"/blobs/{file_bytes}/large.mp4?mib_per_second={MIB_PER_SECOND}", "bytes": file_bytes}
    headers = await api_headers(ground)
    async with clients(ground.stack.api_url, ground.provider_url, headers=headers) as (api, provider):
        (await provider.post("/bench/video", json=video)).raise_for_status()
        try:
            answer = await api.post(CREATING.path, json=dict(CREATING.body))
            job = str(answer.raise_for_status().json()[CREATING.id_field])
            temporal = await ground.connect("default")
            canceling = Canceling(api=api, run=temporal.get_workflow_handle(workflow_id(UUID(job))), job=job)
            silence = await canceling.longest_silence()
            yield Row(section=section, label="longest time without a heartbeat, s", values={"Reelay": silence})
            canceled = await canceling.seconds_until_canceled()
            yield Row(section=section, label="cancel until the workflow's end, s", values={"Reelay": canceled})
        finally:
            (await provider.post("/bench/video", json={})).raise_for_status()
    say(f"a generation was canceled {canceled:.2f} s after it was asked for")

"""One real generation through the whole stack, and proof that each promise about it holds."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import av
import httpx
from rich.console import Console

from reelay.cli.errors import DemoFailed
from reelay.cli.progress_bar import follow, say
from reelay.tls import tls_context
from reelay_client import AsyncReelay, File, Job
from workflows.ids import workflow_id

PROMPT = "A paper boat sails down a rain-soaked street at dusk, neon reflections, slow tracking shot"
PATIENCE_SECONDS = 120  # the simulated generation takes two


@dataclass(frozen=True, kw_only=True)
class Demo:
    client: AsyncReelay
    console: Console
    archive: Path
    simulator_url: str
    temporal_ui_url: str

    async def run(self) -> None:
        """Raises: DemoFailed, and what the client raises."""
        campaign = await self.client.post("/api/campaigns", {"name": "Demo"})
        clip = await self.client.post(f"/api/campaigns/{campaign['id']}/clips", {"title": "Paper boat"})
        say(self.console, f"generating: {PROMPT}")
        job_id = (await self.client.create("video", prompt=PROMPT, clipId=clip["id"])).job_id
        job = await self._follow(job_id)
        _require(job.status == "completed", f"the job ended as {job.status}: {job.error_message}")
        archived = await self._check_archive(job)
        await self._check_clip(clip["id"], job)
        posts = await self._count_posts(job)
        await self._show(job, archived, posts)

    async def _follow(self, job_id: UUID) -> Job:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await follow(self.client, job_id, self.console)
        except TimeoutError:
            raise DemoFailed(f"the job did not end within {PATIENCE_SECONDS} s") from None

    async def _check_archive(self, job: Job) -> Path:
        """The archived video, which is what the provider served."""
        _require(bool(job.files), "the job has no file")
        served = [
            media["sha256"]
            for request in await self._ask_simulator("requests")
            if request["request_id"] == job.document["falRequestId"]
            for media in request["media"]
        ]
        return _check_file(self.archive, job.files[0], served)

    async def _check_clip(self, clip_id: str, job: Job) -> None:
        clip = await self.client.get(f"/api/clips/{clip_id}")
        _require(clip["status"] == "video_ready", f"the clip's status is {clip['status']}, not video_ready")
        _require(clip["video"].get("raw_url") == job.result_url, "the clip does not show the job's video")

    async def _count_posts(self, job: Job) -> int:
        """How many times the provider was paid."""
        stats = await self._ask_simulator("stats")
        posts = int(stats["jobs"][str(job.id)]["accepted"])
        _require(posts == 1, f"the provider was paid {posts} times")
        return posts

    async def _ask_simulator(self, what: str) -> Any:
        async with httpx.AsyncClient(trust_env=False, verify=tls_context()) as client:
            return (await client.get(f"{self.simulator_url}/__sim/{what}")).json()

    async def _show(self, job: Job, archived: Path, posts: int) -> None:
        history = await self.client.get(f"/api/jobs/{job.id}/history")
        lines = [
            f"job:            {job.id}",
            f"archived file:  {archived}",
            f"sha256:         {job.files[0].sha256}, as the provider served it",
            "clip:           video_ready",
            f"provider POSTs: {posts}",
            "timeline:",
            *timeline(history["data"]),
            f"its run in the Temporal UI: {self.temporal_ui_url}/namespaces/default/workflows/{workflow_id(job.id)}",
            f"The stack stops now. `reelay dev --data-dir {self.archive.parent}` brings it back with this run; "
            "`make dev` starts one of your own.",
        ]
        for line in lines:
            say(self.console, line)


def timeline(events: Sequence[dict[str, Any]]) -> list[str]:
    """One line per event, with the seconds since the first."""
    times = [datetime.fromisoformat(event["at"]) for event in events]
    return [
        f"  +{(at - times[0]).total_seconds():6.2f} s  {event['stage']:<12}{event['detail']}"
        for at, event in zip(times, events, strict=True)
    ]


def _check_file(archive: Path, file: File, served: Sequence[str]) -> Path:
    path = archive / file.file_path
    _require(path.is_file(), f"the archived file is not there: {path}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    _require(digest == file.sha256, "the archived file's checksum is not the one that the API tells")
    _require(digest in served, "the archived file is not what the provider served")
    with av.open(path) as container:
        _require(any(True for _ in container.decode(video=0)), "the archived file has no frame to show")
    return path


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DemoFailed(otherwise)

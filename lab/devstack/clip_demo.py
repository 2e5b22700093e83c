"""One finished clip through the whole stack: a film of four generations, and one of one after an edit."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import av
import httpx
from rich.console import Console

from reelay.cli.errors import DemoFailed
from reelay.cli.progress_bar import say
from reelay.tls import tls_context
from reelay_client import AsyncReelay, File, Pipeline
from workflows.ids import pipeline_workflow_id

PARTS: dict[str, Any] = {
    "firstFrame": {"prompt": "A small harbour at dawn, mist over the water, wide shot"},
    "video": {"prompt": "Fishing boats leave the harbour one after the other, slow aerial shot"},
    "voice": {"text": "Every morning, before the town is awake, the harbour is. The boats leave with the tide."},
    "ambient": {"prompt": "Gulls, and small waves against a quay"},
    "captions": True,
}
EDITED = "Every evening the boats come home. The harbour counts them."
PATIENCE_SECONDS = 240  # what is simulated takes seconds, and the film is encoded on a machine that may be busy


@dataclass(frozen=True, kw_only=True)
class ClipDemo:
    client: AsyncReelay
    console: Console
    archive: Path
    simulator_url: str
    temporal_ui_url: str

    async def run(self) -> None:
        """Raises: DemoFailed, and what the client raises."""
        campaign = await self.client.create_campaign("Demo")
        clip = await self.client.create_clip(campaign.id, title="The harbour")
        before = await self._count_posts()
        created = await self.client.produce(clip.id, **PARTS)
        first = await self._follow(created.pipeline_id)
        await self._show(first, await self._count_posts() - before, expected=4)
        shown = await self.client.clip(clip.id)
        _require(shown.status == "ready", f"the clip's status is {shown.status}, not ready")

        say(self.console, f"the voice now says: {EDITED}")
        changes = {"voice": {"text": EDITED}}
        plan = await self.client.plan_rerun(first.id, changes)
        say(self.console, f"which would cost {plan.estimated_cost_cents} cents, instead of {first.cost_cents}")
        before = await self._count_posts()
        again = await self._follow((await self.client.rerun_pipeline(first.id, changes)).pipeline_id)
        await self._show(again, await self._count_posts() - before, expected=1)
        run = f"{self.temporal_ui_url}/namespaces/default/workflows/{pipeline_workflow_id(first.id)}"
        say(self.console, f"its run in the Temporal UI: {run}")

    async def _follow(self, pipeline_id: UUID) -> Pipeline:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                pipeline = await self._watched(pipeline_id)
        except TimeoutError:
            raise DemoFailed(f"the pipeline did not end within {PATIENCE_SECONDS} s") from None
        failed = [f"{name}: {step.error_message}" for name, step in pipeline.steps.items() if step.error_message]
        _require(pipeline.status == "completed", f"the pipeline ended as {pipeline.status}: {'; '.join(failed)}")
        return pipeline

    async def _watched(self, pipeline_id: UUID) -> Pipeline:
        shown: dict[str, str] = {}
        async for pipeline in self.client.watch_pipeline(pipeline_id):
            for name, step in pipeline.steps.items():
                if shown.get(name) != step.status:
                    say(self.console, f"  {name:<12}{step.status}")
                    shown[name] = step.status
        return pipeline

    async def _show(self, pipeline: Pipeline, posts: int, *, expected: int) -> None:
        film, *captions = pipeline.steps["film"].files
        path = _check_film(self.archive, film)
        _require(len(captions) == 2, "the film has no files of captions")
        _require(posts == expected, f"the providers were paid {posts} times, not {expected}")
        lines = [
            f"film:      {path}, {film.duration_seconds:.1f} s",
            f"captions:  {', '.join(file.name for file in captions)}",
            f"cost:      {pipeline.cost_cents} cents",
            f"POSTs: {posts}",
        ]
        for line in lines:
            say(self.console, line)

    async def _count_posts(self) -> int:
        """How many times the providers were paid."""
        async with httpx.AsyncClient(trust_env=False, verify=tls_context()) as client:
            stats = (await client.get(f"{self.simulator_url}/__sim/stats")).json()
        return int(stats["totals"]["accepted"])


def _check_film(archive: Path, file: File) -> Path:
    """It has pictures, sound and captions that can be decoded."""
    path = archive / file.file_path
    _require(path.is_file(), f"the film is not there: {path}")
    with av.open(path) as container:
        _require(any(True for _ in container.decode(video=0)), "the film has no picture to show")
        container.seek(0)
        _require(any(True for _ in container.decode(audio=0)), "the film has no sound")
        _require(bool(container.streams.subtitles), "the film has no captions")
    return path


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DemoFailed(otherwise)

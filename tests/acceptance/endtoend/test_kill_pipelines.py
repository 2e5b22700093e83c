"""kill -9 of one part in every state of a pipeline: each step is bought once, and there is one film.

That of the worker is in `tests/integration/pipelines/test_crashes.py`.
"""

from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.endtoend.stack import RunningStack
from tests.eventually import eventually
from tests.integration.pipelines.shared import FRAME, VIDEO, VOICE, described, statuses, with_input

Pipeline = dict[str, Any]
WHEN_TOLD = "[sim: latency=10m]"
STEPS: Pipeline = {
    "frame": with_input(FRAME, prompt=f"a harbour {WHEN_TOLD}"),
    "video": with_input(VIDEO, prompt=f"boats leave {WHEN_TOLD}"),
    "voice": VOICE,
    # Long enough to be killed in the middle: ten seconds more of pictures are encoded.
    "film": {
        "kind": "mix",
        "video": "step:video",
        "tracks": [{"source": "step:voice", "startSeconds": 10}],
        "ending": "hold",
    },
}


async def create(stack: RunningStack, **words: Any) -> str:
    key = {"idempotency-key": uuid4().hex}

    async def created() -> str:
        with suppress(httpx.TransportError):
            answer = await stack.client.post("/api/pipelines", json={"reuse": False, **words}, headers=key)
            assert answer.status_code == 202, answer.text
            return str(answer.json()["pipelineId"])
        return ""

    return await eventually(created)


async def read(stack: RunningStack, pipeline_id: str) -> Pipeline | None:
    with suppress(httpx.TransportError):
        answer = await stack.client.get(f"/api/pipelines/{pipeline_id}")
        if answer.is_success:
            pipeline: Pipeline = answer.json()
            return pipeline
    return None


async def until_step(stack: RunningStack, pipeline_id: str, step: str, status: str) -> str:
    """The id of the step's job, once the step has that status."""

    async def seen() -> str:
        pipeline = await read(stack, pipeline_id)
        assert pipeline, "no answer"
        assert pipeline["steps"][step]["status"] == status, described(pipeline)
        return str(pipeline["steps"][step]["jobId"])

    return await eventually(seen)


async def until_completed(stack: RunningStack, pipeline_id: str) -> Pipeline:
    async def ended() -> Pipeline:
        pipeline = await read(stack, pipeline_id)
        assert pipeline, "no answer"
        assert pipeline["status"] not in ("running", "waiting_for_approval"), described(pipeline)
        return pipeline

    pipeline = await eventually(ended)
    assert set(statuses(pipeline).values()) == {"completed"}, described(pipeline)
    return pipeline


async def approve(stack: RunningStack, pipeline_id: str, step: str) -> None:
    """An answer may be lost, and the second approval refused: what counts is that it was heard."""

    async def is_heard() -> bool:
        with suppress(httpx.TransportError):
            await stack.client.post(f"/api/pipelines/{pipeline_id}/approve", json={"step": step})
        pipeline = await read(stack, pipeline_id)
        return bool(pipeline and pipeline["steps"][step]["status"] == "completed")

    await eventually(is_heard)


@pytest.mark.fault("F5")
@pytest.mark.parametrize("part", [None, "api", "temporal", "postgres"])  # None, the control: nobody is killed
async def test_killed_in_every_state_of_a_pipeline(stack: RunningStack, part: str | None) -> None:
    async def kill() -> None:
        if part:
            await stack.kill(part)

    pipeline_id = await create(stack, steps=STEPS, approvals=["frame"])
    frame = await until_step(stack, pipeline_id, "frame", "running")
    await stack.until(frame, "generating")
    await kill()
    await stack.end_at_provider(frame)
    await until_step(stack, pipeline_id, "frame", "waiting_for_approval")
    await kill()
    await approve(stack, pipeline_id, "frame")
    video = await until_step(stack, pipeline_id, "video", "running")
    await stack.until(video, "generating")
    await kill()
    await stack.end_at_provider(video)
    await until_step(stack, pipeline_id, "film", "running")
    await kill()

    pipeline = await until_completed(stack, pipeline_id)
    jobs = {name: step["jobId"] for name, step in pipeline["steps"].items()}
    for bought in ("frame", "video", "voice"):
        counted = await stack.simulated(jobs[bought])
        assert (counted["accepted"], counted["billed"]) == (1, 1)
    films = [path for path in stack.data_dir.rglob("film.mp4") if jobs["film"] in str(path)]
    assert len(films) == 1
    await until_completed(stack, await create(stack, steps={"voice": VOICE}))

"""Veo 3.1, Chatterbox and ElevenLabs by webhook, as their document tells it: from each POST to the clip's rows."""

from datetime import datetime, timedelta
from typing import Any

import httpx
from sqlmodel import select

from reelay.db.tables import GenerationJob
from tests.running import Service, until

PROMPT = "a lighthouse in the rain"
STEPS: list[tuple[str, dict[str, Any], str]] = [
    ("/api/generate/first-frame", {"prompt": PROMPT}, "first_frame"),
    ("/api/generate/video", {"prompt": PROMPT, "duration": 4, "quality": "fast"}, "video_veo31"),
    ("/api/generate/voice", {"text": "Welcome to the coast."}, "voice_chatterbox"),
    ("/api/generate/ambient", {"prompt": "rain on a roof", "duration": 2}, "ambient_elevenlabs"),
]


async def test_a_clip_from_its_first_frame_to_its_ambient_sound(
    patient_service: Service, caller: httpx.AsyncClient
) -> None:
    """One clip, four generations one after the other: each answered at once, ended by its webhook, put in its place."""
    campaign = (await caller.post("/api/campaigns", json={"name": "Coast"})).json()
    clip = (await caller.post(f"/api/campaigns/{campaign['id']}/clips", json={"title": "Lighthouse"})).json()
    assert clip["status"] == "draft"

    made: dict[str, dict[str, Any]] = {}
    for path, body, job_type in STEPS:
        created = await caller.post(path, json=body | {"clipId": clip["id"], "campaignId": campaign["id"]})
        assert (created.status_code, created.json()["status"]) == (202, "submitted")
        job = await until(caller, created.json()["statusUrl"], "completed")
        (delivery,) = await patient_service.deliveries(job["id"], count=1)
        assert delivery["status_code"] == 200
        assert (job["type"], job["provider"], job["progress"]) == (job_type, "fal", 100)
        made[job_type] = job
        status = (await caller.get(f"/api/clips/{clip['id']}")).json()["status"]
        assert status == ("video_ready" if "video_veo31" in made else "draft")

    clip = (await caller.get(f"/api/clips/{clip['id']}")).json()
    assert clip["firstFrame"]["image_url"] == made["first_frame"]["resultUrl"]
    assert clip["video"]["raw_url"] == made["video_veo31"]["resultUrl"]
    assert clip["audio"] == {
        "voice_url": made["voice_chatterbox"]["resultUrl"],
        "ambient_url": made["ambient_elevenlabs"]["resultUrl"],
    }
    async with patient_service.sessions() as session:
        rows = await session.scalars(select(GenerationJob))
        mine = {row.job_type: row for row in rows if str(row.clip_id) == clip["id"]}
    assert mine.keys() == made.keys()
    for job_type, row in mine.items():
        assert row.provider_request_id == made[job_type]["falRequestId"]
        assert (row.status, row.progress_percent, row.error_code) == ("completed", 100, None)
        assert row.submitted_at
        assert row.completed_at
        assert row.submitted_at < row.completed_at


async def test_accepted_job_is_no_longer_pending_though_nobody_reports(
    patient_service: Service, caller: httpx.AsyncClient
) -> None:
    """Neither a webhook nor a poll has come: the provider's acceptance alone makes it run."""
    body = {"prompt": f"{PROMPT} [sim: latency=10m]", "quality": "fast"}
    created = (await caller.post("/api/generate/video", json=body)).json()
    job = await until(caller, created["statusUrl"], "in_progress")
    counted = await patient_service.simulated(job["id"])

    took = datetime.fromisoformat(job["submittedAt"]) - datetime.fromisoformat(job["createdAt"])
    assert took < timedelta(seconds=5)
    assert job["falRequestId"]
    assert (counted["accepted"], counted["status_calls"], counted["webhooks"]) == (1, 0, [])
    await caller.post(f"{created['statusUrl']}/cancel")
    await until(caller, created["statusUrl"], "canceled")

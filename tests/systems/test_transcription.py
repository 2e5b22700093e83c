"""A transcription: data and subtitles, however long it is."""

from typing import Any

import httpx
import pytest

from tests.running import Service, running_service
from tests.servers import Servers
from tests.systems.reading import until

RECORDING = {"audioUrl": "https://example.com/speech.mp3"}
FORMATS = {
    "transcript.json": "application/json",
    "transcript.srt": "application/x-subrip",
    "transcript.vtt": "text/vtt",
}


async def transcribed(client: httpx.AsyncClient, **words: Any) -> dict[str, Any]:
    created = await client.post("/api/generate/transcribe", json=RECORDING | words)
    assert created.status_code == 202, created.text
    return await until(client, created.json()["statusUrl"], "completed")


async def test_a_recording_from_its_post_to_its_subtitles(caller: httpx.AsyncClient) -> None:
    job = await transcribed(caller)
    files = {file["name"]: file for file in job["files"]}
    json_file, srt_file, vtt_file = [await caller.get(files[name]["fileUrl"]) for name in FORMATS]

    assert {name: file["format"] for name, file in files.items()} == FORMATS
    assert job["resultUrl"] == files["transcript.json"]["fileUrl"]
    assert json_file.json() == job["resultData"]
    assert job["resultData"]["text"].startswith("The quick brown fox")
    sentence = job["resultData"]["chunks"][0]["text"]
    assert srt_file.text.startswith(f"1\n00:00:00,000 --> 00:00:07,200\n{sentence}\n\n2\n")
    assert vtt_file.text.startswith(f"WEBVTT\n\n00:00:00.000 --> 00:00:07.200\n{sentence}\n\n")
    assert vtt_file.headers["content-type"].startswith("text/vtt")


async def test_transcript_is_no_video_of_the_gallery(caller: httpx.AsyncClient) -> None:
    await transcribed(caller)

    assert (await caller.get("/api/videos/user")).json()["data"] == []


async def test_long_transcript_stays_out_of_the_history(patient_service: Service, caller: httpx.AsyncClient) -> None:
    """Its webhook, too, is too large to be read: that it came is enough for the job to look at once."""
    job = await transcribed(caller, prompt="[sim: transcript=long]")
    history = await patient_service.run(job["id"]).fetch_history()
    size = sum(len(event.SerializeToString()) for event in history.events)
    files = {file["name"]: file for file in job["files"]}

    assert len(job["resultData"]["chunks"]) == 15_000
    assert files["transcript.json"]["fileSize"] > 2 * 1024 * 1024
    assert size < 32 * 1024
    srt_file = await caller.get(files["transcript.srt"]["fileUrl"])
    assert srt_file.text.count(" --> ") == 15_000
    (delivery, *_) = await patient_service.deliveries(job["id"], count=1)
    assert delivery["status_code"] == 413
    (listed,) = (await caller.get("/api/jobs")).json()["data"]
    assert (listed["id"], listed["resultData"]) == (job["id"], None)


async def test_large_webhook_with_a_wrong_token_is_no_hint(patient_service: Service) -> None:
    job_id = await patient_service.create("[sim: latency=60s]")
    await patient_service.until(job_id, "submitted")
    refused = await patient_service.client.post(
        "/api/webhooks/fal", params={"job": job_id, "token": "1.forged"}, content=b"x" * 2_000_000
    )

    assert refused.status_code == 413
    assert (await patient_service.job(job_id))["stage"] != "polling"
    names = [event.WhichOneof("attributes") for event in (await patient_service.run(job_id).fetch_history()).events]
    assert "workflow_execution_signaled_event_attributes" not in names
    await patient_service.client.post(f"/api/jobs/{job_id}/cancel")


@pytest.mark.parametrize("level", ["word", "none"])
async def test_subtitles_follow_the_chunks(caller: httpx.AsyncClient, level: str) -> None:
    job = await transcribed(caller, chunkLevel=level)
    (subtitles,) = [file for file in job["files"] if file["name"].endswith(".vtt")]

    assert (await caller.get(subtitles["fileUrl"])).text.count(" --> ") == len(job["resultData"]["chunks"])


async def test_long_transcript_is_found_by_polling_alone(servers: Servers) -> None:
    async with running_service(servers, app_url=None) as service:
        job = await transcribed(service.client, prompt="[sim: transcript=long]")

    assert len(job["resultData"]["chunks"]) == 15_000

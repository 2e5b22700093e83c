"""A transcription: data and subtitles, however long it is."""

from typing import Any

import httpx
import pytest

from tests.running import Service, until

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


async def test_long_transcript_stays_out_of_the_history(service: Service) -> None:
    """Its webhook is refused for its size, so polling finds it."""
    caller = service.client
    job = await transcribed(caller, prompt="[sim: transcript=long]")
    history = await service.run(job["id"]).fetch_history()
    size = sum(len(event.SerializeToString()) for event in history.events)
    files = {file["name"]: file for file in job["files"]}

    assert len(job["resultData"]["chunks"]) == 15_000
    assert files["transcript.json"]["fileSize"] > 2 * 1024 * 1024
    assert size < 32 * 1024
    srt_file = await caller.get(files["transcript.srt"]["fileUrl"])
    assert srt_file.text.count(" --> ") == 15_000
    (delivery, *_) = await service.deliveries(job["id"], count=1)
    assert delivery["status_code"] == 413
    listed = (await caller.get("/api/jobs", params={"limit": 1})).json()["data"][0]
    assert (listed["id"], listed["resultData"]) == (job["id"], None)


@pytest.mark.parametrize("level", ["word", "none"])
async def test_subtitles_follow_the_chunks(caller: httpx.AsyncClient, level: str) -> None:
    job = await transcribed(caller, chunkLevel=level)
    (subtitles,) = [file for file in job["files"] if file["name"].endswith(".vtt")]

    assert (await caller.get(subtitles["fileUrl"])).text.count(" --> ") == len(job["resultData"]["chunks"])

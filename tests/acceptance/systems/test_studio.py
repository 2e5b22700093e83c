"""The studio, as its document tells it: a backend that pushes each step with its secret, and its videos at the end."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from sqlmodel import select

from reelay.db.tables import MediaFileRow
from tests.integration.api.studio import PATH, Studio, playing
from tests.running import Service, until

STEPS = [("pending", 0), ("processing", 25), ("generating", 50), ("downloading", 75)]


@pytest.fixture
async def studio(patient_service: Service) -> Studio:
    return await playing(patient_service)


def pushed(job_id: str, status: str, **more: Any) -> bytes:
    said = {"job_id": job_id, "content_type": "video", "status": status}
    return json.dumps(said | more).encode()


async def test_a_job_of_the_backend_from_its_announcement_to_the_gallery(
    studio: Studio, caller: httpx.AsyncClient
) -> None:
    """Healthy, announced, each status with its percent, completed with three videos, told twice, kept once."""
    assert (await caller.get(PATH)).json()["status"] == "healthy"
    created = (await caller.post("/api/jobs", json={"model": "studio-push", "input": {}})).json()
    job_id, address = created["jobId"], created["statusUrl"]
    await until(caller, address, "submitted")
    for status, percent in STEPS:
        assert (await studio.send(pushed(job_id, status))).status_code == 200
        assert (await caller.get(address)).json()["progress"] == percent

    metadata = {"model_name": "wan", "model_version": "2.1", "processing_time": 120.5}
    end = pushed(job_id, "completed", data={"videos": studio.videos, "metadata": metadata})
    said = (await studio.send(end)).json()
    assert said.keys() == {"success", "message", "job_id", "num_videos", "processing_time_ms"}
    assert (said["success"], said["job_id"], said["num_videos"]) == (True, job_id, 3)
    assert (await studio.send(end)).json()["success"] is True

    done = await until(caller, address, "completed")
    (video,) = (await caller.get("/api/videos/user")).json()["data"]
    assert (video["jobId"], video["files"], done["progress"]) == (job_id, done["files"], 100)
    for name in ("modelName", "modelVersion", "processingTime", "generationTime", "downloadTime", "generatedAt"):
        assert video[name] == done[name]
    assert (video["modelName"], video["modelVersion"], video["processingTime"]) == ("wan", "2.1", 120.5)
    assert video["file_url"] == video["videos"][0]["file_url"]
    assert [{name: file[name] for name in done["files"][0]} for file in video["videos"]] == done["files"]
    for file, told in zip(video["videos"], studio.videos, strict=True):
        assert (file["fileName"], file["file_size"], file["metadata"]) == (
            told["filename"],
            told["file_size"],
            metadata,
        )
        assert (file["file_url"], file["file_path"]) == (file["fileUrl"], file["filePath"])
        assert (file["duration_seconds"], file["dimensions"]) == (3.0, told["dimensions"])
    answers = await asyncio.gather(*(caller.get(file["fileUrl"], follow_redirects=True) for file in done["files"]))
    assert [len(answer.content) for answer in answers] == [file["file_size"] for file in studio.videos]
    async with studio.service.sessions() as session:
        rows = [row for row in await session.scalars(select(MediaFileRow)) if str(row.job_id) == job_id]
    assert len(rows) == 3


async def test_failure_of_the_backend_ends_at_0_with_its_reason(studio: Studio, caller: httpx.AsyncClient) -> None:
    created = (await caller.post("/api/jobs", json={"model": "studio-push", "input": {}})).json()
    await until(caller, created["statusUrl"], "submitted")
    answer = await studio.send(pushed(created["jobId"], "failed", error="out of memory"))
    job = await until(caller, created["statusUrl"], "failed")

    assert (answer.status_code, job["progress"], job["errorMessage"]) == (200, 0, "out of memory")

"""The videohub, as its document tells it: every model by one call, its steps, its log, and a late result."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.running import PATIENCE_WITH_TESTS, Service, running_service
from tests.servers import Servers
from tests.systems.reading import until

PICTURE = "https://example.com/first.png"


@pytest.fixture(scope="module")
async def unhurried_service(servers: Servers) -> AsyncIterator[Service]:
    """It polls once a minute: what it learns sooner, it was told to look for."""
    async with running_service(servers, webhook_patience=60, poll_interval=60) as running:
        yield running


async def test_a_video_from_its_post_to_the_gallery(caller: httpx.AsyncClient) -> None:
    """Created with its assets, running, its log shown on demand, completed, its steps kept, its files listed."""
    body = {
        "model": "kling-2.5-turbo-pro",
        "input": {"prompt": "a reef [sim: latency=2s]", "firstFrameUrl": PICTURE, "duration": 5},
        "metadata": {"projectId": "p-7"},
    }
    created = await caller.post("/api/jobs", json=body)
    assert created.status_code == 202
    address = created.json()["statusUrl"]

    running = await until(caller, address, "submitted", "in_progress")
    assert running["assets"] == {"firstFrameUrl": PICTURE}
    assert running["metadata"] == {"projectId": "p-7"}
    assert running["logs"] is None

    async with asyncio.timeout(PATIENCE_WITH_TESTS):
        while not (logs := (await caller.get(address, params={"logs": 1})).json()["logs"]):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    assert logs[0] == "Loading the model"

    done = await until(caller, address, "completed")
    assert done["aspectRatio"] == done["files"][0]["aspectRatio"] == "16:9"
    history = (await caller.get(f"{address}/history")).json()["data"]
    steps = [event["detail"].split(",")[0] for event in history if "lines" not in event["data"]]
    assert steps == [
        "Created",
        "Submitting to fal",
        "Accepted by fal",
        "Copying the media into the archive",
        "Completed",
    ]
    assert next(event["data"]["lines"] for event in history if "lines" in event["data"])[0] == "Loading the model"

    (video,) = (await caller.get("/api/videos/user")).json()["data"]
    assert video["jobId"] == done["id"]
    assert video["files"] == done["files"]


@pytest.mark.parametrize(("asked", "shown"), [("9:16", "9:16"), (None, "16:9")])
async def test_ratio_is_the_one_that_was_asked_for(caller: httpx.AsyncClient, asked: str | None, shown: str) -> None:
    words = {"prompt": "a reef [sim: latency=60s]"} | ({"aspectRatio": asked} if asked else {})
    created = (await caller.post("/api/generate/video", json=words)).json()

    job = (await caller.get(created["statusUrl"])).json()
    assert (job["aspectRatio"], job["assets"]) == (shown, {})
    await caller.post(f"{created['statusUrl']}/cancel")


async def test_log_of_an_ended_job_is_whole_and_kept_once(caller: httpx.AsyncClient) -> None:
    created = (await caller.post("/api/generate/video", json={"prompt": "a reef"})).json()
    await until(caller, created["statusUrl"], "completed")
    answers = await asyncio.gather(*(caller.get(created["statusUrl"], params={"logs": 1}) for _ in range(10)))
    history = (await caller.get(f"{created['statusUrl']}/history")).json()["data"]

    (logs,) = {tuple(answer.json()["logs"]) for answer in answers}
    assert (logs[0], logs[-1]) == ("Loading the model", "Uploading the output")
    assert [event["data"]["lines"] for event in history if "lines" in event["data"]] == [list(logs)]


async def test_logs_by_default_are_shown_and_kept_while_polling(servers: Servers) -> None:
    async with running_service(servers, app_url=None, fal_queue_logs_default=True) as service:
        job_id = await service.create("[sim: latency=1500ms]")
        job = await service.until(job_id, "completed")
        without = (await service.client.get(f"/api/jobs/{job_id}", params={"logs": 0})).json()
        history = (await service.client.get(f"/api/jobs/{job_id}/history")).json()["data"]

    assert job["logs"][-1] == "Uploading the output"
    assert without["logs"] is None
    kept: list[Any] = [line for event in history for line in event["data"].get("lines", [])]
    assert kept == job["logs"]


async def test_completed_without_media_stays_in_progress_until_somebody_asks(unhurried_service: Service) -> None:
    service = unhurried_service
    job_id = await service.create("empty at first [sim: webhook=no-media:1s]")
    async with asyncio.timeout(PATIENCE_WITH_TESTS):
        while not any("no media yet" in line for line in await service.trail(job_id)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert (await service.job(job_id))["status"] == "in_progress"

    async with asyncio.timeout(PATIENCE_WITH_TESTS):
        while (await service.job(job_id))["status"] != "completed":
            assert (await service.client.post(f"/api/jobs/{job_id}/poll")).status_code == 202
            await asyncio.sleep(0.5)

    assert (await service.job(job_id))["files"]
    assert (await service.simulated(job_id))["accepted"] == 1


async def test_stranger_sees_neither_the_job_nor_its_log(
    caller: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    created = (await caller.post("/api/generate/video", json={"prompt": "mine"})).json()
    for address in (created["statusUrl"], f"{created['statusUrl']}/history"):
        assert (await stranger.get(address, params={"logs": 1})).status_code == 404
    await until(caller, created["statusUrl"], "completed")

    assert (await stranger.get("/api/videos/user")).json()["data"] == []

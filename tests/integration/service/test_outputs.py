"""What a result may hold, and what becomes of it."""

import asyncio
from pathlib import Path

import pytest

from reelay.db.credits import ledger_drift
from tests.running import Service, running_service
from tests.servers import Servers
from tests.unit.media.samples import make_picture, make_video
from tests.unit.media.server import serving
from tests.unit.providers.scripted_server import json_answer, scripted_server

CONTRACT = """
    id type model provider status stage progress progressMessage resultUrl providerUrl files resultData errorCode
    errorMessage estimatedCostCents actualCostCents creditsDeducted falRequestId attempts campaignId clipId metadata
    createdAt submittedAt completedAt source input flagged requestId waitingFor queuePosition estimatedStartAt
    estimatedCompletionAt priority
"""
# What the page and the gallery need besides, and what a pushing backend says of its run.
BESIDE = """
    prompt aspectRatio assets logs secondsLeft externalId errorAdvice
    modelName modelVersion processingTime generationTime downloadTime generatedAt
    estimatedStartRange estimatedCompletionRange
"""


@pytest.mark.fault("S9")
@pytest.mark.parametrize(("second", "status"), [("/good.png", "completed"), ("/dead.png", "failed")])
async def test_of_several_outputs_all_are_archived_or_none(
    servers: Servers, tmp_path: Path, second: str, status: str
) -> None:
    picture = make_picture(tmp_path / "picture.png").read_bytes()
    async with scripted_server() as fal, serving() as media:
        media.sends("/good.png", picture)
        media.sends("/dead.png", b"", status="404 Not Found")
        result = {"images": [{"url": f"{media.origin}{path}"} for path in ("/good.png", second + "?2")]}
        media.sends("/good.png?2", picture)
        media.sends("/dead.png?2", b"", status="404 Not Found")

        async def always(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            target = fal.seen[-1].target
            body = {"status": "COMPLETED"} if "/status" in target else result
            await json_answer(200, body if fal.seen[-1].method == "GET" else {"request_id": "two"})(reader, writer)

        fal.always = always
        async with running_service(servers, fal_queue_base=fal.url, webhook_patience=0) as service:
            words = {"prompt": "two of them"}
            created = (await service.client.post("/api/generate/first-frame", json=words)).json()
            job = await service.until(created["jobId"], "completed", "failed")

            assert (job["status"], len(job["files"])) == (status, 2 if status == "completed" else 0)
            if status == "failed":
                assert (job["errorCode"], job["creditsDeducted"]) == ("result_expired", 0)


async def test_a_picture_that_the_safety_check_flags_is_kept_and_says_so(service: Service) -> None:
    words = {"model": "flux-dev", "prompt": "a lighthouse [sim: result=nsfw]", "numImages": 2}
    created = (await service.client.post("/api/generate/first-frame", json=words)).json()
    job = await service.until(created["jobId"], "completed")
    assert [file["flagged"] for file in job["files"]] == [True, True]
    assert job["flagged"]
    assert (await service.client.get(job["files"][0]["fileUrl"])).content

    created = (await service.client.post("/api/generate/first-frame", json={**words, "prompt": "a lamp"})).json()
    clean = await service.until(created["jobId"], "completed")
    assert (clean["flagged"], [file["flagged"] for file in clean["files"]]) == (False, [False, False])


async def test_where_flagged_results_are_not_kept_their_jobs_fail_at_their_price(servers: Servers) -> None:
    words = {"model": "flux-dev", "prompt": "a lighthouse [sim: result=nsfw]", "numImages": 2}
    async with running_service(servers, flagged_results="fail") as service:
        before = (await service.client.get("/api/credits")).json()["balanceCents"]
        created = (await service.client.post("/api/generate/first-frame", json=words)).json()
        job = await service.until(created["jobId"], "failed")
        assert (job["errorCode"], job["flagged"], job["files"]) == ("result_flagged", True, [])
        assert (job["resultUrl"], job["providerUrl"], job["resultData"]) == (None, None, None)
        price = created["estimatedCostCents"]
        assert 0 < job["creditsDeducted"] == job["actualCostCents"] <= price
        left = (await service.client.get("/api/credits")).json()
        assert (left["balanceCents"], left["heldCents"]) == (before - job["creditsDeducted"], 0)
        assert not list(service.settings.data_dir.rglob("image*"))
        async with service.sessions() as session:
            assert await ledger_drift(session) == []
        assert await service.closed_as(created["jobId"]) == "FAILED"

        created = (await service.client.post("/api/generate/first-frame", json={**words, "prompt": "a lamp"})).json()
        assert (await service.until(created["jobId"], "completed"))["flagged"] is False
        assert list(service.settings.data_dir.rglob("image*"))


async def test_a_thumbnail_is_kept_beside_the_video_never_instead_of_it(service: Service) -> None:
    job = await service.until(await service.create("a pier [sim: media=extra-thumbnail]"), "completed")
    assert [file["format"] for file in job["files"]] == ["video/mp4", "image/png"]
    assert job["resultUrl"].partition("?")[0] == job["files"][0]["fileUrl"].partition("?")[0]


async def test_a_video_on_its_side_has_the_size_in_which_it_is_seen(service: Service) -> None:
    upright = await service.until(await service.create("a pier"), "completed")
    rotated = await service.until(await service.create("a pier [sim: media=rotated]"), "completed")
    (one,), (other,) = upright["files"], rotated["files"]
    assert (other["width"], other["height"]) == (one["height"], one["width"])


@pytest.mark.fault("D13")
async def test_callers_addresses_are_never_fetched_by_us(patient_service: Service) -> None:
    async with serving() as canary:
        body = {"prompt": "from a private frame", "quality": "fast", "firstFrameUrl": f"{canary.origin}/frame.png"}
        answer = await patient_service.client.post("/api/generate/video", json=body)
        if answer.status_code == 202:
            await patient_service.until(answer.json()["jobId"], "completed")

        assert answer.status_code in (202, 422)
        assert canary.requests == []


@pytest.mark.fault("T9")
async def test_job_has_the_documented_fields_and_no_others(patient_service: Service) -> None:
    job_id = await patient_service.create("nothing more")

    assert (await patient_service.until(job_id, "completed")).keys() == {*CONTRACT.split(), *BESIDE.split()}


@pytest.mark.fault("S14")
async def test_a_companion_that_is_gone_does_not_cost_the_video(servers: Servers, tmp_path: Path) -> None:
    async with scripted_server() as fal, serving() as media:
        media.sends("/thumbnail.png", make_picture(tmp_path / "thumbnail.png").read_bytes())
        media.sends("/frames.zip", b"PK\3\4 frames")
        media.sends("/gone.jpg", b"", status="404 Not Found")
        media.sends("/a%20video.mp4", make_video(tmp_path / "video.mp4").read_bytes())
        names = {"thumbnail": "thumbnail.png", "frames": "frames.zip", "preview": "gone.jpg", "video": "a video.mp4"}
        result = {field: {"url": f"{media.origin}/{name}"} for field, name in names.items()}

        async def always(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            target = fal.seen[-1].target
            body = {"status": "COMPLETED"} if "/status" in target else result
            await json_answer(200, body if fal.seen[-1].method == "GET" else {"request_id": "one"})(reader, writer)

        fal.always = always
        async with running_service(servers, fal_queue_base=fal.url, webhook_patience=0) as service:
            job = await service.until(await service.create(), "completed")

    assert [file["name"] for file in job["files"]] == ["video.mp4", "file-2.zip", "image-4.png"]

"""Campaigns, clips and the gallery, as their document tells them."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.api.shared import problem, wrong_fields
from tests.running import Service, until

VIDEO = {"prompt": "a harbour", "quality": "fast", "duration": 4}


async def new_clip(client: httpx.AsyncClient, **words: Any) -> dict[str, Any]:
    campaign = (await client.post("/api/campaigns", json={"name": "Autumn"})).json()
    created = await client.post(f"/api/campaigns/{campaign['id']}/clips", json={"title": "Harbour", **words})
    assert created.status_code == 201, created.text
    clip: dict[str, Any] = created.json()
    return clip


async def made(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    """A finished job."""
    created = await client.post(path, json=body)
    assert created.status_code == 202, created.text
    return await until(client, created.json()["statusUrl"], "completed")


async def test_a_campaign_from_its_first_clip_to_its_media(caller: httpx.AsyncClient) -> None:
    """A clip gets its first frame, its video, its voice and its ambient sound, all at once, and loses no key."""
    campaign = (await caller.post("/api/campaigns", json={"name": "Autumn", "metadata": {"season": 4}})).json()
    clips = f"/api/campaigns/{campaign['id']}/clips"
    clip = (await caller.post(clips, json={"title": "Harbour", "position": 1})).json()
    assert (clip["status"], clip["video"], clip["firstFrame"], clip["audio"]) == ("draft", {}, {}, {})

    belongs = {"clipId": clip["id"], "campaignId": campaign["id"]}
    video, frame, voice, ambient = await asyncio.gather(
        made(caller, "/api/generate/video", **VIDEO, **belongs),
        made(caller, "/api/generate/first-frame", prompt="a harbour", **belongs),
        made(caller, "/api/generate/voice", text="Welcome.", **belongs),
        made(caller, "/api/generate/ambient", prompt="waves", duration=2, **belongs),
    )

    clip = (await caller.get(f"/api/clips/{clip['id']}")).json()
    assert clip["status"] == "video_ready"
    assert clip["video"].keys() == {"raw_url", "generated_at"}
    assert clip["firstFrame"].keys() == {"image_url", "generated_at"}
    assert clip["audio"] == {"voice_url": voice["resultUrl"], "ambient_url": ambient["resultUrl"]}
    assert (clip["video"]["raw_url"], clip["firstFrame"]["image_url"]) == (video["resultUrl"], frame["resultUrl"])
    assert (await caller.get(clips)).json() == {"data": [clip]}
    assert (await caller.get(f"/api/campaigns/{campaign['id']}")).json()["clips"] == [clip]
    (line,) = (await caller.get("/api/campaigns")).json()["data"]
    assert line == {name: campaign[name] for name in ("id", "name", "metadata", "createdAt")} | {"clipCount": 1}
    of_clip = (await caller.get("/api/jobs", params={"clipId": clip["id"]})).json()["data"]
    assert {job["id"] for job in of_clip} == {job["id"] for job in (video, frame, voice, ambient)}


async def test_clip_deleted_meanwhile_does_not_fail_its_generation(caller: httpx.AsyncClient) -> None:
    clip = await new_clip(caller)
    created = await caller.post(
        "/api/generate/video", json=VIDEO | {"prompt": "late [sim: latency=1s]", "clipId": clip["id"]}
    )
    assert (await caller.delete(f"/api/clips/{clip['id']}")).status_code == 204
    problem(await caller.get(f"/api/clips/{clip['id']}"), 404, "NOT_FOUND")

    job = await until(caller, created.json()["statusUrl"], "completed")
    (video,) = (await caller.get("/api/videos/user")).json()["data"]
    assert (video["jobId"], job["clipId"]) == (job["id"], None)


async def test_deleted_campaign_takes_its_clips_along(caller: httpx.AsyncClient) -> None:
    clip = await new_clip(caller)
    address = f"/api/campaigns/{clip['campaignId']}"
    assert (await caller.delete(address)).status_code == 204

    for gone in (address, f"{address}/clips", f"/api/clips/{clip['id']}"):
        problem(await caller.get(gone), 404, "NOT_FOUND")
    problem(await caller.delete(address), 404, "NOT_FOUND")


async def test_campaigns_come_newest_first_in_pages(caller: httpx.AsyncClient) -> None:
    names = [f"campaign {number}" for number in range(5)]
    for name in names:
        await caller.post("/api/campaigns", json={"name": name})
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = (await caller.get("/api/campaigns", params={"limit": 2, **cursor})).json()
        seen += [line["name"] for line in page["data"]]
        cursor = {"after": page["nextCursor"]}

    assert seen == names[::-1]
    assert (page["hasMore"], page["nextCursor"]) == (False, None)


async def test_gallery_shows_each_video_with_its_file_newest_first(
    patient_service: Service, caller: httpx.AsyncClient
) -> None:
    first = await made(caller, "/api/generate/video", **VIDEO)
    await made(caller, "/api/generate/voice", text="No video.")
    second = await made(caller, "/api/jobs", model="kling-2.5-turbo-pro", input={"prompt": "a hill"})
    failed = (await caller.post("/api/generate/video", json=VIDEO | {"prompt": "[sim: fail=422]"})).json()
    await until(caller, failed["statusUrl"], "failed")

    page = (await caller.get("/api/videos/user", params={"limit": 1})).json()
    rest = (await caller.get("/api/videos/user", params={"limit": 1, "after": page["nextCursor"]})).json()
    assert [video["jobId"] for video in page["data"] + rest["data"]] == [second["id"], first["id"]]
    assert (page["hasMore"], rest["hasMore"], rest["nextCursor"]) == (True, False, None)

    (video,) = page["data"]
    assert video["files"] == second["files"]
    (file,) = video["files"]
    assert all(video[name] == file[name] for name in file.keys() - {"metadata"})  # which is the job's, above
    assert (video["format"], video["aspectRatio"], video["width"], video["height"]) == ("video/mp4", "16:9", 1280, 720)
    assert video["durationSeconds"] == pytest.approx(3, abs=0.2)
    assert video["filePath"].endswith("video.mp4")
    assert (video["prompt"], video["model"]) == ("a hill", "kling-2.5-turbo-pro")
    assert (await caller.get(video["posterUrl"])).headers["content-type"] == "image/jpeg"


async def test_media_tells_its_size_and_type_without_its_bytes(caller: httpx.AsyncClient) -> None:
    (file,) = (await made(caller, "/api/generate/video", **VIDEO))["files"]
    head = await caller.head(file["fileUrl"])
    ranged = await caller.get(file["fileUrl"], headers={"range": "bytes=0-9"})

    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == file["fileSize"]
    assert (head.headers["content-type"], head.headers["accept-ranges"]) == ("video/mp4", "bytes")
    assert (ranged.status_code, len(ranged.content)) == (206, 10)
    assert (await caller.head(file["fileUrl"].replace("?", "x?"))).status_code == 404


async def test_stranger_sees_nothing_and_deletes_nothing(
    caller: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    clip = await new_clip(caller)
    (file,) = (await made(caller, "/api/generate/video", **VIDEO))["files"]

    for address in (f"/api/campaigns/{clip['campaignId']}", f"/api/clips/{clip['id']}"):
        problem(await stranger.get(address), 404, "NOT_FOUND")
        problem(await stranger.delete(address), 404, "NOT_FOUND")
    for address in ("/api/campaigns", "/api/videos/user"):
        assert (await stranger.get(address)).json()["data"] == []
    assert (await stranger.head(file["fileUrl"].split("?")[0])).status_code == 404
    assert (await caller.get(f"/api/clips/{clip['id']}")).json() == clip


@pytest.mark.parametrize("path", ["/api/campaigns", "/api/videos/user"])
@pytest.mark.parametrize("wrong", [{"limit": "0"}, {"limit": "101"}, {"after": "x"}])
async def test_odd_pages_are_refused(caller: httpx.AsyncClient, path: str, wrong: dict[str, str]) -> None:
    assert wrong_fields(await caller.get(path, params=wrong)) == list(wrong)


async def test_clips_of_no_campaign_are_not_found(caller: httpx.AsyncClient) -> None:
    problem(await caller.get(f"/api/campaigns/{uuid4()}/clips"), 404, "NOT_FOUND")

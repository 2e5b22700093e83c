"""Reading: lists, the timeline, progress, waiting for a change, files, the catalogue."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.eventually import PATIENCE, eventually
from tests.integration.api.shared import new_clip, problem, wrong_fields
from tests.running import Job, Service, running_service
from tests.servers import Servers


@pytest.fixture(scope="module")
async def patient_service(shared_patient_service: Service) -> AsyncIterator[Service]:
    """To one user for all tests of this file, because they share what that user has."""
    async with shared_patient_service.for_user("one for this file") as mine:
        yield mine


@pytest.fixture(scope="module")
async def finished(patient_service: Service) -> Job:
    return await patient_service.until(await patient_service.create(), "completed")


async def voice(client: httpx.AsyncClient) -> str:
    return str((await client.post("/api/generate/voice", json={"text": "Hello."})).json()["jobId"])


async def listed(client: httpx.AsyncClient, **params: str) -> list[str]:
    response = await client.get("/api/jobs", params=params)
    assert response.status_code == 200, response.text
    return [job["id"] for job in response.json()["data"]]


async def test_pages_have_no_gap_and_no_repetition_while_new_jobs_arrive(patient_service: Service) -> None:
    async with await patient_service.user("emil") as emil:
        there = [await voice(emil) for _ in range(5)][::-1]
        seen: list[str] = []
        page: dict[str, Any] = {"nextCursor": None, "hasMore": True}
        while page["hasMore"]:
            cursor = {"after": page["nextCursor"]} if page["nextCursor"] else {}
            page = (await emil.get("/api/jobs", params={"limit": 2} | cursor)).json()
            seen += [job["id"] for job in page["data"]]
            await voice(emil)

        assert seen == there
        assert page["nextCursor"] is None
        assert len(await listed(emil)) == 8


async def test_list_can_be_filtered_by_what_the_caller_said(patient_service: Service) -> None:
    async with await patient_service.user("flora") as flora:

        async def create(kind: str, **body: Any) -> str:
            return str((await flora.post(f"/api/generate/{kind}", json=body)).json()["jobId"])

        campaign = (await flora.post("/api/campaigns", json={"name": "Autumn"})).json()["id"]
        sea = await create("video", prompt="A harbour at dusk", quality="fast", metadata={"shoot": 7, "take": "b"})
        hill = await create("first-frame", prompt="a hill", campaignId=campaign, metadata={"shoot": "7"})
        said = await create(
            "voice", text="Good 100% évening_", externalId=f"Evening {campaign}", metadata={"a.b": True}
        )
        everything = [said, hill, sea]
        created = {job["id"]: job["createdAt"] for job in (await flora.get("/api/jobs")).json()["data"]}

        assert await listed(flora) == everything
        assert await listed(flora, model="veo3.1-fast") == [sea]
        assert await listed(flora, model="veo3.1") == []
        assert await listed(flora, campaignId=campaign) == [hill]
        assert await listed(flora, createdAfter=created[hill]) == [said, hill]
        assert await listed(flora, createdBefore=created[hill]) == [sea]
        assert await listed(flora, createdAfter=created[sea], createdBefore=created[said]) == [hill, sea]
        assert await listed(flora, **{"metadata.shoot": "7"}) == [hill, sea]
        assert await listed(flora, **{"metadata.shoot": "7", "metadata.take": "b"}) == [sea]
        assert await listed(flora, **{"metadata.a.b": "true"}) == [said]
        assert await listed(flora, **{"metadata.take": "c"}) == []
        assert await listed(flora, search="HARBOUR") == [sea]
        assert await listed(flora, search="100% ÉVENING_") == [said]
        assert await listed(flora, search=f"evening {campaign}"[:20]) == [said]
        assert await listed(flora, search=hill[:13]) == [hill]
        assert await listed(flora, search="%") == [said]
        assert await listed(flora, search="harbour", type="voice_chatterbox") == []
        assert await listed(flora, search="") == everything
    async with await patient_service.user("gustav") as gustav:
        assert await listed(gustav, search="a") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("createdAfter=yesterday", "createdAfter"),
        ("createdBefore=2026-11-30T12:00:00", "createdBefore"),
        ("campaignId=7", "campaignId"),
        ("search=%00", "search"),
        (f"search={'a' * 201}", "search"),
        ("metadata.a=%00", "metadata"),
        ("&".join(f"metadata.{letter}=1" for letter in "abcdef"), "metadata"),
    ],
)
async def test_filter_that_cannot_be_meant_is_refused(patient_service: Service, query: str, field: str) -> None:
    assert wrong_fields(await patient_service.client.get(f"/api/jobs?{query}")) == [field]


async def test_list_can_be_filtered(patient_service: Service) -> None:
    async with await patient_service.user("fred") as fred:
        campaign = (await fred.post("/api/campaigns", json={"name": "Autumn"})).json()["id"]
        clip = (await fred.post(f"/api/campaigns/{campaign}/clips", json={})).json()["id"]
        body = {"text": "Hello.", "clipId": clip}
        done = (await fred.post("/api/generate/voice", json=body, headers={"prefer": "wait=15"})).json()["id"]
        video = (await fred.post("/api/generate/video", json={"prompt": "[sim: latency=10m]"})).json()["jobId"]

        assert await listed(fred, status="active") == [video]
        assert await listed(fred, status="completed") == [done]
        assert await listed(fred, type="video") == await listed(fred, type="video_veo31") == [video]
        assert await listed(fred, type="voice_chatterbox", status="completed", clipId=clip) == [done]
        assert await listed(fred, clipId=str(uuid4())) == []
        assert await listed(fred) == [video, done]
        await fred.post(f"/api/jobs/{video}/cancel")


@pytest.mark.fault("T4")
@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"status": "done"}, "status"),
        ({"status": "\0"}, "status"),
        ({"type": "film"}, "type"),
        ({"clipId": "7"}, "clipId"),
        ({"after": "x"}, "after"),
        ({"after": "é"}, "after"),
        ({"after": urlsafe_b64encode(b"yesterday 7").decode()}, "after"),
        ({"after": urlsafe_b64encode(b"\xff \xff").decode()}, "after"),
        ({"after": urlsafe_b64encode(f"0001-01-01T00:00:00+14:00 {uuid4()}".encode()).decode()}, "after"),
        ({"after": urlsafe_b64encode(f"9999-12-31T23:59:59-14:00 {uuid4()}".encode()).decode()}, "after"),
    ],
)
async def test_odd_filters_and_cursors_are_refused(
    patient_service: Service, params: dict[str, str], field: str
) -> None:
    assert wrong_fields(await patient_service.client.get("/api/jobs", params=params)) == [field]


async def test_cursor_without_a_time_zone_is_no_accident(patient_service: Service) -> None:
    cursor = urlsafe_b64encode(f"2020-01-01T00:00:00 {uuid4()}".encode()).decode()
    assert await listed(patient_service.client, after=cursor) == []


async def test_timeline_grows_in_order(patient_service: Service) -> None:
    job_id = await patient_service.create("[sim: latency=1s]")
    longest: list[dict[str, Any]] = []

    async def is_over() -> bool:
        nonlocal longest
        before, longest = longest, (await patient_service.client.get(f"/api/jobs/{job_id}/history")).json()["data"]
        if longest[: len(before)] != before:
            pytest.fail(f"{before} became {longest}")
        return bool(longest[-1]["status"] == "completed")

    await eventually(is_over)

    history = (await patient_service.client.get(f"/api/jobs/{job_id}/history")).json()["data"]
    assert [event["id"] for event in history] == sorted(event["id"] for event in history)
    assert [event["at"] for event in history] == sorted(event["at"] for event in history)
    assert (history[0]["status"], history[-1]["status"]) == ("pending", "completed")


async def test_job_is_found_by_the_providers_request_id(patient_service: Service, finished: Job) -> None:
    found = (await patient_service.client.get(f"/api/fal-jobs/{finished['falRequestId']}")).json()
    job = await patient_service.job(finished["id"])

    assert {word: found[word] for word in job} == job
    assert found.keys() - job.keys() == {"result", "error", "nodeId", "projectId"}


async def test_progress_only_grows_and_is_complete_only_at_the_end(service: Service) -> None:
    """Of a model that is expected to take 4 s, by the webhook's patience, by polls, and by a slow download."""
    words = {"model": "flux-dev", "prompt": "a hill [sim: latency=10m, webhook=lost, media=slow:1s]"}
    job_id = (await service.client.post("/api/generate/first-frame", json=words)).json()["jobId"]
    seen = [await service.job(job_id)]

    async def has(least: int) -> bool:
        seen.append(await service.job(job_id))
        assert seen[-1]["status"] != "failed", seen[-1]["errorMessage"]
        return bool(seen[-1]["progress"] >= least)

    await eventually(partial(has, 70))
    await service.servers.end_at_provider(job_id)
    await eventually(partial(has, 100))

    progress = [job["progress"] for job in seen]
    assert progress == sorted(progress)
    assert len(set(progress)) >= 3
    assert all((job["progress"] == 100) == (job["status"] == "completed") for job in seen)


async def test_living_job_is_answered_by_its_workflow(patient_service: Service) -> None:
    job_id = await patient_service.create("[sim: latency=10m]")
    job = await patient_service.until_accepted(job_id)

    assert job["source"] == "workflow"
    assert job["falRequestId"]
    assert job["submittedAt"]
    await patient_service.client.post(f"/api/jobs/{job_id}/cancel")
    assert (await patient_service.until(job_id, "canceled"))["source"] == "database"


async def test_without_a_worker_the_row_answers(servers: Servers) -> None:
    async with running_service(servers, worker=False) as service:
        job_id = await service.create()
        jobs = await asyncio.gather(*(service.job(job_id) for _ in range(20)))

        assert {(job["status"], job["source"]) for job in jobs} == {("pending", "database")}


async def test_wait_ends_with_the_next_change(patient_service: Service) -> None:
    job_id = await patient_service.create("[sim: latency=10m]")
    before = await patient_service.until_accepted(job_id)
    waiting = asyncio.create_task(patient_service.client.get(f"/api/jobs/{job_id}", params={"wait": 60}))
    unchanged = await patient_service.client.get(f"/api/jobs/{job_id}", params={"wait": 1})
    assert not waiting.done()
    await patient_service.servers.end_at_provider(job_id)

    assert unchanged.json()["stage"] == before["stage"]
    assert (await waiting).json()["stage"] != before["stage"]


async def test_wait_without_a_change_runs_out(patient_service: Service, finished: Job) -> None:
    job_id = await patient_service.create("[sim: latency=10m]")
    await patient_service.until_accepted(job_id)
    short, long, none = [
        asyncio.create_task(patient_service.client.get(f"/api/jobs/{name}", params={"wait": wait}))
        for name, wait in ((job_id, 1), (job_id, 60), (finished["id"], 60))
    ]
    unchanged, ended = await short, await none

    assert unchanged.json()["status"] == "in_progress"
    assert ended.json()["status"] == "completed"
    assert not long.done()
    await patient_service.client.post(f"/api/jobs/{job_id}/cancel")
    await long


async def test_wait_until_the_end_ends_with_the_end(patient_service: Service, finished: Job) -> None:
    job_id = await patient_service.create("[sim: latency=10m]", externalId="the one to wait for")
    await patient_service.until_accepted(job_id)
    short, long, none = [
        asyncio.create_task(patient_service.client.get(f"/api/jobs/{name}", params={"wait": wait, "until": "end"}))
        for name, wait in ((job_id, 1), ("the one to wait for", 60), (finished["id"], 60))
    ]
    running, ended = await short, await none

    assert running.json()["status"] == "in_progress"
    assert ended.json()["status"] == "completed"
    assert not long.done()
    await patient_service.servers.end_at_provider(job_id)
    assert (await long).json()["status"] == "completed"


@pytest.mark.parametrize(
    ("query", "field"), [("until=end", "wait"), ("wait=1&until=change", "until"), ("wait=1&until=", "until")]
)
async def test_until_is_the_end_of_a_wait(patient_service: Service, finished: Job, query: str, field: str) -> None:
    refused = await patient_service.client.get(f"/api/jobs/{finished['id']}?{query}")
    assert wrong_fields(refused) == [field]


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "soon"])
async def test_odd_waits_are_refused(patient_service: Service, finished: Job, wait: str) -> None:
    refused = await patient_service.client.get(f"/api/jobs/{finished['id']}", params={"wait": wait})
    assert wrong_fields(refused) == ["wait"]


async def test_media_is_served_whole_and_in_ranges(patient_service: Service, finished: Job) -> None:
    (file,) = finished["files"]
    whole = await patient_service.client.get(file["fileUrl"])
    size = file["fileSize"]

    assert (whole.status_code, len(whole.content)) == (200, size)
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert whole.headers["cache-control"].startswith("private")
    for asked, start, end in (("0-99", 0, 100), ("100-", 100, size), ("-10", size - 10, size), ("0-99999999", 0, size)):
        part = await patient_service.client.get(file["fileUrl"], headers={"range": f"bytes={asked}"})
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert part.headers["content-type"] == "video/mp4"
        assert part.content == whole.content[start:end]


async def test_media_is_asked_for_as_safari_does_it(patient_service: Service, finished: Job) -> None:
    """Without credentials: two bytes, to see whether ranges are served at all; then by the tag of what it has."""
    (file,) = finished["files"]
    size = file["fileSize"]
    async with httpx.AsyncClient(timeout=PATIENCE) as player:
        first = await player.get(file["fileUrl"], headers={"range": "bytes=0-1", "accept-encoding": "identity"})
        assert (first.status_code, len(first.content)) == (206, 2)
        assert first.headers["content-range"] == f"bytes 0-1/{size}"
        head = await player.head(file["fileUrl"])
        assert (head.status_code, head.headers["content-length"], head.headers["accept-ranges"]) == (
            200,
            str(size),
            "bytes",
        )
        assert head.headers["etag"] == first.headers["etag"]
        for tag, status in ((first.headers["etag"], 206), ('"another"', 200), ("Mon, 30 Nov 2026 10:00:00 GMT", 200)):
            part = await player.get(file["fileUrl"], headers={"range": "bytes=0-1", "if-range": tag})
            assert (part.status_code, len(part.content)) == (status, 2 if status == 206 else size)
        several = await player.get(file["fileUrl"], headers={"range": "bytes=0-1,4-5"})
        assert (several.status_code, len(several.content)) == (200, size)
        assert (await player.get(file["posterUrl"], headers={"range": "bytes=0-1"})).status_code == 206


async def test_range_outside_of_the_file_is_a_problem(patient_service: Service, finished: Job) -> None:
    (file,) = finished["files"]
    beyond = await patient_service.client.get(file["fileUrl"], headers={"range": f"bytes={file['fileSize']}-"})

    problem(beyond, 416, "RANGE_NOT_SATISFIABLE")
    assert beyond.headers["content-range"] == f"bytes */{file['fileSize']}"


@pytest.mark.parametrize("name", ["other.mp4", "..%2F..%2Fetc%2Fpasswd", "video.mp4%0d%0aset-cookie:x", "x" * 300])
async def test_unknown_file_is_not_found(patient_service: Service, finished: Job, name: str) -> None:
    problem(await patient_service.client.get(f"/api/media/{finished['id']}/{name}"), 404, "NOT_FOUND")


@pytest.mark.fault("D23")
async def test_file_that_the_archive_lost_is_not_found(patient_service: Service) -> None:
    job = await patient_service.until(await patient_service.create(), "completed")
    (file,) = job["files"]
    (patient_service.settings.data_dir / "archive" / file["filePath"]).unlink()

    problem(await patient_service.client.get(file["fileUrl"]), 404, "NOT_FOUND")


async def test_campaign_shows_its_clips_in_order(patient_service: Service) -> None:
    client, clip = patient_service.client, await new_clip(patient_service)
    clips = f"/api/campaigns/{clip['campaignId']}/clips"
    first = (await client.post(clips, json={"title": "Pier", "position": 0, "metadata": {"k": [1, None]}})).json()
    last = (await client.post(clips, json={"title": "Sea", "position": 9})).json()

    campaign = (await client.get(f"/api/campaigns/{clip['campaignId']}")).json()
    assert campaign["clips"] == [clip, first, last]
    assert (first["status"], first["video"], first["metadata"]) == ("draft", {}, {"k": [1, None]})


async def test_catalogue_names_every_limit_and_price(patient_service: Service) -> None:
    models = (await patient_service.client.get("/api/models")).json()["data"]

    assert {model["kind"] for model in models} == {"video", "first-frame", "voice", "ambient", "transcribe"}
    for model in models:
        assert model["price"] is None or model["price"]["rates"]
        assert all(given["limit"] or given["type"] == "json" for given in model["inputs"])
    (veo,) = [model for model in models if model["endpoint"] == "fal-ai/veo3.1/fast"]
    (duration,) = [given for given in veo["inputs"] if given["name"] == "duration"]
    assert (duration["limit"], duration["default"]) == ([4, 6, 8], 8)


async def test_estimate_refuses_what_creating_refuses(patient_service: Service) -> None:
    body = {"model": "veo3.1-fast", "input": {"prompt": "x", "duration": 7}}
    assert wrong_fields(await patient_service.client.post("/api/estimate", json=body)) == ["duration"]

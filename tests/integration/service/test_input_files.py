"""Inputs that are files of the user's own: checked at the creation, readable by the provider from the submission on."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from tests.eventually import PATIENCE
from tests.integration.api.shared import problem, wrong_fields
from tests.running import Service, running_service
from tests.s3 import SECRET_KEY, point_at, s3_server
from tests.servers import Servers
from tests.unit.media.samples import make_picture


@pytest.fixture
def picture(tmp_path: Path) -> bytes:
    return make_picture(tmp_path / "me.png").read_bytes()


@pytest.fixture
async def anybody() -> AsyncIterator[httpx.AsyncClient]:
    """Without any key."""
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        yield client


async def upload(service: Service, content: bytes) -> dict[str, Any]:
    answer = await service.client.post("/api/uploads", files={"file": ("me.png", content)})
    assert answer.status_code == 201, answer.text
    asset: dict[str, Any] = answer.json()
    return asset


async def sent(service: Service, job_id: str) -> list[dict[str, Any]]:
    """What the provider was given as inputs of the job, request by request."""
    async with httpx.AsyncClient(base_url=service.servers.simulator, timeout=PATIENCE) as client:
        requests = (await client.get("/__sim/requests")).json()
    return [request["input"] for request in requests if request["job"] == job_id]


async def test_a_picture_from_a_disk_becomes_a_frame_whose_result_becomes_a_video(
    patient_service: Service, anybody: httpx.AsyncClient, picture: bytes
) -> None:
    asset = await upload(patient_service, picture)
    first = await patient_service.until(await patient_service.create(firstFrameUrl=asset["uri"]), "completed")
    (given,) = await sent(patient_service, first["id"])
    read = await anybody.get(given["image_url"])
    assert (read.content, read.headers["content-type"]) == (picture, "image/png")

    edit = {"model": "nano-banana-2-edit", "input": {"prompt": "at night", "imageUrls": [asset["uri"], asset["uri"]]}}
    frame = await patient_service.client.post("/api/jobs", json=edit)
    frame_job = await patient_service.until(frame.json()["jobId"], "completed")
    (given,) = await sent(patient_service, frame_job["id"])
    assert [(await anybody.get(address)).content for address in given["image_urls"]] == [picture, picture]
    (file,) = frame_job["files"]
    for reference in (f"job:{frame_job['id']}", f"job:{frame_job['id']}/{file['name']}", frame_job["resultUrl"]):
        job_id = await patient_service.create(firstFrameUrl=reference)
        await patient_service.until(job_id, "completed")
        (given,) = await sent(patient_service, job_id)
        assert sha256((await anybody.get(given["image_url"])).content).hexdigest() == file["sha256"]
        assert not given["image_url"].startswith(patient_service.origin)


async def test_a_file_inside_an_object_is_given_and_checked_like_any_other(
    patient_service: Service, anybody: httpx.AsyncClient, picture: bytes
) -> None:
    """The kind of file is the provider's to check: nobody describes the parts of an object."""
    asset = await upload(patient_service, picture)
    body = {"model": "fal-ai/ltx-video", "input": {"prompt": "a hill", "loras": [{"path": asset["uri"]}]}}
    made = await patient_service.client.post("/api/jobs", json=body)
    await patient_service.until(made.json()["jobId"], "completed")
    (given,) = await sent(patient_service, made.json()["jobId"])
    assert (await anybody.get(given["loras"][0]["path"])).content == picture

    unknown = {"prompt": "a hill", "loras": [{"path": f"asset:{uuid4()}"}]}
    refused = await patient_service.client.post("/api/jobs", json=body | {"input": unknown})
    assert wrong_fields(refused) == ["loras"]


async def test_only_ones_own_finished_files_are_inputs(patient_service: Service, picture: bytes) -> None:
    asset = await upload(patient_service, picture)
    running = await patient_service.create("running [sim: latency=10m]")
    announced = await patient_service.client.post(
        "/api/uploads", json={"fileName": "x", "contentType": "image/png", "sizeBytes": 10}
    )
    body = {"prompt": "a fox", "quality": "fast"}
    async with await patient_service.user("somebody else") as other:
        for client, reference in (
            (other, asset["uri"]),
            (other, f"job:{running}"),
            (patient_service.client, f"asset:{uuid4()}"),
            (patient_service.client, f"job:{uuid4()}/video.mp4"),
            (patient_service.client, announced.json()["uri"]),
        ):
            refused = await client.post("/api/generate/video", json={**body, "inputImageUrl": reference})
            assert wrong_fields(refused) == ["inputImageUrl"], reference
    for malformed in ("asset:1", f"asset:{asset['assetId']}/x.png", f"job:{running}/../x", "step:a"):
        refused = await patient_service.client.post("/api/generate/video", json={**body, "firstFrameUrl": malformed})
        assert wrong_fields(refused) == ["firstFrameUrl"], malformed
    unfinished = {**body, "firstFrameUrl": f"job:{running}"}
    problem(await patient_service.client.post("/api/generate/video", json=unfinished), 409, "CONFLICT")
    assert (await patient_service.client.get("/api/credits")).json()["heldCents"] > 0  # of the running one alone


async def test_an_asset_in_use_is_not_deleted(patient_service: Service, picture: bytes) -> None:
    asset = await upload(patient_service, picture)
    job_id = await patient_service.create("a while [sim: latency=10m]", firstFrameUrl=asset["uri"])
    path = f"/api/assets/{asset['assetId']}"
    problem(await patient_service.client.delete(path), 409, "CONFLICT")
    await patient_service.until_accepted(job_id)
    await patient_service.client.post(f"/api/jobs/{job_id}/cancel")
    await patient_service.until(job_id, "canceled")
    assert (await patient_service.client.delete(path)).status_code == 204


@pytest.mark.fault("P4")
async def test_a_lost_answer_to_a_job_with_a_file_is_adopted_by_listing(service: Service, picture: bytes) -> None:
    asset = await upload(service, picture)
    job_id = await service.create("cut off [sim: submit=drop, webhook=lost]", firstFrameUrl=asset["uri"])
    job = await service.until(job_id, "completed")

    counted = await service.simulated(job_id)
    assert (counted["accepted"], counted["requests"]) == (1, [job["falRequestId"]])
    (given,) = await sent(service, job_id)
    async with service.sessions() as session:
        written = await session.scalar(
            text("select arguments from submission_attempts where job_id = cast(:id as uuid)"), {"id": job_id}
        )
    assert written == given


async def test_a_file_is_uploaded_once_however_often_the_post_is_refused(service: Service, picture: bytes) -> None:
    asset = await upload(service, picture)
    job_id = await service.create("busy [sim: submit=429]", firstFrameUrl=asset["uri"])
    await service.until(job_id, "completed", "failed")
    async with service.sessions() as session:
        row = (
            await session.execute(
                text("select address, expires_at > now() + interval '1 hour' from input_addresses where job_id = :id"),
                {"id": job_id},
            )
        ).one()
    assert row[1]
    for given in await sent(service, job_id):
        assert given["image_url"] == row[0]


async def test_replicate_is_given_a_file_of_its_own_api(patient_service: Service, picture: bytes) -> None:
    asset = await upload(patient_service, picture)
    body = {"model": "seedance-1-lite", "input": {"prompt": "a fox", "firstFrameUrl": asset["uri"]}}
    created = await patient_service.client.post("/api/jobs", json=body)
    assert created.status_code == 202, created.text
    job = await patient_service.until(created.json()["jobId"], "completed")
    (given,) = await sent(patient_service, job["id"])
    (address,) = [value for value in given.values() if str(value).startswith(patient_service.servers.simulator)]
    async with httpx.AsyncClient(headers={"authorization": "Bearer r8_any"}, timeout=PATIENCE) as replicate:
        assert (await replicate.get(f"{address}/download")).content == picture


async def test_a_backend_that_takes_no_files_gets_the_bytes(patient_service: Service, picture: bytes) -> None:
    asset = await upload(patient_service, picture)
    body = {"model": "studio-video", "input": {"prompt": "a fox", "firstFrameUrl": asset["uri"]}}
    created = await patient_service.client.post("/api/jobs", json=body)
    assert created.status_code == 202, created.text
    job = await patient_service.until(created.json()["jobId"], "completed")
    (given,) = await sent(patient_service, job["id"])
    assert any(str(value).startswith("data:image/png;base64,") for value in given.values())


async def test_an_input_that_is_gone_ends_the_job_before_it_is_bought(servers: Servers, picture: bytes) -> None:
    async with running_service(servers, worker=False) as idle:
        asset = await upload(idle, picture)
        job_id = await idle.create(firstFrameUrl=asset["uri"])
        for path in (idle.settings.data_dir / "archive").rglob("image.png"):
            path.unlink()
        async with idle.worker():
            job = await idle.until(job_id, "failed")
        assert job["errorCode"] == "input_unavailable"
        assert (await idle.simulated(job_id))["accepted"] == 0
        assert (await idle.client.get("/api/credits")).json()["heldCents"] == 0


async def test_a_public_bucket_gives_a_link_that_outlives_the_deadline(
    servers: Servers, anybody: httpx.AsyncClient, picture: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bucket := tmp_path / "buckets").mkdir()
    with s3_server(bucket) as endpoint:
        point_at(monkeypatch, endpoint)
        async with running_service(
            servers, webhook_patience=60, archive_url="s3://media/archive", archive_public_url=endpoint
        ) as service:
            asset = await upload(service, picture)
            job = await service.until(await service.create(firstFrameUrl=asset["uri"]), "completed")
            (given,) = await sent(service, job["id"])
            assert given["image_url"].startswith(f"{endpoint}/media/")
            assert (await anybody.get(given["image_url"])).content == picture

            lifetime = int(parse_qs(urlsplit(given["image_url"]).query)["X-Amz-Expires"][0])
            async with service.sessions() as session:
                timing = text("select extract(epoch from cast(timing ->> 'deadline' as interval)) from generation_jobs")
                assert lifetime > float(await session.scalar(timing) or 0)
            for secret in (SECRET_KEY, "key:secret", "pepper", "Bearer"):
                assert secret not in given["image_url"]

"""An archive in a bucket: links instead of bytes, and an outage that is waited for."""

from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from lab.devstack.ports import free_ports
from tests.eventually import PATIENCE
from tests.running import running_service
from tests.s3 import point_at, s3_server
from tests.servers import Servers
from tests.unit.media.samples import make_picture


async def test_media_in_a_bucket_is_served_by_a_link_of_its_own(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server(tmp_path) as endpoint:
        point_at(monkeypatch, endpoint)
        async with running_service(servers, webhook_patience=60, archive_url="s3://media/archive") as service:
            job = await service.until(await service.create(), "completed")
            (file,) = job["files"]
            answer = await service.client.get(file["fileUrl"])

            assert answer.status_code == 302
            async with httpx.AsyncClient(timeout=PATIENCE) as anybody:
                media = await anybody.get(answer.headers["location"])
            assert sha256(media.content).hexdigest() == file["sha256"]


async def test_an_announced_upload_goes_straight_into_the_bucket(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = make_picture(tmp_path / "me.png").read_bytes()
    (bucket := tmp_path / "buckets").mkdir()
    with s3_server(bucket) as endpoint:
        point_at(monkeypatch, endpoint)
        async with running_service(servers, worker=False, archive_url="s3://media/archive") as service:
            body = {"fileName": "me.png", "contentType": "image/jpeg", "sizeBytes": len(picture)}
            announced = (await service.client.post("/api/uploads", json=body)).json()
            assert announced["uploadUrl"].startswith(endpoint)
            async with httpx.AsyncClient(timeout=PATIENCE) as anybody:
                put = await anybody.put(announced["uploadUrl"], content=picture, headers=announced["headers"])
                assert put.status_code == 200
                path = f"/api/uploads/{announced['assetId']}/complete"
                asset = (await service.client.post(path)).json()
                read = await service.client.get(asset["fileUrl"])
                served = await anybody.get(read.headers["location"])

            assert (served.content, served.headers["content-type"]) == (picture, "image/png")
            assert (asset["contentType"], asset["sha256"]) == ("image/png", sha256(picture).hexdigest())
            assert [path.name for path in bucket.rglob("*") if path.is_file()] == ["image.png"]
            await service.client.delete(f"/api/assets/{asset['assetId']}")
            assert [path.name for path in bucket.rglob("*") if path.is_file()] == []


@pytest.mark.fault("D17")
async def test_bucket_that_is_away_while_archiving_is_waited_for(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = free_ports(1)
    point_at(monkeypatch, f"http://127.0.0.1:{port}")
    async with running_service(servers, webhook_patience=60, archive_url="s3://media/archive") as service:
        job_id = await service.create("nobody there")
        await service.until(job_id, "archiving")
        with s3_server(tmp_path, port=port):
            job = await service.until(job_id, "completed")

        counted = await service.simulated(job_id)
        assert (counted["accepted"], len(job["files"])) == (1, 1)

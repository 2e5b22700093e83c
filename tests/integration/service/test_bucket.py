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

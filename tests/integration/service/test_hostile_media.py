"""Media that is made to do harm: it ends its own job, in time, and no other one."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from temporalio.client import WorkflowFailureError

import reelay.media.decoder_pool
from reelay.media.decoder_pool import PATIENT
from tests.eventually import eventually
from tests.integration.api.studio import Studio
from tests.integration.service.killed_worker import ended, kill, worker_process
from tests.reelay_process import ReelayProcess
from tests.running import Service, running_service
from tests.servers import Servers
from tests.unit.media.samples import make_giant_frames, make_video
from tests.unit.media.server import ScriptedServer, serving


@pytest.fixture
async def source() -> AsyncIterator[ScriptedServer]:
    async with serving() as server:
        yield server


@pytest.fixture(scope="module")
def giant(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_giant_frames(tmp_path_factory.mktemp("giant") / "giant.mov").read_bytes()


async def pushed(service: Service, url: str) -> str:
    """The id of a job whose backend says that its video is there."""
    studio = Studio(service=service, videos=[{"filename": "output.mp4", "format": "mp4", "file_url": url}])
    job_id = await studio.started()
    assert (await studio.complete(job_id)).status_code == 200
    return job_id


@pytest.mark.fault("D25", "D26")
async def test_media_that_ends_its_decoder_is_bad_after_three_tries(
    servers: Servers, source: ScriptedServer, giant: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reelay.media.decoder_pool, "PATIENT", replace(PATIENT, cpu=timedelta(seconds=0.2)))
    async with running_service(servers, webhook_patience=60) as service:
        poison = await pushed(service, source.sends("/giant.mov", giant))
        await service.until(await service.create("an innocent one"), "completed")
        job = await ended(service, poison)
        assert (job["errorCode"], len(source.requests)) == ("bad_media", 3)
        with pytest.raises(WorkflowFailureError) as failure:
            await service.run(poison).result()
        assert "of CPU to look into the file" in str(failure.value.cause)
        await service.until(await service.create("a later one"), "completed")


@pytest.mark.fault("D24")
@pytest.mark.parametrize("tag", [b"zzzz", b"encv"])
async def test_media_of_an_unknown_codec_is_archived(
    service: Service, source: ScriptedServer, tag: bytes, tmp_path: Path
) -> None:
    content = make_video(tmp_path / "video.mp4").read_bytes().replace(b"avc1", tag)
    job_id = await pushed(service, source.sends("/video.mp4", content))
    (file,) = (await service.until(job_id, "completed"))["files"]
    assert (file["format"], file["fileSize"], file["width"]) == ("video/mp4", len(content), None)


@pytest.mark.fault("D28")
async def test_address_that_is_none_ends_the_job_at_once(service: Service, source: ScriptedServer) -> None:
    redirect = source.sends("/", b"", "location: https://xn--.com/v.mp4", status="302 Found")
    for url in ("https://xn--.com/v.mp4", redirect):
        job = await service.until(await pushed(service, url), "failed")
        assert job["errorCode"] == "bad_media"
    assert len(source.requests) == 1


@pytest.mark.fault("D29")
@pytest.mark.timeout(600)  # three workers have to be missed, for 15 s each
async def test_file_whose_workers_die_is_bad_after_three_tries(
    servers: Servers, source: ScriptedServer, giant: bytes
) -> None:
    url = source.sends("/giant.mov", giant)
    async with running_service(servers, worker=False, webhook_patience=60) as service:
        async with worker_process(service.settings) as worker:
            job_id = await pushed(service, url)
            await killed_while_it_looks(worker)
        for _ in range(2):
            async with worker_process(service.settings) as worker:
                await killed_while_it_looks(worker)
        async with worker_process(service.settings):
            job = await ended(service, job_id)
    assert (job["errorCode"], len(source.requests)) == ("bad_media", 3)


async def killed_while_it_looks(worker: ReelayProcess) -> None:
    """A worker starts its first decoder when it has a file for it."""

    async def has_a_decoder() -> bool:
        return bool(psutil.Process(worker.pid).children())

    await eventually(has_a_decoder)
    await kill(worker)

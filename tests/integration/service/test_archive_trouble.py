"""Trouble on the way into the archive: nothing wrong is ever published, and what can still be had is had."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.running import Service, running_service
from tests.servers import Servers


@pytest.fixture(scope="module")
async def service(servers: Servers) -> AsyncIterator[Service]:
    """It takes files of up to a megabyte; the sample video has a third of that."""
    async with running_service(servers, webhook_patience=60, archive_max_bytes=1024 * 1024) as running:
        yield running


def stored(service: Service, job_id: str) -> list[Path]:
    archive = service.settings.data_dir / "archive"
    return [path for path in archive.rglob("*") if path.is_file() and job_id in str(path)]


def half_way(service: Service) -> list[Path]:
    return list((service.settings.data_dir / "archive" / ".scratch").glob("*"))


async def until_downloaded(service: Service, job_id: str, *, times: int) -> None:
    async def downloaded() -> bool:
        return bool((await service.simulated(job_id)).get("downloads", 0) >= times)

    await eventually(downloaded)


async def completes_as_served(service: Service, job_id: str) -> None:
    job = await service.until(job_id, "completed")
    served = (await service.servers.simulated_request(job["falRequestId"]))["media"]
    assert [file["sha256"] for file in job["files"]] == [media["sha256"] for media in served]
    assert half_way(service) == []


async def test_without_trouble_it_completes(service: Service) -> None:
    """The control."""
    await completes_as_served(service, await service.create())


@pytest.mark.fault("D2")
@pytest.mark.parametrize("fault", ["expired:2", "truncated:1"])
async def test_passing_trouble_is_outlived(service: Service, fault: str) -> None:
    job_id = await service.create(f"trouble at first [sim: media={fault}]")
    await completes_as_served(service, job_id)

    counted = await service.simulated(job_id)
    tries = int(fault.split(":")[1]) + 1
    # Each try asks the provider anew: an address that has expired is replaced by a fresh one.
    assert (counted["accepted"], counted["result_calls"]) == (1, tries)


@pytest.mark.fault("D1", "D5")
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("huge", "bad_media"),
        ("redirect-private", "bad_media"),
    ],
)
async def test_lasting_trouble_fails_the_job_and_publishes_nothing(service: Service, fault: str, code: str) -> None:
    job_id = await service.create(f"trouble for ever [sim: media={fault}]")
    job = await service.until(job_id, "failed")

    assert job["errorCode"] == code
    assert job["resultUrl"] is None
    assert stored(service, job_id) == []
    assert half_way(service) == []
    await completes_as_served(service, await service.create("a fresh one"))


@pytest.mark.fault("D3")
async def test_source_that_stays_cut_short_is_never_published(service: Service) -> None:
    job_id = await service.create("cut short for ever [sim: media=truncated]")
    await until_downloaded(service, job_id, times=3)

    assert (await service.job(job_id))["status"] == "in_progress"
    assert stored(service, job_id) == []
    await service.client.post(f"/api/jobs/{job_id}/cancel")
    await service.until(job_id, "canceled")


@pytest.mark.fault("D16")
async def test_archive_that_cannot_be_written_is_waited_for(service: Service) -> None:
    """A file stands where the user's folder belongs: the disk's own way to refuse, also to root."""
    whole = await service.job(await service.create("to learn the folder"))
    await service.until(whole["id"], "completed")
    (file, *_) = stored(service, whole["id"])
    folder = file.parent.parent
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.write_text("in the way")
    try:
        job_id = await service.create("no room")
        await until_downloaded(service, job_id, times=2)
        assert (await service.job(job_id))["status"] == "in_progress"
    finally:
        folder.unlink()
        aside.rename(folder)
    await completes_as_served(service, job_id)

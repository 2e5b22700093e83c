"""A retry of a job whose provider has its result: the result is fetched, and not bought again."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.eventually import eventually
from tests.running import Service, running_service
from tests.servers import Servers


@pytest.fixture(scope="module")
async def service(servers: Servers) -> AsyncIterator[Service]:
    """It gives up soon where it cannot write."""
    async with running_service(servers, webhook_patience=0.5, archive_window=2) as running:
        yield running


@contextmanager
def unwritable(service: Service) -> Iterator[None]:
    """A file stands where the archive belongs: the disk's own way to refuse, also to root."""
    archive = service.settings.data_dir / "archive"
    aside = archive.with_name("aside")
    archive.rename(aside)
    archive.write_text("in the way")
    try:
        yield
    finally:
        archive.unlink()
        aside.rename(archive)


async def not_archived(service: Service, prompt: str = "a lighthouse") -> str:
    """A job whose result the provider has, and we have not."""
    await service.until(await service.create(), "completed")  # so that there is an archive
    with unwritable(service):
        job_id = await service.create(prompt)
        job = await service.until(job_id, "failed")
    assert (job["errorCode"], (await service.simulated(job_id))["accepted"]) == ("archive_failed", 1)
    return job_id


async def retry(service: Service, job_id: str) -> str:
    answer = await service.client.post(f"/api/jobs/{job_id}/retry")
    assert answer.status_code == 202, answer.text
    return str(answer.json()["jobId"])


async def test_result_that_is_there_is_fetched_and_not_bought_again(service: Service) -> None:
    failed = await service.job(await not_archived(service))
    job = await service.until(again := await retry(service, failed["id"]), "completed")

    assert (job["falRequestId"], job["attempts"]) == (failed["falRequestId"], 0)
    assert job["creditsDeducted"] == job["estimatedCostCents"] > 0
    assert any("the request of an earlier job" in line for line in await service.trail(again))
    assert (await service.simulated(again))["accepted"] == 0
    request = (await service.client.get(f"/api/fal-jobs/{failed['falRequestId']}")).json()
    assert request["status"] == "completed", "its newest job"


async def test_of_two_retries_one_has_the_result(service: Service) -> None:
    failed = await not_archived(service)
    first, second = await retry(service, failed), await retry(service, failed)
    await service.until(first, "completed")
    await service.until(second, "completed")
    assert [(await service.simulated(job))["accepted"] for job in (first, second)] == [0, 1]


async def test_result_that_is_gone_is_bought_again(service: Service) -> None:
    failed = await service.job(await not_archived(service))
    async with httpx.AsyncClient(headers={"authorization": "Key any"}) as provider:
        address = f"{service.settings.fal_platform_base}/models/requests/{failed['falRequestId']}/payloads"
        (await provider.delete(address)).raise_for_status()
    job = await service.until(again := await retry(service, failed["id"]), "completed")
    assert ((await service.simulated(again))["accepted"], job["attempts"]) == (1, 1)


@pytest.mark.parametrize("prompt", ["[sim: fail=500]", "[sim: fail=422]"])
async def test_what_the_provider_failed_at_is_bought_again(service: Service, prompt: str) -> None:
    failed = await service.create(prompt)
    await service.until(failed, "failed")
    again = await retry(service, failed)
    await service.until(again, "failed")
    assert (await service.simulated(again))["accepted"] == 1


async def test_canceled_job_that_the_provider_made_all_the_same_is_not_bought_again(service: Service) -> None:
    canceled = await service.create("stubborn [sim: latency=10m, cancel=ignored]")
    request_id = (await service.until_accepted(canceled))["falRequestId"]

    async def has_left_the_queue() -> bool:  # in which it could still be canceled
        return bool((await service.servers.simulated_request(request_id))["status"] == "IN_PROGRESS")

    await eventually(has_left_the_queue)
    await service.client.post(f"/api/jobs/{canceled}/cancel")
    await service.until(canceled, "canceled")
    await service.servers.end_request(request_id)
    again = await retry(service, canceled)
    await service.until(again, "completed")
    assert (await service.simulated(again))["accepted"] == 0


async def test_canceled_job_is_bought_again(service: Service) -> None:
    canceled = await service.create("a pier [sim: latency=10m]")
    await service.until_accepted(canceled)
    await service.client.post(f"/api/jobs/{canceled}/cancel")
    await service.until(canceled, "canceled")
    again = await retry(service, canceled)
    await service.until_accepted(again)
    assert (await service.simulated(again))["accepted"] == 1
    await service.client.post(f"/api/jobs/{again}/cancel")
    await service.until(again, "canceled")

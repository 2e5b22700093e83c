"""Media that the provider does not serve as promised: looked at again, and given up in time."""

import pytest

from tests.running import Service


@pytest.mark.fault("D5")
@pytest.mark.parametrize(
    ("fault", "code"),
    [("media=404", "result_expired"), ("media=expired", "result_expired"), ("media=html", "bad_media")],
)
async def test_media_that_stays_bad_is_looked_at_three_times(service: Service, fault: str, code: str) -> None:
    job = await service.create(f"never well served [sim: {fault}]")
    assert (await service.until(job, "failed"))["errorCode"] == code
    assert (await service.simulated(job))["downloads"] == 3


async def test_media_that_is_well_at_the_third_look_completes(service: Service) -> None:
    job = await service.create("well served in the end [sim: media=404:2]")
    await service.until(job, "completed")
    assert (await service.simulated(job))["downloads"] == 3


async def test_each_of_many_files_has_its_own_looks(service: Service) -> None:
    created = await service.client.post(
        "/api/generate/first-frame",
        json={"model": "flux-dev", "prompt": "each missing at first [sim: media=404:1]", "numImages": 4},
    )
    job = str(created.json()["jobId"])
    assert len((await service.until(job, "completed"))["files"]) == 4
    assert (await service.simulated(job))["downloads"] == 5 + 4 + 3 + 2  # each attempt begins with the first

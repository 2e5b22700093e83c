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

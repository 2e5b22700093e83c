"""A provider that says completed and does not give what it made: asked again, and not for ever."""

from collections.abc import AsyncIterator

import pytest

from tests.running import Service, running_service
from tests.servers import Servers


@pytest.fixture(scope="module")
async def service(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, webhook_patience=60, generation_deadline=3) as running:
        yield running


async def available_cents(service: Service) -> int:
    cents: int = (await service.client.get("/api/credits")).json()["availableCents"]
    return cents


@pytest.mark.fault("S10")
@pytest.mark.parametrize("model", ["veo3.1-fast", "seedance-1-lite"])
async def test_completed_without_media_ends_at_the_deadline(service: Service, model: str) -> None:
    before = await available_cents(service)
    job_id = await service.create("empty for ever [sim: result=never-media]", model=model)
    job = await service.until(job_id, "failed")

    assert (job["errorCode"], job["actualCostCents"]) == ("no_media", 0)
    assert await available_cents(service) == before
    assert await service.closed_as(job_id) == "FAILED"
    again = [line for line in await service.trail(job_id) if line.startswith("Trying again at")]
    assert again
    assert all("shows no media yet" in line for line in again)
    assert (await service.simulated(job_id))["accepted"] == 1


async def test_gateways_error_instead_of_the_result_is_not_the_providers_word(servers: Servers) -> None:
    async with running_service(servers, webhook_patience=60) as service:
        job_id = await service.create("behind a gateway [sim: result=504:2]")
        await service.until(job_id, "completed")

        counted = await service.simulated(job_id)
        assert (counted["accepted"], counted["result_calls"]) == (1, 3)

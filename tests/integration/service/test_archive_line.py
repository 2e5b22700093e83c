"""More results than a worker copies at once: they wait in line, come home in turn, and can be canceled there."""

from collections.abc import AsyncIterator

import pytest

import activities.archive
from tests.running import Service, running_service
from tests.servers import Servers


@pytest.fixture
async def service(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """Its worker copies one at a time."""
    monkeypatch.setattr(activities.archive, "TRANSFERS_AT_ONCE", 1)
    async with running_service(servers, webhook_patience=60) as running:
        yield running


async def test_results_wait_in_line_and_one_is_canceled_there(service: Service) -> None:
    slow = await service.create("a long way home [sim: media=slow:10m]")
    await service.until(slow, "archiving")
    in_line = [await service.create(f"in line {number}") for number in range(3)]
    for job_id in in_line:
        await service.until(job_id, "archiving")

    canceled, *others = in_line
    assert (await service.client.post(f"/api/jobs/{canceled}/cancel")).status_code == 202
    await service.until(canceled, "canceled")
    assert (await service.job(slow))["status"] == "in_progress"
    assert (await service.client.post(f"/api/jobs/{slow}/cancel")).status_code == 202
    for job_id in others:
        await service.until(job_id, "completed")
    downloads = {job_id: (await service.simulated(job_id)).get("downloads", 0) for job_id in in_line}
    assert downloads == {canceled: 0, **dict.fromkeys(others, 1)}

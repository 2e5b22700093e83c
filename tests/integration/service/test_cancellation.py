"""Canceling at every stage: the provider is told as far as it has something of ours, and the end stays the end."""

import pytest

from tests.eventually import eventually
from tests.running import Service


async def canceled(service: Service, job_id: str) -> None:
    response = await service.client.post(f"/api/jobs/{job_id}/cancel")
    assert response.status_code == 202, response.text
    job = await service.until(job_id, "canceled")
    assert job["actualCostCents"] == 0
    assert await service.closed_as(job_id) == "CANCELED"
    assert (await service.trail(job_id))[-1] == "Canceled"


async def test_cancel_while_submitting_lets_the_post_end_and_withdraws_it(patient_service: Service) -> None:
    job_id = await patient_service.create("slow [sim: submit=slow:2s, latency=10m]")
    await patient_service.until(job_id, "submitting")
    await canceled(patient_service, job_id)

    counted = await patient_service.simulated(job_id)
    assert (counted["accepted"], counted["cancel_calls"]) == (1, 1)


async def test_cancel_while_waiting_for_the_webhook(patient_service: Service) -> None:
    job_id = await patient_service.create("long [sim: latency=10m]")
    await patient_service.until_accepted(job_id)
    await canceled(patient_service, job_id)

    assert (await patient_service.simulated(job_id))["cancel_calls"] == 1


@pytest.mark.fault("S8")
async def test_cancel_while_polling(service: Service) -> None:
    job_id = await service.create("long [sim: latency=10m, webhook=lost]")
    await service.until_accepted(job_id)

    async def is_polled() -> bool:
        return bool((await service.simulated(job_id))["status_calls"])

    await eventually(is_polled)
    await canceled(service, job_id)

    assert (await service.simulated(job_id))["cancel_calls"] == 1


@pytest.mark.fault("D7")
async def test_cancel_while_archiving_leaves_no_file(patient_service: Service) -> None:
    job_id = await patient_service.create("dripping [sim: media=slow:10m]")
    await patient_service.until(job_id, "archiving")
    await canceled(patient_service, job_id)

    archive = patient_service.settings.data_dir / "archive"
    assert not [path for path in archive.rglob("*") if path.is_file() and job_id in str(path)]


async def test_cancel_while_nothing_was_bought_yet(patient_service: Service) -> None:
    """A provider that takes nothing must not hold the cancellation up."""
    job_id = await patient_service.create("throttled [sim: submit=429:50]")
    await patient_service.until(job_id, "submitting")
    await canceled(patient_service, job_id)

    assert (await patient_service.simulated(job_id))["accepted"] == 0


@pytest.mark.fault("S8")
async def test_cancel_twice_and_after_the_end_changes_nothing(patient_service: Service) -> None:
    job_id = await patient_service.create()
    await patient_service.until(job_id, "completed")
    for _ in range(2):
        response = await patient_service.client.post(f"/api/jobs/{job_id}/cancel")
        assert response.status_code == 202
        assert response.json()["status"] == "completed"


@pytest.mark.fault("W13")
async def test_webhook_after_the_cancellation_does_not_wake_the_job(service: Service) -> None:
    job_id = await service.create("stubborn [sim: latency=10m, cancel=ignored]")
    request_id = (await service.until_accepted(job_id))["falRequestId"]

    async def has_left_the_queue() -> bool:  # in which it could still be canceled
        return bool((await service.servers.simulated_request(request_id))["status"] == "IN_PROGRESS")

    await eventually(has_left_the_queue)
    await canceled(service, job_id)
    await service.servers.end_at_provider(job_id)
    (delivery,) = await service.deliveries(job_id, count=1)

    assert delivery["status_code"] == 200
    assert (await service.job(job_id))["status"] == "canceled"
    assert await service.closed_as(job_id) == "CANCELED"


async def test_canceled_job_can_be_retried_as_a_new_one(patient_service: Service) -> None:
    job_id = await patient_service.create("long [sim: latency=10m]", duration=4)
    await canceled(patient_service, job_id)
    retried = await patient_service.client.post(f"/api/jobs/{job_id}/retry")

    assert retried.status_code == 202
    assert retried.json()["jobId"] != job_id
    await canceled(patient_service, retried.json()["jobId"])

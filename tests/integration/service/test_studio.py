"""The studio backend from POST to end: by its own pushes, and when they or the answer to the POST are missing."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from reelay.settings import Environment
from tests.integration.api.shared import wrong_fields
from tests.integration.api.studio import Studio
from tests.running import Service, running_service
from tests.servers import Servers


async def created(service: Service, prompt: str, **words: Any) -> str:
    body = {"model": "studio-video", "input": {"prompt": prompt, **words}}
    response = await service.client.post("/api/jobs", json=body)
    assert response.status_code == 202, response.text
    return str(response.json()["jobId"])


async def completes_once(service: Service, job_id: str, *, files: int = 1) -> None:
    job = await service.until(job_id, "completed")
    counted = await service.simulated(job_id)
    assert (len(job["files"]), counted["accepted"], counted["downloads"]) == (files, 1, files)


async def test_job_goes_from_post_to_three_archived_videos(patient_service: Service) -> None:
    job_id = await created(patient_service, "three takes of a harbour [sim: latency=3s]", numVideos=3, seed=7)
    await completes_once(patient_service, job_id, files=3)

    posted = await patient_service.servers.simulated_request(job_id)
    assert posted["webhook_url"] == f"{patient_service.settings.app_url}/api/webhooks/video-completion"
    job = await patient_service.job(job_id)
    assert [file["fileName"] for file in job["files"]] == ["output.mp4", "output_1.mp4", "output_2.mp4"]
    assert {file["metadata"]["config_used"]["seed"] for file in job["files"]} == {7}
    assert (job["modelName"], job["resultData"]["num_videos"]) == ("veo-2.0-generate-001", 3)
    assert [delivery["status_code"] for delivery in await patient_service.deliveries(job_id, count=1)] == [200]
    assert await patient_service.closed_as(job_id) == "COMPLETED"
    assert await patient_service.history_length(job_id) == 29


async def test_first_frame_goes_to_the_backend_that_takes_one(patient_service: Service) -> None:
    frame = "https://example.com/first.png"
    job_id = await created(patient_service, "from a picture", firstFrameUrl=frame)
    await completes_once(patient_service, job_id)
    assert (await patient_service.servers.simulated_request(job_id))["input"]["image_url"] == frame


@pytest.mark.parametrize(
    "fault",
    [
        *("submit=429", "media=404:1", "webhook=dup:10", "webhook=early"),
        *("webhook=stale", "webhook=payload_error", "webhook=no-media:1s"),
    ],
)
async def test_what_goes_wrong_once_goes_right_in_the_end(patient_service: Service, fault: str) -> None:
    job_id = await created(patient_service, f"a harbour [sim: {fault}]")
    await patient_service.until(job_id, "completed")
    assert (await patient_service.simulated(job_id))["accepted"] == 1


async def test_failed_generation_is_told_with_the_backends_reason(patient_service: Service) -> None:
    job_id = await created(patient_service, "a harbour [sim: fail=content_policy]")
    job = await patient_service.until(job_id, "failed")
    assert (job["errorCode"], job["progress"]) == ("content_policy_violation", 0)


@pytest.mark.parametrize("fault", ["submit=drop, latency=1s", "submit=drop, webhook=early"])
async def test_push_shows_that_a_submission_without_an_answer_was_accepted(
    patient_service: Service, fault: str
) -> None:
    job_id = await created(patient_service, f"cut off [sim: {fault}]")
    await completes_once(patient_service, job_id)
    trail = await patient_service.trail(job_id)
    assert any(line.startswith("Adopted by its webhook") for line in trail)


async def test_submission_of_which_nothing_is_heard_fails_and_is_not_sent_again(unwaiting_service: Service) -> None:
    job_id = await created(unwaiting_service, "gone [sim: submit=500]")
    assert (await unwaiting_service.until(job_id, "failed"))["errorCode"] == "unknown_outcome"
    assert (await unwaiting_service.simulated(job_id))["accepted"] == 0


async def test_cancellation_reaches_the_backend(patient_service: Service) -> None:
    job_id = await created(patient_service, "long [sim: latency=10m]")
    await patient_service.until_accepted(job_id)
    await patient_service.client.post(f"/api/jobs/{job_id}/cancel")
    await patient_service.until(job_id, "canceled")
    assert (await patient_service.simulated(job_id))["cancel_calls"] == 1


async def test_silence_ends_at_the_deadline_and_forgery_is_silence(servers: Servers) -> None:
    async with running_service(servers, webhook_patience=0.5, generation_deadline=2.5) as service:
        silent = await created(service, "nobody calls [sim: webhook=lost]")
        forged = await created(service, "somebody calls [sim: webhook=forged]")
        for job_id in (silent, forged):
            job = await service.until(job_id, "failed")
            assert (job["errorCode"], job["progress"]) == ("deadline_exceeded", 0)


async def test_progress_shows_while_our_own_looks_find_nothing(service: Service) -> None:
    job_id = await created(service, "slow [sim: latency=10m]")
    await service.until_accepted(job_id)
    assert (await Studio(service=service, videos=[]).push(job_id, "downloading")).status_code == 200
    job = await service.until(job_id, "fetching")
    assert (job["status"], job["progress"]) == ("in_progress", 75)
    assert job["progressMessage"] == "Downloading the video from Google"
    await service.servers.end_at_provider(job_id)
    await completes_once(service, job_id)
    assert "Generating at studio" not in await service.trail(job_id)


async def test_without_a_backend_only_the_jobs_that_it_starts_itself_are_taken(servers: Servers) -> None:
    async with running_service(servers, studio_backend_url=None, webhook_patience=60) as service:
        models = (await service.client.get("/api/models")).json()["data"]
        available = {model["name"]: model["available"] for model in models}
        assert (available["studio-video"], available["studio-push"]) == (False, True)

        for words in ({}, {"firstFrameUrl": "https://example.com/first.png"}):
            body = {"model": "studio-video", "input": {"prompt": "nobody there", **words}}
            assert wrong_fields(await service.client.post("/api/jobs", json=body)) == ["model"]
        assert (await service.client.get("/api/jobs")).json()["data"] == []

        announced = await service.client.post("/api/jobs", json={"model": "studio-push", "input": {}})
        await service.until(announced.json()["jobId"], "submitted")


@pytest.fixture(scope="module")
async def production(servers: Servers) -> AsyncIterator[Service]:
    """A backend inside the network, and users outside of it."""
    async with running_service(
        servers,
        worker=False,
        environment=Environment.PRODUCTION,
        app_url=None,
        fal_queue_base="https://queue.fal.run",
        fal_api_base="https://rest.fal.ai",
        fal_platform_base="https://api.fal.ai/v1",
        fal_jwks_url="https://rest.fal.ai/.well-known/jwks.json",
        replicate_api_base="https://api.replicate.com",
    ) as service:
        yield service


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost/",
        "http://10.0.0.1/",
        "http://[::1]:7233/",
        "http://2130706433/",
        "https://postgres:5432/",
        "https://vault.internal/v1/secret",
    ],
)
async def test_no_user_sends_the_backend_into_our_network(production: Service, address: str) -> None:
    inside = {"model": "studio-video", "input": {"prompt": "a harbour", "firstFrameUrl": address}}
    outside = {"model": "veo3.1-fast", "input": {"prompt": "a harbour", "firstFrameUrl": address}}
    for call in ("/api/jobs", "/api/estimate"):
        refused = await production.client.post(call, json=inside)
        assert wrong_fields(refused) == ["firstFrameUrl"]
        assert "public host" in refused.json()["errors"][0]["message"]
    # A provider elsewhere reaches no network of ours.
    assert (await production.client.post("/api/estimate", json=outside)).status_code == 200
    allowed = {"model": "studio-video", "input": {"prompt": "a harbour", "firstFrameUrl": "https://example.com/a.png"}}
    assert (await production.client.post("/api/estimate", json=allowed)).status_code == 200

"""Generations at Replicate, on the same workflow as fal's: what differs is the provider's alone."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.eventually import PATIENCE, eventually
from tests.integration.api.shared import wrong_fields
from tests.running import Job, Service, running_service
from tests.servers import Servers, simulator_server

SEEDANCE = "seedance-1-lite"
ZEROSCOPE = "zeroscope-v2-xl"


async def create(service: Service, model: str, **words: Any) -> str:
    response = await service.client.post("/api/jobs", json={"model": model, "input": words})
    assert response.status_code == 202, response.text
    return str(response.json()["jobId"])


async def test_text_to_video_by_webhook(patient_service: Service) -> None:
    job_id = await patient_service.create("a lighthouse in the rain", model=ZEROSCOPE)
    job = await patient_service.until(job_id, "completed")
    (delivery,) = await patient_service.deliveries(job_id, count=1)
    counts = await patient_service.simulated(job_id)

    assert (job["provider"], job["model"], job["type"]) == ("replicate", ZEROSCOPE, "video")
    assert [file["format"] for file in job["files"]] == ["video/mp4"]
    assert delivery["status_code"] == 200
    assert (counts["accepted"], counts["billed"], counts["status_calls"]) == (1, 1, 1)
    assert job["actualCostCents"] == 1  # a fraction of a second of computing, though a minute's was held
    assert "/xezq/" in job["providerUrl"]


@pytest.mark.parametrize(
    ("model", "words", "formats"),
    [
        (SEEDANCE, {"prompt": "a fox"}, ["video/mp4"]),
        ("flux-schnell", {"prompt": "a fox", "numImages": 3}, ["image/png"] * 3),
        ("minimax-speech-02-turbo", {"text": "hello"}, ["audio/wav"]),
        (SEEDANCE, {"prompt": "a fox [sim: output=object]"}, ["video/mp4"]),
        (SEEDANCE, {"prompt": "a fox [sim: output=nested]"}, ["video/mp4"]),
        (SEEDANCE, {"prompt": "a fox [sim: output=api]"}, ["video/mp4"]),
        (SEEDANCE, {"prompt": "a fox [sim: webhook=payload_error]"}, ["video/mp4"]),
        (SEEDANCE, {"prompt": "a fox [sim: webhook=early, webhook=dup:20, media=truncated:1]"}, ["video/mp4"]),
    ],
    ids=range(8),
)
async def test_every_form_of_output_is_archived(
    patient_service: Service, model: str, words: dict[str, Any], formats: list[str]
) -> None:
    job_id = await create(patient_service, model, **words)
    job = await patient_service.until(job_id, "completed")

    assert [file["format"] for file in job["files"]] == formats
    assert job["provider"] == "replicate"
    assert job["actualCostCents"] == job["estimatedCostCents"]


@pytest.mark.parametrize("fault", ["webhook=lost", "webhook=no-media:500ms", "webhook=lost, status=unknown-word"])
async def test_polls_when_the_webhook_does_not_tell(service: Service, fault: str) -> None:
    job_id = await service.create(f"a fox [sim: {fault}]", model=SEEDANCE)
    assert (await service.until(job_id, "completed"))["files"]
    assert (await service.simulated(job_id))["accepted"] == 1


async def test_without_a_webhook_secret_no_webhook_is_asked_for(servers: Servers) -> None:
    async with running_service(servers, replicate_webhook_secret=None, webhook_patience=60) as service:
        job = await service.until(await service.create(model=SEEDANCE), "completed")
        assert (await service.servers.simulated_request(job["falRequestId"]))["webhook_url"] is None


@pytest.mark.parametrize(
    ("fault", "code", "accepted"),
    [
        ("fail=500", "provider_error", 1),
        ("fail=content_policy", "content_policy_violation", 1),
        ("fail=aborted", "deadline_exceeded", 1),
        ("fail=422", "provider_rejected", 0),
    ],
)
async def test_failures_are_the_jobs_own(service: Service, fault: str, code: str, accepted: int) -> None:
    job_id = await service.create(f"a fox [sim: {fault}]", model=SEEDANCE)
    job = await service.until(job_id, "failed")

    assert job["errorCode"] == code
    assert job["errorMessage"]
    assert (await service.simulated(job_id))["accepted"] == accepted
    assert job["creditsDeducted"] in (None, 0, False)


async def test_throttled_submission_is_sent_again_and_bought_once(service: Service) -> None:
    job_id = await service.create("a fox [sim: submit=429]", model=SEEDANCE)
    await service.until(job_id, "completed")
    counts = await service.simulated(job_id)

    assert (counts["accepted"], counts["refused"]) == (1, {"429": 1})


async def test_cancellation_reaches_replicate(service: Service) -> None:
    job_id = await service.create("a fox [sim: latency=10m]", model=SEEDANCE)
    await service.until(job_id, "in_progress")
    assert (await service.client.post(f"/api/jobs/{job_id}/cancel")).status_code == 202
    await service.until(job_id, "canceled")

    assert await service.closed_as(job_id) == "CANCELED"
    assert (await service.simulated(job_id))["cancel_calls"] == 1


@pytest.mark.parametrize("model", [SEEDANCE, ZEROSCOPE])
@pytest.mark.parametrize(
    ("faults", "how"),
    [("submit=drop, listing=lost", "Adopted by its webhook"), ("submit=drop, webhook=lost", "Adopted by listing")],
)
async def test_lost_answer_is_adopted_and_not_bought_again(
    patient_service: Service, model: str, faults: str, how: str
) -> None:
    job_id = await patient_service.create(f"a fox at {model} [sim: {faults}]", model=model)
    job = await patient_service.until(job_id, "completed")
    counts = await patient_service.simulated(job_id)

    assert (counts["accepted"], counts["billed"]) == (1, 1)
    assert counts["requests"] == [job["falRequestId"]]
    assert any(line.startswith(how) for line in await patient_service.trail(job_id))


async def test_lost_answer_that_is_never_found_is_an_unknown_outcome(unwaiting_service: Service) -> None:
    prompt = "a fox [sim: submit=drop, webhook=lost, listing=no-input]"
    job_id = await unwaiting_service.create(prompt, model=SEEDANCE)
    assert (await unwaiting_service.until(job_id, "failed"))["errorCode"] == "unknown_outcome"
    assert (await unwaiting_service.simulated(job_id))["accepted"] == 1


@pytest.mark.fault("S1")
async def test_output_that_replicate_has_deleted_is_a_clear_failure(servers: Servers) -> None:
    """An hour later the prediction is empty, some day it is gone. The simulator's clock is moved: it is our own."""
    async with (
        simulator_server(servers.folder) as origin,
        running_service(replace(servers, simulator=origin), webhook_patience=2) as service,
        httpx.AsyncClient(base_url=origin, timeout=PATIENCE) as simulator,
    ):
        for hours in (1, 25):
            job_id = await service.create("a fox [sim: webhook=lost]", model=SEEDANCE)
            await service.until_accepted(job_id)
            await simulator.post("/__sim/clock", json={"seconds": hours * 3600 + 5})
            assert (await service.until(job_id, "failed"))["errorCode"] == "result_expired"
        await service.until(await service.create("a fox", model=SEEDANCE), "completed")


async def test_without_a_token_its_models_are_unavailable(servers: Servers) -> None:
    async with running_service(servers, worker=False, replicate_api_token=None) as service:
        models = (await service.client.get("/api/models")).json()["data"]
        available = {model["name"]: model["available"] for model in models}
        assert (available[SEEDANCE], available["veo3.1"]) == (False, True)

        refused = await service.client.post("/api/generate/video", json={"prompt": "a fox", "model": SEEDANCE})
        assert wrong_fields(refused) == ["model"]
        assert (await service.client.get("/api/jobs")).json()["data"] == []


async def test_token_taken_away_makes_new_jobs_fail_and_open_ones_wait_for_it(servers: Servers) -> None:
    async with running_service(servers, worker=False, webhook_patience=0.2) as service:
        async with service.worker():
            bought = await service.create("a fox [sim: latency=10m, webhook=lost]", model=SEEDANCE)
            await service.until(bought, "in_progress")
        unsent = await service.create("a fox", model=SEEDANCE)
        without = replace(service, settings=service.settings.model_copy(update={"replicate_api_token": None}))
        async with without.worker():
            job = await service.until(unsent, "failed")
            assert job["errorCode"] == "provider_unauthorized"
            assert "REPLICATE_API_TOKEN" in (await service.trail(unsent))[-1]
            assert "REPLICATE_API_TOKEN" not in job["errorMessage"]
            waiting = await until_it_waits(service, bought)
            assert waiting["status"] == "in_progress"
            assert waiting["waitingFor"] == "key"
            assert waiting["progressMessage"] == "Waiting for replicate, which is not available at the moment"
            assert "REPLICATE_API_TOKEN" in (await service.trail(bought))[-1]
            # Beyond its next look, which says the same.
            await service.until(await service.create("a fresh one at fal [sim: latency=6s]"), "completed")
        await service.servers.end_at_provider(bought)
        async with service.worker():
            assert (await service.until(bought, "completed"))["waitingFor"] is None
        assert sum(line.startswith("Waiting: ") for line in await service.trail(bought)) == 1
    assert (await service.simulated(bought))["accepted"] == 1


async def until_it_waits(service: Service, job_id: str) -> Job:
    async def waiting() -> Job:
        job = await service.job(job_id)
        assert job["waitingFor"]
        return job

    return await eventually(waiting)

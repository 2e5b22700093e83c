"""A provider fails for reasons of its own, and another model makes what was asked for: paid once, and told plainly."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from reelay.db.credits import ledger_drift
from tests.eventually import eventually
from tests.integration.api.shared import problem, wrong_fields
from tests.integration.service.killed_worker import kill, worker_process
from tests.lock_waits import waits_for_a_lock
from tests.running import Job, Service, running_service
from tests.servers import Servers

FAILING = "a harbour [sim: fail=500]"
SEEDANCE = {"model": "seedance-1-lite", "input": {"prompt": "a harbour"}}
VEO = {"model": "veo3.1", "input": {"prompt": "a harbour"}}


async def create(service: Service, prompt: str, *fallbacks: dict[str, Any], **words: Any) -> str:
    body = {"model": "veo3.1-fast", "input": {"prompt": prompt}, "fallbacks": fallbacks, "confirm": True, **words}
    response = await service.client.post("/api/jobs", json=body)
    assert response.status_code == 202, response.text
    return str(response.json()["jobId"])


async def price_of(client: httpx.AsyncClient, model: str) -> int:
    response = await client.post("/api/estimate", json={"model": model, "input": {"prompt": "a harbour"}})
    return int(response.json()["estimatedCostCents"])


async def entries(service: Service, job_id: str) -> list[tuple[str, int, int]]:
    moved = text("select phase, held_cents, charged_cents from credit_entries where job_id = :id order by id")
    async with service.sessions() as session:
        assert await ledger_drift(session) == []
        return [tuple(row) for row in await session.execute(moved, {"id": job_id})]


async def history(service: Service, job_id: str) -> list[Job]:
    found: list[Job] = (await service.client.get(f"/api/jobs/{job_id}/history")).json()["data"]
    return found


async def test_fallback_makes_it_and_its_price_alone_is_paid(service: Service) -> None:
    prices = {model: await price_of(service.client, model) for model in ("veo3.1", "seedance-1-lite")}
    job_id = await create(service, FAILING, SEEDANCE, VEO)
    assert (await service.client.get("/api/credits")).json()["heldCents"] == max(prices.values())
    job = await service.until(job_id, "completed")

    assert (job["model"], job["provider"], job["attempts"]) == ("seedance-1-lite", "replicate", 2)
    assert (job["input"], [file["format"] for file in job["files"]]) == ({"prompt": FAILING}, ["video/mp4"])
    assert job["estimatedCostCents"] == max(prices.values())
    assert job["creditsDeducted"] == prices["seedance-1-lite"]
    held = ("hold", max(prices.values()), 0)
    assert await entries(service, job_id) == [held, ("settle", -max(prices.values()), prices["seedance-1-lite"])]
    counted = await service.simulated(job_id)
    assert (counted["accepted"], counted["billed"]) == (2, 1)

    told = await history(service, job_id)
    (fell_back,) = [event for event in told if "fallback" in event["data"]]
    assert fell_back["detail"] == "The provider could not do it; going on with seedance-1-lite"
    assert fell_back["data"]["fallback"]["code"] == "provider_error"
    others = [event for event in told if "fallback" not in event["data"]]
    submitted = [event["detail"] for event in others if event["stage"] == "submitting"]
    assert submitted == ["Being submitted to fal", "Being submitted to replicate"]
    assert (await service.client.delete(f"/api/jobs/{job_id}")).status_code == 204


async def test_what_is_wrong_with_the_input_is_not_tried_elsewhere(service: Service) -> None:
    for fault, code in (("content_policy", "content_policy_violation"), ("422", "provider_rejected")):
        job_id = await create(service, f"a harbour [sim: fail={fault}]", SEEDANCE)
        job = await service.until(job_id, "failed")
        assert (job["errorCode"], job["provider"], job["creditsDeducted"]) == (code, "fal", 0)


async def test_the_last_failure_is_the_jobs_and_a_retry_begins_with_the_first_model(service: Service) -> None:
    failing = SEEDANCE | {"input": {"prompt": FAILING}}
    job_id = await create(service, FAILING, failing)
    job = await service.until(job_id, "failed")
    assert (job["errorCode"], job["model"], job["attempts"]) == ("provider_error", "seedance-1-lite", 2)
    assert [phase for phase, *_ in await entries(service, job_id)] == ["hold", "release"]

    again = await service.client.post(f"/api/jobs/{job_id}/retry")
    assert again.status_code == 202, again.text
    job = await service.until(again.json()["jobId"], "failed")
    assert (job["model"], job["attempts"]) == ("seedance-1-lite", 2)


async def test_changes_of_a_retry_reach_the_fallbacks_that_take_them(service: Service) -> None:
    failing = SEEDANCE | {"input": {"prompt": FAILING}}
    job_id = await create(service, FAILING, failing)
    await service.until(job_id, "failed")
    changes = {"prompt": "boats [sim: fail=500]", "resolution": "1080p", "negativePrompt": "fog"}

    async def retry(changes: dict[str, Any]) -> httpx.Response:
        return await service.client.post(f"/api/jobs/{job_id}/retry", json={"input": changes, "confirm": True})

    assert wrong_fields(await retry(changes | {"resolution": "4k"})) == ["fallbacks.0.resolution"]
    again = await retry(changes)
    assert again.status_code == 202, again.text
    job = await service.until(again.json()["jobId"], "failed")
    assert (job["model"], job["attempts"], job["input"]) == ("seedance-1-lite", 2, changes)
    sent = (await service.servers.simulated_request(job["falRequestId"]))["input"]
    assert (sent["prompt"], sent["resolution"], sent.keys() & {"negative_prompt", "negativePrompt"}) == (
        changes["prompt"], "1080p", set(),
    )  # fmt: skip


@pytest.fixture(scope="module")
async def locked(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, fallback_after=0) as running:
        yield running


@pytest.mark.fault("P18")
@pytest.mark.parametrize("fault", ["429", "403-locked"])
async def test_provider_that_takes_nothing_is_left_after_a_while(locked: Service, fault: str) -> None:
    job_id = await create(locked, f"a harbour [sim: submit={fault}:9]", SEEDANCE)
    job = await locked.until(job_id, "completed")

    assert (job["model"], job["provider"]) == ("seedance-1-lite", "replicate")
    (fell_back,) = [event for event in await history(locked, job_id) if "fallback" in event["data"]]
    assert fell_back["data"]["fallback"]["code"] == "wait_expired"


@pytest.mark.fault("P18")
async def test_worker_that_is_killed_while_it_falls_back_buys_nothing_twice(servers: Servers) -> None:
    async with AsyncExitStack() as stack, AsyncExitStack() as doomed:
        service = await stack.enter_async_context(running_service(servers, worker=False, webhook_patience=2))
        victim = await doomed.enter_async_context(worker_process(service.settings))
        job_id = await create(service, "a harbour [sim: fail=500, latency=10m]", VEO)
        await eventually(partial(accepted, service, job_id, 1))
        async with service.sessions.begin() as session:
            await session.execute(text("select from generation_jobs where id = :id for update"), {"id": job_id})
            await servers.end_at_provider(job_id)
            await eventually(partial(waits_for_a_lock, service.sessions))
            await kill(victim)
        async with worker_process(service.settings) as second:
            await eventually(partial(accepted, service, job_id, 2))
            await kill(second)  # around the fallback's POST
        await stack.enter_async_context(service.worker())
        job = await service.until(job_id, "completed")

        assert (job["model"], job["attempts"]) == ("veo3.1", 2)
        counted = await service.simulated(job_id)
        assert (counted["accepted"], counted["billed"]) == (2, 1)
        assert len([event for event in await history(service, job_id) if "fallback" in event["data"]]) == 1
        assert [phase for phase, *_ in await entries(service, job_id)] == ["hold", "settle"]


async def accepted(service: Service, job_id: str, times: int) -> bool:
    return bool((await service.simulated(job_id))["accepted"] == times)


async def test_fallback_that_cannot_make_it_is_refused_before_anything_is_held(service: Service) -> None:
    async def refused(*fallbacks: dict[str, Any]) -> list[str]:
        body = {"model": "veo3.1-fast", "input": {"prompt": "a harbour"}, "fallbacks": fallbacks}
        return wrong_fields(await service.client.post("/api/jobs", json=body))

    assert await refused({"model": "no-such-model"}) == ["fallbacks.0.model"]
    assert await refused(SEEDANCE, {"model": "nano-banana", "input": {"prompt": "a boat"}}) == ["fallbacks.1.model"]
    assert await refused({"model": "seedance-1-lite", "input": {}}) == ["fallbacks.0.prompt"]
    assert await refused(*[SEEDANCE] * 6) == ["fallbacks"]
    body = {"model": "veo3.1-fast", "input": {"prompt": "a harbour"}, "fallbacks": [SEEDANCE], "confirm": True}
    headers = {"idempotency-key": "the same"}
    await service.client.post("/api/jobs", json=body, headers=headers)
    other = await service.client.post("/api/jobs", json=body | {"fallbacks": []}, headers=headers)
    problem(other, 422, "IDEMPOTENCY_KEY_REUSED")

"""API keys with a budget: what they make costs at most that, whichever call makes it and however many at once."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from reelay.db.tables import Scope
from tests.integration.api.shared import new_clip, problem
from tests.integration.pipelines import shared as pipelines
from tests.running import Service, until

PRICE = 60
VIDEO = {"prompt": "a lighthouse in the rain", "quality": "fast", "duration": 4}
JOB = {"model": "veo3.1-fast", "input": {"prompt": "a lighthouse in the rain", "duration": 4}}
PLAN = {"steps": {"wind": {"kind": "ambient", "input": {"prompt": "gulls and waves"}}}}


@pytest.fixture
async def operator(patient_service: Service) -> Any:
    async with await patient_service.user("olga", scope=Scope.ADMIN, credits=0) as client:
        yield client


async def spent(service: Service, operator: httpx.AsyncClient) -> list[tuple[int, int]]:
    """Of each key of the service's user with a budget: what is spent and what is left."""
    keys = (await operator.get("/api/admin/keys", params={"user": service.user_name})).json()["data"]
    without = [key for key in keys if key["budgetCents"] is None]
    assert {(key["spentCents"], key["leftCents"]) for key in without} == {(None, None)}
    return [(key["spentCents"], key["leftCents"]) for key in keys if key not in without]


async def test_every_call_that_makes_a_job_stays_within_the_keys_budget(
    patient_service: Service, operator: httpx.AsyncClient
) -> None:
    service, mine = patient_service, patient_service.client
    clip = await new_clip(service)
    failed = await service.create("bad [sim: fail=422]", duration=4)
    await service.until(failed, "failed")
    plan = await pipelines.create(service, PLAN["steps"])
    await pipelines.until(service, plan, "completed")
    before = len((await mine.get("/api/jobs?limit=100")).json()["data"])

    calls: dict[str, dict[str, Any]] = {
        "/api/generate/video": VIDEO,
        "/api/jobs": JOB,
        f"/api/jobs/{failed}/retry": {},
        "/api/batches": {"jobs": [JOB, JOB]},
        "/api/pipelines": {**PLAN, "reuse": False},
        f"/api/pipelines/{plan}/rerun": {"steps": {"wind": {"input": {"prompt": "a storm"}}}},
        f"/api/clips/{clip['id']}/produce": {"video": {"prompt": "boats leave"}},
        "/fal/queue/fal-ai/veo3.1/fast": {"prompt": "a lake", "duration": "4s"},
        "/v1/videos": {"model": "sora-2", "prompt": "a lake", "seconds": "4"},
        "/v1/audio/speech": {"model": "tts-1", "input": "Hello.", "voice": "alloy"},
    }
    async with await service.user(service.user_name, credits=0, key_budget_cents=0) as poor:
        for path, body in calls.items():
            refused = await poor.post(path, json=body)
            assert refused.status_code == 402, f"{path}: {refused.text}"
            assert "KEY_BUDGET_SPENT" in refused.text.upper()
        chat = (await poor.post("/api/chat", json={"message": "/video a lake"})).text
        assert "KEY_BUDGET_SPENT" in chat
    assert len((await mine.get("/api/jobs?limit=100")).json()["data"]) == before
    assert await spent(service, operator) == [(0, 0)]


async def test_what_a_job_does_not_cost_is_given_back_and_what_it_cost_stays_spent(
    patient_service: Service, operator: httpx.AsyncClient
) -> None:
    service = patient_service
    async with await service.user(service.user_name, credits=0, key_budget_cents=2 * PRICE) as agent:

        async def made(prompt: str) -> str:
            created = await agent.post("/api/generate/video", json={**VIDEO, "prompt": prompt})
            assert created.status_code == 202, created.text
            return str(created.json()["jobId"])

        running = await made("a while [sim: latency=10m]")
        assert await spent(service, operator) == [(PRICE, PRICE)]
        half = await made("a lake [sim: units=half]")
        refused = problem(await agent.post("/api/generate/video", json=VIDEO), 402, "KEY_BUDGET_SPENT")
        assert (refused["estimatedCostCents"], refused["keyBudgetCents"]) == (PRICE, 2 * PRICE)
        await until(agent, f"/api/jobs/{half}", "completed")
        assert await spent(service, operator) == [(PRICE + PRICE // 2, PRICE // 2)]

        await agent.post(f"/api/jobs/{running}/cancel")
        await until(agent, f"/api/jobs/{running}", "canceled")
        await until(agent, f"/api/jobs/{await made('bad [sim: fail=422]')}", "failed")
        assert await spent(service, operator) == [(PRICE // 2, 2 * PRICE - PRICE // 2)]

        for job in (half, running):
            assert (await agent.delete(f"/api/jobs/{job}")).status_code == 204
        assert await spent(service, operator) == [(PRICE // 2, 2 * PRICE - PRICE // 2)]
    # The user's other keys go on.
    assert (await service.client.post("/api/generate/video", json=VIDEO)).status_code == 202


@pytest.mark.fault("L9")
async def test_twenty_at_once_with_a_budget_for_three_are_three(
    patient_service: Service, operator: httpx.AsyncClient
) -> None:
    service = patient_service
    body = {"jobs": [JOB, JOB]}
    async with await service.user(service.user_name, credits=0, key_budget_cents=3 * PRICE) as agent:
        singles = [agent.post("/api/jobs", json=JOB) for _ in range(16)]
        batches = [agent.post("/api/batches", json=body) for _ in range(4)]
        answers = await asyncio.gather(*singles, *batches)
        jobs = (await agent.get("/api/jobs")).json()["data"]
    assert {answer.status_code for answer in answers} == {202, 402}
    assert len(jobs) == 3
    assert await spent(service, operator) == [(3 * PRICE, 0)]


async def test_a_repetition_of_a_request_is_counted_once(patient_service: Service, operator: httpx.AsyncClient) -> None:
    service = patient_service
    headers = {"idempotency-key": str(uuid4())}
    async with await service.user(service.user_name, credits=0, key_budget_cents=PRICE) as agent:
        answers = [await agent.post("/api/jobs", json=JOB, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert await spent(service, operator) == [(PRICE, 0)]


async def test_a_budget_is_whole_cents(operator: httpx.AsyncClient) -> None:
    for wrong in (-1, 1.5, "10"):
        refused = await operator.post("/api/admin/keys", json={"user": "olga", "budgetCents": wrong})
        assert problem(refused, 422, "INVALID_PARAMS")["errors"][0]["field"] == "budgetCents"

"""Credits over HTTP: held with the job, charged or given back with its end; nothing is made that is not paid for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from reelay.db.credits import ledger_drift, limit_month, top_up
from reelay.db.users import find_or_create_user
from tests.eventually import PATIENCE
from tests.integration.api.shared import new_clip, problem, wrong_fields
from tests.running import Job, Service, running_service, until
from tests.servers import Servers
from tests.tcp_lines import Lines, open_line

VIDEO = {"prompt": "a lighthouse in the rain", "quality": "fast", "duration": 4}
PRICE = 60
FOREVER = VIDEO | {"prompt": "a while [sim: latency=10m]"}


@asynccontextmanager
async def user_with(service: Service, cents: int) -> AsyncIterator[tuple[str, httpx.AsyncClient]]:
    name = f"user {uuid4()}"
    async with await service.user(name, credits=cents) as client:
        yield name, client


async def credits(client: httpx.AsyncClient) -> tuple[int, int, int]:
    """Balance, held, available."""
    found = (await client.get("/api/credits")).json()
    return found["balanceCents"], found["heldCents"], found["availableCents"]


async def entries(service: Service, job_id: str) -> list[tuple[str, int]]:
    """The phases of the job's credits, with what became available to its user."""
    statement = text("select phase, available_cents from credit_entries where job_id = :job order by id")
    async with service.sessions() as session:
        return [(phase, cents) for phase, cents in await session.execute(statement, {"job": UUID(job_id)})]


async def add(service: Service, name: str, cents: int) -> None:
    async with service.sessions.begin() as session:
        await top_up(session, await find_or_create_user(session, name), cents)


async def create(client: httpx.AsyncClient, body: dict[str, Any]) -> str:
    created = await client.post("/api/generate/video", json=body)
    assert created.status_code == 202, created.text
    return str(created.json()["jobId"])


async def job_until(client: httpx.AsyncClient, job_id: str, status: str) -> Job:
    return await until(client, f"/api/jobs/{job_id}", status)


async def test_price_is_held_then_charged(patient_service: Service) -> None:
    async with user_with(patient_service, 100) as (_, client):
        job_id = await create(client, VIDEO | {"prompt": "a harbour [sim: latency=10m]"})
        assert await credits(client) == (100, PRICE, 40)
        await job_until(client, job_id, "in_progress")
        await patient_service.servers.end_at_provider(job_id)
        job = await job_until(client, job_id, "completed")
        assert (job["estimatedCostCents"], job["actualCostCents"], job["creditsDeducted"]) == (PRICE, PRICE, PRICE)
        assert await credits(client) == (40, 0, 40)
    assert await entries(patient_service, job_id) == [("hold", -PRICE), ("settle", 0)]


async def test_failed_job_costs_nothing_and_its_retry_is_held_anew(patient_service: Service) -> None:
    async with user_with(patient_service, 100) as (_, client):
        job_id = await create(client, VIDEO | {"prompt": "bad [sim: fail=422, latency=100ms]"})
        job = await job_until(client, job_id, "failed")
        assert (job["actualCostCents"], job["creditsDeducted"]) == (0, 0)
        assert await credits(client) == (100, 0, 100)

        again = (await client.post(f"/api/jobs/{job_id}/retry")).json()["jobId"]
        await job_until(client, again, "failed")
        assert await credits(client) == (100, 0, 100)
    for each in (job_id, again):
        assert await entries(patient_service, each) == [("hold", -PRICE), ("release", PRICE)]


async def test_retry_without_credits_is_refused(patient_service: Service) -> None:
    async with user_with(patient_service, PRICE) as (_, client):
        job_id = await create(client, VIDEO | {"prompt": "bad [sim: fail=422]"})
        await job_until(client, job_id, "failed")
        await create(client, FOREVER)
        problem(await client.post(f"/api/jobs/{job_id}/retry"), 402, "INSUFFICIENT_CREDITS")


async def test_without_credits_nothing_is_made_and_the_key_stays_free(patient_service: Service) -> None:
    async with user_with(patient_service, 0) as (name, client):
        assert await credits(client) == (0, 0, 0)
        headers = {"idempotency-key": "the same"}
        refused = problem(
            await client.post("/api/generate/video", json=VIDEO, headers=headers), 402, "INSUFFICIENT_CREDITS"
        )
        assert (refused["estimatedCostCents"], refused["availableCents"]) == (PRICE, 0)
        assert (
            refused["detail"] == refused["error"] == f"Not enough credits: this costs {PRICE} cents, 0 are available."
        )
        assert (await client.get("/api/jobs")).json()["data"] == []

        await add(patient_service, name, PRICE - 1)
        assert (await client.post("/api/generate/video", json=VIDEO, headers=headers)).status_code == 402
        await add(patient_service, name, 1)
        accepted = await client.post("/api/generate/video", json=VIDEO, headers=headers)
        assert (accepted.status_code, "idempotency-replayed" in accepted.headers) == (202, False)
        await job_until(client, accepted.json()["jobId"], "completed")
        again = await client.post("/api/generate/video", json=VIDEO, headers=headers)
        assert (again.status_code, again.content) == (202, accepted.content)
        assert await credits(client) == (0, 0, 0)


async def test_monthly_budget_refuses_with_its_numbers(patient_service: Service) -> None:
    async with user_with(patient_service, 1000) as (name, client):
        async with patient_service.sessions.begin() as session:
            await limit_month(session, await find_or_create_user(session, name), PRICE + 30)
        await create(client, VIDEO)
        refused = problem(await client.post("/api/generate/video", json=VIDEO), 402, "INSUFFICIENT_CREDITS")
        assert (refused["monthlyBudgetCents"], refused["spentThisMonthCents"]) == (PRICE + 30, PRICE)
        assert "budget" in refused["detail"]


@pytest.mark.fault("L1", "O8")
async def test_forty_creations_at_two_apis_with_credits_for_ten_are_ten(servers: Servers) -> None:
    database = await servers.postgres.copy()
    async with (
        running_service(servers, worker=False, database=database) as one,
        running_service(servers, worker=False, database=database) as other,
    ):
        for seed in range(3):
            dice = Random(seed)
            async with user_with(one, 10 * PRICE) as (_, client):
                urls = [dice.choice((one, other)).origin + "/api/generate/video" for _ in range(40)]
                answers = await asyncio.gather(*(client.post(url, json=VIDEO) for url in urls))
                codes = [answer.status_code for answer in answers]
                assert (codes.count(202), codes.count(402)) == (10, 30), f"seed {seed}"
                assert await credits(client) == (10 * PRICE, 10 * PRICE, 0), f"seed {seed}"
        async with one.sessions() as session:
            assert await ledger_drift(session) == []


@pytest.mark.fault("T12")
async def test_fifty_at_once_with_one_key_hold_once(patient_service: Service) -> None:
    async with user_with(patient_service, 1000) as (_, client):
        headers = {"idempotency-key": str(uuid4())}
        posts = [client.post("/api/generate/video", json=VIDEO, headers=headers) for _ in range(50)]
        answers = await asyncio.gather(*posts)

        assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
        assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
        job_id = answers[0].json()["jobId"]
        assert await credits(client) in ((1000, PRICE, 940), (940, 0, 940))
        await job_until(client, job_id, "completed")
    assert await entries(patient_service, job_id) == [("hold", -PRICE), ("settle", 0)]
    assert (await patient_service.simulated(job_id))["accepted"] == 1


@pytest.mark.fault("L2", "L6")
async def test_retry_after_a_crash_continues_the_job_at_the_price_of_its_creation(servers: Servers) -> None:
    async with (
        open_line(servers.temporal.port) as temporal,
        open_line(servers.postgres.server.port) as postgres,
        running_service(servers, lines=Lines(temporal, postgres), webhook_patience=60) as service,
    ):
        headers = {"idempotency-key": "after a crash"}
        with temporal.cut():
            first = await service.client.post("/api/generate/video", json=VIDEO, headers=headers)
            assert first.status_code == 202
            assert (await service.job(first.json()["jobId"]))["stage"] == "reserving"
            async with service.sessions.begin() as session:  # as if the catalogue's price had been a third then
                await session.execute(text('update generation_jobs set tariff = tariff || \'{"unit_cents": "5"}\''))
        again = await service.client.post("/api/generate/video", json=VIDEO, headers=headers)
        assert (again.status_code, again.content) == (202, first.content)
        await service.until(first.json()["jobId"], "completed")
        assert await entries(service, first.json()["jobId"]) == [("hold", -PRICE), ("settle", PRICE - 4 * 5)]
        fresh = await service.create()
        await service.until(fresh, "completed")


@pytest.mark.fault("L5")
async def test_created_and_canceled_again_and_again_leaves_the_balance_as_it_was(patient_service: Service) -> None:
    async with user_with(patient_service, 5 * PRICE) as (_, client):
        for _ in range(3):
            ids = await asyncio.gather(*(create(client, FOREVER) for _ in range(5)))
            assert await credits(client) == (5 * PRICE, 5 * PRICE, 0)
            await asyncio.gather(*(client.post(f"/api/jobs/{job_id}/cancel") for job_id in ids))
            await asyncio.gather(*(job_until(client, job_id, "canceled") for job_id in ids))
            assert await credits(client) == (5 * PRICE, 0, 5 * PRICE)


@pytest.mark.fault("S7")
async def test_what_the_provider_counts_is_charged_as_far_as_it_can_be(patient_service: Service) -> None:
    counts = {"lost": PRICE, "nan": PRICE, "negative": PRICE, "huge": PRICE, "half": PRICE // 2, "double": PRICE}
    async with user_with(patient_service, 10 * PRICE) as (_, client):
        ids = {count: await create(client, VIDEO | {"prompt": f"[sim: units={count}]"}) for count in counts}
        jobs = {count: await job_until(client, job_id, "completed") for count, job_id in ids.items()}
        ends = {
            count: (await client.get(f"/api/jobs/{job_id}/history")).json()["data"][-1]["data"]
            for count, job_id in ids.items()
        }
        left = 10 * PRICE - sum(counts.values())
        assert await credits(client) == (left, 0, left)

    assert {count: job["creditsDeducted"] for count, job in jobs.items()} == counts
    assert {count: job["actualCostCents"] for count, job in jobs.items()} == counts | {"double": 2 * PRICE}
    assert ends == {
        "lost": {},
        "nan": {"doubtfulCost": "the provider counted nan units"},
        "negative": {"doubtfulCost": "the provider counted -4 units"},
        "huge": {"doubtfulCost": "the provider counted 1e+30 units"},
        "half": {},
        "double": {"overrunCents": PRICE},
    }


OTHERS = ["user_id", "userId", "status", "credits", "creditsDeducted", "credits_deducted", "id", "resultUrl"]
MORE = ["result_url", "provider_request_id", "falRequestId", "estimatedCostCents", "price", "tariff"]


@pytest.mark.fault("T8")
@pytest.mark.parametrize("field", [*OTHERS, *MORE])
async def test_nothing_can_be_assigned_that_is_not_the_callers(patient_service: Service, field: str) -> None:
    value = str(uuid4())
    async with user_with(patient_service, 1000) as (_, client):
        for path, body in (
            ("/api/generate/video", VIDEO | {field: value}),
            ("/api/jobs", {"model": "veo3.1-fast", "input": {"prompt": "x"}, field: value}),
            ("/api/jobs", {"model": "veo3.1-fast", "input": {"prompt": "x", field: value}}),
            ("/api/campaigns", {"name": "x", field: value}),
        ):
            refused = await client.post(path, json=body)
            assert wrong_fields(refused) == [field]
        assert (await client.get("/api/jobs")).json()["data"] == []
        assert await credits(client) == (1000, 0, 1000)


async def test_everything_wrong_is_named_at_once_ours_and_the_models(patient_service: Service) -> None:
    wrong = {"clipId": "7", "metadata": [], "confirm": "perhaps", "duration": 7, "prompt": 5, "colour": "red"}
    refused = await patient_service.client.post("/api/generate/video", json={"quality": "fast", **wrong})
    assert set(wrong_fields(refused)) == wrong.keys()

    refused = await patient_service.client.post(
        "/api/jobs", json={"model": "veo3.1-fast", "input": {"duration": 7}, "clipId": "7"}
    )
    assert set(wrong_fields(refused)) == {"clipId", "duration", "prompt"}

    nowhere = str(uuid4())
    refused = await patient_service.client.post(
        "/api/generate/voice", json={"cfg": 9, "clipId": nowhere, "campaignId": nowhere}
    )
    assert set(wrong_fields(refused)) == {"text", "cfg", "clipId", "campaignId"}


@pytest.mark.parametrize("body", [[], "x", {"model": 7}, {"model": "veo3.1-fast", "input": [], "clipId": "7"}])
async def test_body_that_tells_no_model_is_refused_for_what_it_is(patient_service: Service, body: Any) -> None:
    for path in ("/api/jobs", "/api/generate/video"):
        assert wrong_fields(await patient_service.client.post(path, json=body))


async def test_clip_has_to_be_of_the_campaign(patient_service: Service) -> None:
    clip, other = await new_clip(patient_service), await new_clip(patient_service)
    client, words = patient_service.client, {"text": "Hello."}
    mixed = words | {"clipId": clip["id"], "campaignId": other["campaignId"]}
    assert wrong_fields(await client.post("/api/generate/voice", json=mixed)) == ["clipId"]
    fitting = words | {"clipId": clip["id"], "campaignId": clip["campaignId"]}
    assert (await client.post("/api/generate/voice", json=fitting)).status_code == 202


@pytest.mark.parametrize("first_frame", [{}, {"firstFrameUrl": ""}, {"firstFrameUrl": None}])
@pytest.mark.parametrize("model", ["fal-ai/veo3/fast/image-to-video", "fal-ai/cogvideox-5b/image-to-video"])
async def test_image_mode_without_its_image_is_refused(
    patient_service: Service, model: str, first_frame: dict[str, Any]
) -> None:
    async with user_with(patient_service, 1000) as (_, client):
        body = {"model": model, "input": {"prompt": "x", **first_frame}}
        assert wrong_fields(await client.post("/api/jobs", json=body)) == ["firstFrameUrl"]
        flat = {"prompt": "x", "model": model, **first_frame}
        assert wrong_fields(await client.post("/api/generate/video", json=flat)) == ["firstFrameUrl"]
        assert await credits(client) == (1000, 0, 1000)


@pytest.mark.fault("T1")
async def test_credits_are_the_callers_own(patient_service: Service) -> None:
    async with httpx.AsyncClient(base_url=patient_service.origin, timeout=PATIENCE) as nobody:
        problem(await nobody.get("/api/credits"), 401, "UNAUTHENTICATED")
    async with user_with(patient_service, 7) as (_, one), user_with(patient_service, 8) as (_, other):
        assert (await credits(one), await credits(other)) == ((7, 0, 7), (8, 0, 8))

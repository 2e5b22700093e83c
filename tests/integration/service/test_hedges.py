"""A model takes too long, and its fallback begins beside it: one of them makes it, and each cent is accounted for."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text

from tests.eventually import eventually
from tests.integration.api.shared import wrong_fields
from tests.integration.service.killed_worker import kill, worker_process
from tests.integration.service.test_fallbacks import entries, history, price_of
from tests.integration.service.test_slots import waits
from tests.running import Job, Service, running_service
from tests.servers import Servers

LONG = "a harbour [sim: latency=10m]"
SEEDANCE = {"model": "seedance-1-lite", "input": {"prompt": "a harbour"}}
VEO = {"model": "veo3.1", "input": {"prompt": "a harbour"}}
HEDGE = {"hedgeAfterSeconds": 1, "maxExtraCents": 1000}


def body(fallback: dict[str, Any], prompt: str = LONG, **words: Any) -> dict[str, Any]:
    return {
        "model": "veo3.1-fast",
        "input": {"prompt": prompt},
        "fallbacks": [fallback],
        "confirm": True,
        **HEDGE,
        **words,
    }


async def create(service: Service, fallback: dict[str, Any], **words: Any) -> str:
    response = await service.client.post("/api/jobs", json=body(fallback, **words))
    assert response.status_code == 202, response.text
    return str(response.json()["jobId"])


async def prices(service: Service, *models: str) -> list[int]:
    return [await price_of(service.client, model) for model in models]


async def told(service: Service, job_id: str) -> dict[str, str]:
    """What the timeline says of the hedge, by its event."""
    events = await history(service, job_id)
    return {event["data"]["hedge"]["event"]: event["detail"] for event in events if "hedge" in event["data"]}


async def attempts(service: Service, job_id: str) -> list[tuple[int, str, str]]:
    rows = text("select number, provider, state from submission_attempts where job_id = :id order by number")
    async with service.sessions() as session:
        return [tuple(row) for row in await session.execute(rows, {"id": job_id})]


async def both_accepted(service: Service, job_id: str) -> None:
    async def are_recorded() -> bool:
        return [state for *_, state in await attempts(service, job_id)] == ["accepted", "accepted"]

    await eventually(are_recorded)


async def test_fallback_that_ends_first_is_kept_and_its_price_alone_is_paid(service: Service) -> None:
    first, hedge = await prices(service, "veo3.1-fast", "seedance-1-lite")
    job_id = await create(service, SEEDANCE)
    job = await service.until(job_id, "completed")

    assert (job["model"], job["provider"], job["attempts"]) == ("seedance-1-lite", "replicate", 2)
    assert (job["estimatedCostCents"], job["creditsDeducted"]) == (first + hedge, hedge)
    assert await entries(service, job_id) == [("hold", first + hedge, 0), ("settle", -first - hedge, hedge)]
    counted = await service.simulated(job_id)
    assert (counted["accepted"], counted["cancel_calls"]) == (2, 1)
    assert await attempts(service, job_id) == [(1, "fal", "accepted"), (2, "replicate", "accepted")]
    assert await told(service, job_id) == {
        "begun": "It takes long; seedance-1-lite begins beside it",
        "ended_first": "seedance-1-lite has ended first",
        "stopped": "veo3.1-fast is stopped, and costs nothing",
    }


async def test_first_model_that_ends_first_is_kept_and_the_fallback_stopped(service: Service) -> None:
    first, _ = await prices(service, "veo3.1-fast", "seedance-1-lite")
    job_id = await create(service, SEEDANCE | {"input": {"prompt": LONG}})
    await both_accepted(service, job_id)
    await service.servers.end_at_provider(job_id)
    job = await service.until(job_id, "completed")

    assert (job["model"], job["attempts"], job["creditsDeducted"]) == ("veo3.1-fast", 2, first)
    assert set(await told(service, job_id)) == {"begun", "stopped"}


async def test_where_both_have_ended_both_are_paid_and_no_more_than_was_held(service: Service) -> None:
    first, hedge = await prices(service, "veo3.1-fast", "veo3.1")
    job_id = await create(service, VEO | {"input": {"prompt": LONG}}, prompt=f"{LONG[:-1]}, media=slow:2s]")
    await both_accepted(service, job_id)
    for request_id in (await service.simulated(job_id))["requests"]:
        await service.servers.end_request(request_id)
    job = await service.until(job_id, "completed")

    assert job["creditsDeducted"] == first + hedge
    assert [charged for phase, _, charged in await entries(service, job_id) if phase == "settle"] == [first + hedge]
    assert "had ended as well, which costs" in (await told(service, job_id))["stopped"]
    assert (await service.simulated(job_id))["billed"] == 2


async def test_first_model_that_fails_leaves_it_to_the_one_beside_it(service: Service) -> None:
    job_id = await create(
        service, SEEDANCE | {"input": {"prompt": LONG}}, prompt="a harbour [sim: latency=10m, fail=500]"
    )
    await both_accepted(service, job_id)
    await service.servers.end_at_provider(job_id)

    async def goes_on() -> Job:
        job = await service.job(job_id)
        assert job["model"] == "seedance-1-lite"
        return job

    assert (await eventually(goes_on))["status"] == "in_progress"
    await service.servers.end_request((await service.simulated(job_id))["requests"][1])
    await service.until(job_id, "completed")
    assert (await told(service, job_id))["failed"] == "veo3.1-fast could not do it; seedance-1-lite goes on"


async def test_fallback_that_fails_leaves_it_to_the_first_model(service: Service) -> None:
    job_id = await create(service, SEEDANCE | {"input": {"prompt": "a harbour [sim: fail=500]"}})

    async def goes_on() -> dict[str, str]:
        seen = await told(service, job_id)
        assert "failed" in seen
        return seen

    assert (await eventually(goes_on))["failed"] == "seedance-1-lite could not do it; veo3.1-fast goes on"
    row = text("select candidate, attempts_before, attempts, beside_provider from generation_jobs where id = :id")
    async with service.sessions() as session:
        assert tuple((await session.execute(row, {"id": job_id})).one()) == (0, 0, 1, None)
    await service.servers.end_at_provider(job_id)
    job = await service.until(job_id, "completed")
    assert (job["model"], job["provider"], job["attempts"]) == ("veo3.1-fast", "fal", 2)


@pytest.fixture(scope="module")
async def strict(servers: Servers) -> AsyncIterator[Service]:
    """It keeps nothing of a flagged result."""
    async with running_service(servers, flagged_results="fail", webhook_patience=60) as running:
        yield running


async def flagged_beside(strict: Service, prompt: str) -> tuple[str, int, int]:
    """A job whose hedge was flagged, and whose first model is still at work; the prices of both."""
    first, hedge = await prices(strict, "flux-schnell", "flux-dev")
    flagged = {"model": "flux-dev", "input": {"prompt": "a harbour [sim: result=nsfw]"}}
    job_id = await create(strict, flagged, model="flux-schnell", prompt=prompt)

    async def goes_on() -> dict[str, str]:
        seen = await told(strict, job_id)
        assert "failed" in seen
        return seen

    assert f"which costs {hedge} cents; flux-schnell goes on" in (await eventually(goes_on))["failed"]
    await strict.servers.end_at_provider(job_id)
    return job_id, first, hedge


async def test_flagged_result_of_the_fallback_is_not_kept_is_paid_and_leaves_it_to_the_first_model(
    strict: Service,
) -> None:
    job_id, first, hedge = await flagged_beside(strict, LONG)
    job = await strict.until(job_id, "completed")
    assert (job["model"], job["flagged"], len(job["files"])) == ("flux-schnell", False, 1)
    assert (job["creditsDeducted"], job["actualCostCents"]) == (first + hedge, first + hedge)
    held = first + hedge
    assert await entries(strict, job_id) == [("hold", held, 0), ("settle", -held, held)]
    assert (await strict.simulated(job_id))["cancel_calls"] == 0


async def test_flagged_result_of_the_fallback_is_paid_although_the_first_model_fails(strict: Service) -> None:
    job_id, first, hedge = await flagged_beside(strict, "a harbour [sim: latency=10m, fail=500]")
    job = await strict.until(job_id, "failed")
    assert (job["errorCode"], job["creditsDeducted"], job["actualCostCents"]) == ("provider_error", hedge, hedge)
    assert await entries(strict, job_id) == [("hold", first + hedge, 0), ("settle", -(first + hedge), hedge)]


async def test_flagged_result_of_the_first_model_ends_the_job_and_stops_the_fallback(strict: Service) -> None:
    first, hedge = await prices(strict, "flux-dev", "flux-schnell")
    long = {"model": "flux-schnell", "input": {"prompt": LONG}}
    job_id = await create(strict, long, model="flux-dev", prompt="a harbour [sim: latency=10m, result=nsfw]")
    await both_accepted(strict, job_id)
    await strict.servers.end_at_provider(job_id)
    job = await strict.until(job_id, "failed")

    assert (job["errorCode"], job["flagged"], job["files"], job["model"]) == (
        "result_flagged",
        True,
        [],
        "flux-dev",
    )
    assert job["creditsDeducted"] == first
    held = first + hedge
    assert await entries(strict, job_id) == [("hold", held, 0), ("settle", -held, first)]
    assert (await strict.simulated(job_id))["cancel_calls"] == 1


async def test_an_estimate_names_the_model_that_may_begin_beside(service: Service) -> None:
    first, hedge = await prices(service, "veo3.1-fast", "seedance-1-lite")

    async def estimated(**words: Any) -> tuple[Any, int]:
        answer = await service.client.post("/api/estimate", json=body(SEEDANCE, **words))
        assert answer.status_code == 200, answer.text
        return answer.json()["hedgeModel"], answer.json()["estimatedCostCents"]

    assert await estimated() == ("seedance-1-lite", first + hedge)
    assert await estimated(maxExtraCents=hedge - 1) == (None, max(first, hedge))
    assert await estimated(hedgeAfterSeconds=None, maxExtraCents=None) == (None, max(first, hedge))


async def test_cancellation_withdraws_both_and_costs_nothing(service: Service) -> None:
    job_id = await create(service, SEEDANCE | {"input": {"prompt": LONG}})
    await both_accepted(service, job_id)
    await service.client.post(f"/api/jobs/{job_id}/cancel")
    job = await service.until(job_id, "canceled")

    counted = await service.simulated(job_id)
    assert (counted["accepted"], counted["cancel_calls"], job["creditsDeducted"]) == (2, 2, 0)
    assert [phase for phase, *_ in await entries(service, job_id)] == ["hold", "release"]


async def test_nothing_begins_beside_a_model_where_that_costs_more_than_allowed(service: Service) -> None:
    first, hedge = await prices(service, "veo3.1-fast", "seedance-1-lite")
    job_id = await create(service, SEEDANCE, maxExtraCents=hedge - 1, prompt="a harbour [sim: latency=3s]")
    job = await service.until(job_id, "completed")

    assert (job["model"], job["attempts"], job["estimatedCostCents"]) == ("veo3.1-fast", 1, max(first, hedge))
    assert await told(service, job_id) == {}


async def test_what_cannot_be_hedged_is_refused(service: Service) -> None:
    async def refused(**words: Any) -> list[str]:
        return wrong_fields(await service.client.post("/api/jobs", json=body(SEEDANCE, **words)))

    assert await refused(fallbacks=[]) == ["fallbacks"]
    assert await refused(maxExtraCents=None) == ["maxExtraCents"]
    assert await refused(hedgeAfterSeconds=None) == ["hedgeAfterSeconds"]
    assert await refused(hedgeAfterSeconds=0, maxExtraCents=-1) == ["hedgeAfterSeconds", "maxExtraCents"]


@pytest.mark.fault("P19")
async def test_fallback_whose_answer_is_lost_is_adopted_by_listing_beside_the_first_model(service: Service) -> None:
    lost = VEO | {"input": {"prompt": "found beside another [sim: submit=drop, webhook=lost]"}}
    job_id = await create(service, lost, prompt="slow beside a lost one [sim: latency=10m]")
    job = await service.until(job_id, "completed")

    assert (job["model"], job["attempts"]) == ("veo3.1", 2)
    assert (await service.simulated(job_id))["accepted"] == 2


@pytest.mark.fault("P19")
async def test_worker_that_is_killed_at_the_second_submission_buys_nothing_twice(servers: Servers) -> None:
    async with AsyncExitStack() as stack, AsyncExitStack() as doomed:
        service = await stack.enter_async_context(running_service(servers, worker=False, webhook_patience=2))
        victim = await doomed.enter_async_context(worker_process(service.settings))
        slow = VEO | {"input": {"prompt": "a harbour [sim: submit=slow:60s, latency=10m]"}}
        job_id = await create(service, slow)
        await eventually(partial(accepted, service, job_id, 2))
        await kill(victim)
        await stack.enter_async_context(service.worker())
        await service.servers.end_request((await service.simulated(job_id))["requests"][1])
        job = await service.until(job_id, "completed")

        assert (job["model"], job["attempts"]) == ("veo3.1", 2)
        assert (await service.simulated(job_id))["accepted"] == 2
        assert [phase for phase, *_ in await entries(service, job_id)] == ["hold", "settle"]


async def accepted(service: Service, job_id: str, times: int) -> bool:
    return bool((await service.simulated(job_id))["accepted"] == times)


@pytest.fixture(scope="module")
async def narrow(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, fal_concurrency=2, webhook_patience=60) as running:
        yield running


async def test_both_hold_a_slot_and_who_waits_goes_before_a_second_model(narrow: Service) -> None:
    others = [await narrow.create(LONG)]
    hedged = await create(narrow, VEO | {"input": {"prompt": LONG}})
    await narrow.until_accepted(hedged)
    others += [await narrow.create(LONG) for _ in range(2)]
    for running, next_one in pairwise(others):
        await waits(narrow, next_one)
        await narrow.servers.end_at_provider(running)
        await narrow.until_accepted(next_one)
        assert (await narrow.simulated(hedged))["accepted"] == 1
    await narrow.servers.end_at_provider(others[-1])
    await both_accepted(narrow, hedged)

    last = await narrow.create(LONG)
    await waits(narrow, last)
    await narrow.servers.end_at_provider(hedged)
    await narrow.until_accepted(last)
    await narrow.until(hedged, "completed")

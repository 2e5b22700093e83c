"""At a provider that runs only so many requests at once, the others wait for their turn, and are not sent before it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from reelay.db.audit_log import Actor
from reelay.db.tables import Scope
from reelay.domain.generation import Priority, ProviderName
from reelay.operators import limit_slots, set_highest_priority
from tests.eventually import eventually
from tests.integration.service.killed_worker import kill, worker_process
from tests.running import Service, running_service
from tests.servers import Servers

LONG = "a harbour [sim: latency=10m]"
OPERATOR = Actor(None, "test")


@pytest.fixture(scope="module")
async def shared(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, fal_concurrency=2, webhook_patience=60) as running:
        yield running


@pytest.fixture
async def service(shared: Service, request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    async with shared.for_user(request.node.name) as mine:
        yield mine


@pytest.fixture(scope="module")
async def operator(shared: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with await shared.user("olga", scope=Scope.ADMIN, credits=0) as client:
        yield client


async def waits(service: Service, job_id: str) -> dict[str, Any]:
    async def waiting() -> dict[str, Any]:
        job = await service.job(job_id)
        assert job["waitingFor"] == "slot"
        return job

    return await eventually(waiting)


async def at_provider(service: Service, *jobs: str) -> set[str]:
    """Those that were sent and have not ended."""
    of_jobs = [(job_id, await service.job(job_id)) for job_id in jobs]
    return {job_id for job_id, job in of_jobs if job["attempts"] and job["status"] in ("submitted", "in_progress")}


async def end(service: Service, job_id: str) -> None:
    await service.until_accepted(job_id)
    await service.servers.end_at_provider(job_id)
    await service.until(job_id, "completed")


async def create_as(client: httpx.AsyncClient, prompt: str = LONG, **words: Any) -> str:
    body = {"prompt": prompt, "quality": "fast", **words}
    response = await client.post("/api/generate/video", json=body)
    assert response.status_code == 202, response.text
    return str(response.json()["jobId"])


async def test_another_users_two_jobs_start_after_two_ends_beside_a_batch(service: Service) -> None:
    batch = [await service.create(LONG) for _ in range(2)]
    for job_id in batch:
        await service.until_accepted(job_id)
    batch += [await service.create(LONG) for _ in range(4)]
    for job_id in batch[2:]:
        job = await waits(service, job_id)
        assert (job["status"], job["stage"], job["attempts"]) == ("pending", "waiting", 0)
        assert (await service.simulated(job_id))["accepted"] == 0
    async with await service.user("bob, who has two") as bob:
        others = [await create_as(bob) for _ in range(2)]
        for job_id in others:
            await eventually(partial(shows, bob, job_id, "waiting"))
        for ended, started in zip(batch[:2], others, strict=True):
            await end(service, ended)
            await eventually(partial(shows, bob, started, "generating"))
        assert await at_provider(service, *batch[2:]) == set()
        for job_id in others:
            await service.servers.end_at_provider(job_id)
        for job_id in batch[2:]:  # the oldest first, two at once
            await end(service, job_id)
    for job_id in batch:
        counted = await service.simulated(job_id)
        assert (counted["accepted"], counted["billed"]) == (1, 1)


async def shows(client: httpx.AsyncClient, job_id: str, stage: str) -> bool:
    return bool((await client.get(f"/api/jobs/{job_id}")).json()["stage"] == stage)


async def test_priority_goes_first_and_operators_may_reserve_it(service: Service) -> None:
    running = [await service.create(LONG) for _ in range(2)]
    for job_id in running:
        await service.until_accepted(job_id)
    low = await service.create(LONG, priority="low")
    normal = await service.create(LONG)
    high = await service.create(LONG, priority="high")
    for job_id in (low, normal, high):
        await waits(service, job_id)
    assert (await service.job(high))["priority"] == "high"
    await eventually(partial(are_in_line, service, [high, normal, low]))

    for ended, next_one in zip([*running, high], [high, normal, low], strict=True):
        await end(service, ended)
        await service.until_accepted(next_one)
    for job_id in (normal, low):
        await end(service, job_id)

    async with service.sessions.begin() as session:
        await set_highest_priority(session, OPERATOR, service.user_name, Priority.NORMAL)
    refused = await service.client.post("/api/generate/video", json={"prompt": LONG, "priority": "high"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "priority")
    assert refused.json()["errors"][0]["limit"] == "normal"


async def are_in_line(service: Service, jobs: list[str]) -> bool:
    shown = [await service.job(job_id) for job_id in jobs]
    starts = [job["estimatedStartAt"] for job in shown]
    if None in starts:  # the line is read at most once a second
        return False
    assert starts == sorted(starts)
    assert all(job["estimatedCompletionAt"] > job["estimatedStartAt"] for job in shown)
    for job in shown:
        for what in ("Start", "Completion"):
            within = job[f"estimated{what}Range"]
            assert within["earliest"] <= job[f"estimated{what}At"] <= within["latest"]
        assert job["estimatedCompletionRange"]["earliest"] < job["estimatedCompletionRange"]["latest"]
    return [job["queuePosition"] for job in shown] == [0, 1, 2]


async def test_who_waits_is_canceled_at_once_and_nothing_is_sent_for_it(service: Service) -> None:
    running = [await service.create(LONG) for _ in range(2)]
    for job_id in running:
        await service.until_accepted(job_id)
    waiting = await service.create(LONG)
    await waits(service, waiting)
    assert (await service.client.post(f"/api/jobs/{waiting}/cancel")).status_code == 202
    await service.until(waiting, "canceled")
    assert (await service.client.get("/api/credits")).json()["heldCents"] == 2 * (
        (await service.job(running[0]))["estimatedCostCents"]
    )
    for job_id in running:
        await end(service, job_id)
    assert await service.closed_as(waiting) == "CANCELED"
    assert (await service.simulated(waiting))["accepted"] == 0


async def test_operators_hold_jobs_back_and_have_others_go_first(service: Service, operator: httpx.AsyncClient) -> None:
    running = [await service.create(LONG) for _ in range(2)]
    for job_id in running:
        await service.until_accepted(job_id)
    urgent = await service.create(LONG, priority="high")
    held, last, first = [await service.create(LONG) for _ in range(3)]
    for job_id in (urgent, held, last, first):
        await waits(service, job_id)

    assert (await order(operator, held, "hold"))["held"]
    assert (await order(operator, last, "move", place="back"))["place"] == "back"
    assert (await order(operator, first, "move", place="front"))["place"] == "front"
    waiting = (await operator.get("/api/admin/providers/fal/waiting")).json()
    assert [job["id"] for job in waiting["data"]] == [first, urgent, last, held]
    assert waiting["total"] == 4
    assert {(job["user"], job["priority"]) for job in waiting["data"]} == {
        (service.user_name, "high"),
        (service.user_name, "normal"),
    }
    await eventually(partial(has_no_place, service, held))
    for ended, next_one in zip([*running, first], [first, urgent, last], strict=True):
        await end(service, ended)
        await service.until_accepted(next_one)
    await end(service, urgent)  # a slot is free now
    await end(service, await service.create(LONG))
    assert await at_provider(service, held) == set()

    assert not (await order(operator, held, "release"))["held"]
    await service.until_accepted(held)
    refused = await operator.post(f"/api/admin/jobs/{held}/hold")
    assert (refused.status_code, refused.json()["code"]) == (409, "CONFLICT")
    for job_id in (held, last):
        await end(service, job_id)
    acts = (await operator.get("/api/admin/audit-log", params={"subject": held})).json()["data"]
    assert [act["action"] for act in acts] == ["job.released", "job.held"]
    (moved,) = (await operator.get("/api/admin/audit-log", params={"subject": last})).json()["data"]
    assert (moved["action"], moved["details"]) == ("job.moved", {"place": "back"})


async def has_no_place(service: Service, job_id: str) -> bool:
    return (await service.job(job_id))["queuePosition"] is None


async def order(operator: httpx.AsyncClient, job_id: str, verb: str, **body: str) -> dict[str, Any]:
    response = await operator.post(f"/api/admin/jobs/{job_id}/{verb}", json=body or None)
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()
    return shown


async def test_job_that_is_held_back_is_canceled_as_any_other(service: Service, operator: httpx.AsyncClient) -> None:
    running = [await service.create(LONG) for _ in range(2)]
    for job_id in running:
        await service.until_accepted(job_id)
    held = await service.create(LONG)
    await waits(service, held)
    await order(operator, held, "hold")
    await service.client.post(f"/api/jobs/{held}/cancel")
    await service.until(held, "canceled")
    for job_id in running:
        await end(service, job_id)
    assert (await service.simulated(held))["accepted"] == 0


async def test_wait_for_a_slot_ends_when_the_caller_said(service: Service) -> None:
    running = [await service.create(LONG) for _ in range(2)]
    for job_id in running:
        await service.until_accepted(job_id)
    impatient = await service.create(LONG, maxWaitSeconds=1)
    job = await service.until(impatient, "failed")
    assert (job["errorCode"], job["creditsDeducted"], job["attempts"]) == ("wait_expired", 0, 0)
    for job_id in running:
        await end(service, job_id)
    await end(service, await service.create(LONG))


async def test_limits_change_while_jobs_wait(servers: Servers) -> None:
    """A service of its own: a worker learns of a limit a moment after it is set."""
    async with running_service(servers, fal_concurrency=2, webhook_patience=60) as service:
        running = [await service.create(LONG) for _ in range(2)]
        for job_id in running:
            await service.until_accepted(job_id)
        waiting = [await service.create(LONG) for _ in range(3)]
        for job_id in waiting:
            await waits(service, job_id)
        async with service.sessions.begin() as session:
            await limit_slots(session, OPERATOR, ProviderName.FAL, 4)
        for job_id in waiting[:2]:  # nobody ended
            await service.until_accepted(job_id)
        await waits(service, waiting[2])
        async with service.sessions.begin() as session:
            await limit_slots(session, OPERATOR, ProviderName.FAL, None)
        await service.until_accepted(waiting[2])
        for job_id in (*running, *waiting):
            await end(service, job_id)


async def test_turn_that_nobody_was_told_of_is_called_again(service: Service) -> None:
    """The worker died between its commit and the signal."""
    running = [await service.create(LONG) for _ in range(2)]
    for job_id in running:
        await service.until_accepted(job_id)
    waiting = await service.create(LONG)
    await waits(service, waiting)
    async with service.sessions.begin() as session:
        await session.execute(
            text("update generation_jobs set slot_granted_at = now() - interval '1 minute' where id = :id"),
            {"id": waiting},
        )
    await service.until_accepted(waiting)
    for job_id in (*running, waiting):
        await end(service, job_id)


async def test_nobody_waits_for_ever_when_the_worker_is_killed_while_some_wait(servers: Servers) -> None:
    async with AsyncExitStack() as stack, AsyncExitStack() as doomed:
        service = await stack.enter_async_context(
            running_service(servers, worker=False, fal_concurrency=1, webhook_patience=2)
        )
        victim = await doomed.enter_async_context(worker_process(service.settings))
        jobs = [await service.create(LONG)]
        await eventually(lambda: sent(service, jobs[0]))
        jobs += [await service.create(LONG) for _ in range(3)]
        for job_id in jobs[1:]:
            await waits(service, job_id)
        await kill(victim)
        await service.servers.end_at_provider(jobs[0])
        await stack.enter_async_context(service.worker())
        for job_id in jobs:
            await end(service, job_id)
            counted = await service.simulated(job_id)
            assert (counted["accepted"], counted["billed"]) == (1, 1)


async def sent(service: Service, job_id: str) -> bool:
    return bool((await service.simulated(job_id))["accepted"])

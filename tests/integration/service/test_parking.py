"""What stops submissions of all jobs at once: a locked account, a provider that is away, one that mixes requests up."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from lab.devstack.ports import free_ports
from reelay.db.accounts import park_account
from reelay.db.tables import Scope
from reelay.domain.generation import ProviderName
from reelay.providers.keyed_api import fingerprint
from tests.eventually import eventually
from tests.running import Service, running_service
from tests.servers import Servers
from tests.tcp_lines import open_line
from tests.unit.providers.scripted_server import json_answer, scripted_server

KEY = "account:locked-now-and-then"
PAUSE = 0.5
EVENTS_BY_WEBHOOK = 29


@pytest.fixture(scope="module")
async def service(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, fal_key=KEY, account_pause=PAUSE, webhook_patience=60) as running:
        yield running


@pytest.fixture(scope="module")
async def operator(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with await service.user("root", scope=Scope.ADMIN) as client:
        yield client


async def account(operator: httpx.AsyncClient) -> dict[str, Any]:
    response = await operator.get("/api/admin/accounts")
    assert response.status_code == 200, response.text
    (found,) = response.json()["data"]
    return dict(found)


async def says(service: Service, job_id: str, words: str) -> None:
    async def it_does() -> bool:
        return any(words in line for line in await service.trail(job_id))

    await eventually(it_does)


async def completes(service: Service, job_id: str) -> dict[str, Any]:
    assert (await service.until(job_id, "completed"))["attempts"] == 1
    counted = await service.simulated(job_id)
    assert (counted["accepted"], counted["billed"]) == (1, 1)
    return counted


@pytest.mark.fault("P9")
async def test_locked_account_makes_all_jobs_wait_and_one_at_a_time_probe(
    service: Service, operator: httpx.AsyncClient
) -> None:
    await completes(service, await service.create("control"))
    await service.servers.lock_account(KEY)
    jobs = [await service.create("the first one finds out")]
    await says(service, jobs[0], "User is locked")
    jobs += [await service.create(f"number {number}") for number in range(8)]
    for job_id in jobs[1:]:
        await says(service, job_id, "fal takes no submissions of our account: User is locked")
        job = await service.job(job_id)
        assert (job["status"], job["waitingFor"]) == ("pending", "account")

    async def probed_three_times() -> bool:
        return bool((await account(operator))["probes"] >= 3)

    await eventually(probed_three_times)
    told = await account(operator)
    assert told["parkedSince"]
    assert "Exhausted balance" in told["reason"]
    assert KEY not in str(told)
    await service.servers.lock_account(KEY, locked=False)

    counts = [await completes(service, job_id) for job_id in jobs]
    refused = sum(counted["refused"].get("403", 0) for counted in counts)
    told = await account(operator)
    assert refused == told["probes"]  # the first job's own POST, and all probes but the one that passed
    assert told["parkedSince"] is None
    for job_id, counted in zip(jobs, counts, strict=True):
        assert await service.closed_as(job_id) == "COMPLETED"
        assert await service.history_length(job_id) <= EVENTS_BY_WEBHOOK
        trail = await service.trail(job_id)
        again = [line for line in trail if line.startswith("Trying again at")]
        # Three lines for each POST of its own that was refused; however long it waits for others, one.
        assert len(trail) - len(again) <= 6 + 3 * counted["refused"].get("403", 0)
        assert again
        assert all("User is locked" in line for line in again)
    await completes(service, await service.create("a fresh one"))


async def test_operator_lets_a_parked_account_go_on(service: Service, operator: httpx.AsyncClient) -> None:
    await completes(service, await service.create("control, by hand"))
    async with service.sessions.begin() as session:
        await park_account(session, ProviderName.FAL, fingerprint(KEY), reason="by the test", pause=timedelta(hours=1))
    job_id = await service.create("not before somebody says so")
    await says(service, job_id, "Waiting: fal takes no submissions of our account: by the test")
    assert (await service.simulated(job_id))["accepted"] == 0

    resumed = await operator.post("/api/admin/accounts/fal/resume")
    assert resumed.json()["data"][0]["parkedSince"] is None
    await completes(service, job_id)


@pytest.mark.fault("T10")
async def test_accounts_are_for_operators(service: Service) -> None:
    for call in (service.client.get("/api/admin/accounts"), service.client.post("/api/admin/accounts/fal/resume")):
        assert (await call).status_code == 403


@pytest.mark.fault("P6")
async def test_provider_that_is_away_is_waited_for_with_a_reason_and_without_a_storm(servers: Servers) -> None:
    simulator = int(servers.simulator.rpartition(":")[2])
    (port,) = free_ports(1)
    async with running_service(servers, fal_queue_base=f"http://127.0.0.1:{port}", webhook_patience=60) as service:
        jobs = [await service.create(f"meanwhile {number}") for number in range(5)]
        for job_id in jobs:
            await says(service, job_id, "Not accepted: no connection to fal")
            job = await service.job(job_id)
            assert (job["status"], job["waitingFor"]) == ("pending", "provider")
        async with open_line(simulator, port=port):
            for job_id in jobs:
                counted = await completes(service, job_id)
                assert counted["refused"] == {}
                # However often it was tried, the timeline says it once.
                assert len([line for line in await service.trail(job_id) if line.startswith("Not accepted")]) == 1
            await completes(service, await service.create("a fresh one"))


@pytest.mark.fault("P15")
async def test_request_that_another_job_has_is_not_given_to_a_second_one(servers: Servers) -> None:
    async with scripted_server() as fal:

        async def always(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            posted = fal.seen[-1].method == "POST"
            body = {"status": "IN_QUEUE" if posted else "IN_PROGRESS", "request_id": "the-same"}
            await json_answer(200 if posted else 202, body)(reader, writer)

        fal.always = always
        async with running_service(servers, fal_queue_base=fal.url, webhook_patience=0.5, adoption_window=1) as service:
            first = await service.create("the first")
            await service.until_accepted(first)
            second = await service.create("the second")
            job = await service.until(second, "failed")

            assert (job["errorCode"], job["attempts"], job["falRequestId"]) == ("unknown_outcome", 1, None)
            assert any("the request the-same, which is another job's" in line for line in await service.trail(second))
            assert (await service.job(first))["falRequestId"] == "the-same"
            assert [seen.method for seen in fal.seen].count("POST") == 2
            await service.client.post(f"/api/jobs/{first}/cancel")
            await service.until(first, "canceled")

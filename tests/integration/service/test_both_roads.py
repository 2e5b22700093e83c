"""Webhook and poll: either alone is enough, and both at once are one."""

import asyncio
from collections import Counter

import pytest
from sqlalchemy import text

from lab.devstack.ports import free_ports
from tests.running import Service, running_service
from tests.servers import Servers

JOBS = 6


@pytest.mark.fault("W12")
async def test_webhooks_that_nobody_takes_are_replaced_by_polling(servers: Servers) -> None:
    (nobody,) = free_ports(1)
    async with running_service(servers, app_url=f"http://127.0.0.1:{nobody}", webhook_patience=0.5) as service:
        job_id = await service.create("nobody is called")
        await service.until(job_id, "completed")
        sent = await service.deliveries(job_id, count=1)

        assert {delivery["status_code"] for delivery in sent} == {None}
        assert (await service.simulated(job_id))["accepted"] == 1


@pytest.mark.fault("O7", "W11")
@pytest.mark.parametrize("fault", ["stale", "forged"])
async def test_webhook_that_is_refused_is_replaced_by_polling(service: Service, fault: str) -> None:
    """Stale is what all webhooks are to a clock that is ten minutes wrong."""
    job_id = await service.create(f"refused [sim: webhook={fault}]")
    job = await service.until(job_id, "completed")

    (delivery,) = await service.deliveries(job_id, count=1)
    assert delivery["status_code"] == 401
    assert job["createdAt"] <= job["submittedAt"] <= job["completedAt"]


@pytest.mark.fault("W19", "S2")
async def test_webhook_and_poll_at_once_end_the_job_once(servers: Servers) -> None:
    async with running_service(servers, webhook_patience=0.1, poll_interval=0.1) as service:
        prompts = [f"number {number} [sim: latency=2s, status=unknown-word]" for number in range(JOBS)]
        jobs = await asyncio.gather(*(service.create(prompt) for prompt in prompts))
        asked = 0
        for job_id in jobs:
            await service.until(job_id, "completed")
            counted = await service.simulated(job_id)
            assert (counted["accepted"], counted["downloads"]) == (1, 1)
            asked += counted["status_calls"]
            assert [each["status_code"] for each in await service.deliveries(job_id, count=1)] == [200]
            assert (await service.trail(job_id)).count("Completed") == 1
        assert asked
        async with service.sessions() as session:
            ends = await session.scalars(text("select job_id::text from credit_entries where phase = 'settle'"))
        assert Counter(ends) == Counter(jobs)

"""Whoever dies, and whenever: each end is told, under one id, and nothing else is."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from reelay.db.outgoing import LEASE, claim_targets
from tests.eventually import eventually
from tests.integration.outgoing.endpoints import create_endpoint
from tests.integration.outgoing.test_deliveries import sql
from tests.integration.service.killed_worker import kill, worker_process
from tests.lock_waits import waits_for_a_lock
from tests.running import Service, running_service
from tests.servers import Servers
from tests.webhook_receiver import OK, WebhookReceiver
from workflows.client import connect
from workflows.ids import outgoing_id
from workflows.task_queues import TaskQueue

WITHOUT_WEBHOOKS = [TaskQueue.GENERATIONS, TaskQueue.TRANSFERS]


@pytest.fixture
async def service(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, worker=False, webhook_patience=0.5) as running:
        yield running


async def secret_of(service: Service) -> str:
    return str((await service.client.get("/api/webhook-endpoints/signing-secret")).json()["secret"])


@pytest.mark.fault("E1")
async def test_what_nobody_sends_waits_for_somebody_who_does(service: Service, receiver: WebhookReceiver) -> None:
    """No worker at all between the end and its delivery, whoever wrote the end."""
    async with service.worker(WITHOUT_WEBHOOKS):
        completed = await service.create(webhookUrl=receiver.url())
        await service.until(completed, "completed")
        canceled = await service.create("[sim: latency=10m]", webhookUrl=receiver.url())
        await service.until_accepted(canceled)
        await service.client.post(f"/api/jobs/{canceled}/cancel")
        await service.until(canceled, "canceled")
    assert receiver.received == []

    async with service.worker([TaskQueue.WEBHOOKS]):
        received = await receiver.requests(4)
    told = [each.verified(await secret_of(service)) for each in received]
    assert [(event["type"], event["data"]["id"]) for event in told] == [
        ("job.submitted", completed),
        ("job.completed", completed),
        ("job.submitted", canceled),
        ("job.canceled", canceled),
    ]


@pytest.mark.fault("E2")
async def test_killed_before_the_answer_it_is_told_again_under_its_id(
    service: Service, receiver: WebhookReceiver
) -> None:
    receiver.answers = lambda received: None
    async with service.worker(WITHOUT_WEBHOOKS), worker_process(service.settings, "--queues", "webhooks") as first:
        job_id = await service.create(webhookUrl=receiver.url())
        await receiver.requests(1, type="job.submitted")
        await kill(first)
        receiver.answers = lambda received: OK
        async with service.worker([TaskQueue.WEBHOOKS]):
            await service.until(job_id, "completed")
            again = (await receiver.requests(2, type="job.submitted"))[1]
            await receiver.requests(1, type="job.completed")

    assert {each.id for each in await receiver.requests(2, type="job.submitted")} == {again.id}
    assert len({each.id for each in receiver.received}) == 2


@pytest.mark.fault("E3")
async def test_killed_before_the_answer_is_written_down_it_is_told_again_under_its_id(
    service: Service, receiver: WebhookReceiver
) -> None:
    async with service.worker(WITHOUT_WEBHOOKS):
        async with service.worker([TaskQueue.WEBHOOKS]):
            endpoint = await create_endpoint(service, receiver.url(), events=["job.failed"])
            await endpoint.until("enabled")
        # What it writes after the answer waits for the endpoint's row, since the endpoint recovers by it.
        await sql(service, "update webhook_endpoints set failing_since = now(), last_failed_at = now()")
        async with worker_process(service.settings, "--queues", "webhooks") as first, service.sessions.begin() as held:
            await held.execute(text("select from webhook_endpoints for no key update"))
            await service.until(await service.create("[sim: fail=422]"), "failed")
            await receiver.requests(1, type="job.failed")
            await eventually(lambda: waits_for_a_lock(service.sessions))
            await kill(first)
    async with service.worker([TaskQueue.WEBHOOKS]):
        received = await receiver.requests(2, type="job.failed")

        async def is_delivered() -> bool:
            return bool((await endpoint.deliveries())[0]["state"] == "delivered")

        await eventually(is_delivered)
    assert len({each.id for each in received}) == 1


@pytest.mark.fault("E4")
async def test_what_was_claimed_by_somebody_who_died_is_claimed_again(
    service: Service, receiver: WebhookReceiver
) -> None:
    """Or Temporal was away when its activity was to be started."""
    async with service.worker(WITHOUT_WEBHOOKS):
        await service.until(await service.create("[sim: fail=422]", webhookUrl=receiver.url()), "failed")
    claims = []
    for _ in range(2):
        async with service.sessions.begin() as session:
            claims.append(await claim_targets(session, at_most=10))
    assert (len(claims[0]), claims[1]) == (1, set())
    assert receiver.received == []

    await sql(service, "update outgoing_deliveries set wake_at = wake_at - cast(:lease as interval)", lease=LEASE)
    async with service.worker([TaskQueue.WEBHOOKS]):
        await receiver.requests(1, type="job.failed")


@pytest.mark.fault("E4")
async def test_what_becomes_due_while_a_delivery_ends_is_sent_by_another_one(
    service: Service, receiver: WebhookReceiver
) -> None:
    """The one under way has looked for the last time, and nobody waits until the claim is over."""
    async with service.worker(WITHOUT_WEBHOOKS):
        await service.until(await service.create("[sim: fail=422]", webhookUrl=receiver.url()), "failed")
    async with service.sessions() as session:
        (target,) = set(await session.scalars(text("select target_id from outgoing_deliveries")))
    ending = await service.temporal.start_activity(
        "another", id=outgoing_id(target), task_queue=str(uuid4()), schedule_to_close_timeout=timedelta(hours=1)
    )
    async with service.worker([TaskQueue.WEBHOOKS]):
        await eventually(lambda: is_claimed(service))
        await sql(service, "update outgoing_deliveries set wake_at = now() + interval '1 day'")
        assert receiver.received == []
        await ending.terminate()
        await receiver.requests(1, type="job.failed")


async def is_claimed(service: Service) -> bool:
    async with service.sessions() as session:
        return bool(await session.scalar(text("select bool_and(wake_at > now()) from outgoing_deliveries")))


async def is_empty(service: Service) -> bool:
    async with service.sessions() as session:
        return not await session.scalar(text("select count(*) from outgoing_deliveries where state = 'pending'"))


async def test_two_workers_tell_each_event_once(service: Service, receiver: WebhookReceiver) -> None:
    async with (
        service.worker(WITHOUT_WEBHOOKS),
        service.worker([TaskQueue.WEBHOOKS]),
        replace(service, temporal=await connect()).worker([TaskQueue.WEBHOOKS]),
    ):
        jobs = [await service.create("[sim: fail=422]", webhookUrl=receiver.url(f"/{each % 3}")) for each in range(6)]
        for job_id in jobs:
            await service.until(job_id, "failed")
        await receiver.requests(6, type="job.failed")
        await eventually(lambda: is_empty(service))
    ids = [each.id for each in receiver.received]
    assert len(ids) == len(set(ids))

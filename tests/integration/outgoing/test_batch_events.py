"""A batch is told of once, when the last of its jobs has ended: whichever that is, and however it ends."""

import asyncio
from typing import Any
from uuid import UUID

from sqlalchemy import text

from reelay.db.generations import cancel_generation
from tests.eventually import eventually
from tests.integration.api.test_batches import JOB, LONG, create, read
from tests.integration.outgoing.endpoints import Endpoint
from tests.lock_waits import waits_for_a_lock
from tests.running import Service
from tests.webhook_receiver import WebhookReceiver


async def ends(service: Service, batch_id: str) -> int:
    """How often it was written down that the batch ended."""
    of_batch = text("select count(*) from outgoing_events where batch_id = :id and type = 'batch.completed'")
    async with service.sessions() as session:
        return int(await session.scalar(of_batch, {"id": batch_id}) or 0)


async def end(service: Service, job_id: str) -> None:
    async with service.sessions.begin() as session:
        assert await cancel_generation(session, UUID(job_id), "Canceled")


async def running_batch(service: Service, jobs: int, **words: Any) -> tuple[str, list[str]]:
    created = await create(service.client, *[LONG] * jobs, **words)
    for job_id in created["jobIds"]:
        await service.until_accepted(job_id)
    return created["batchId"], created["jobIds"]


async def test_batch_is_told_of_at_its_own_address_and_at_endpoints(
    service: Service, endpoint: Endpoint, receiver: WebhookReceiver
) -> None:
    refused = {"model": JOB["model"], "input": {"prompt": "a harbour [sim: fail=422]"}}
    created = await create(service.client, JOB, refused, webhookUrl=receiver.url("/batch"), metadata={"shoot": 7})

    (own,) = await receiver.requests(1, path="/batch")
    (told,) = await receiver.requests(1, type="batch.completed", path="/hook")
    secret = (await service.client.get("/api/webhook-endpoints/signing-secret")).json()["secret"]
    event, batch = own.verified(secret), await read(service.client, created["batchId"])
    assert own.id == told.id
    assert told.verified(endpoint.secret) == event
    assert (event["type"], event["data"]) == ("batch.completed", batch)
    assert (batch["status"], batch["counts"]["completed"], batch["counts"]["failed"]) == ("completed", 1, 1)
    assert batch["completedAt"]
    log = (await service.client.get("/api/event-log")).json()["data"]
    assert [each["type"] for each in log][-1] == "batch.completed"
    assert log[-1]["data"] == batch
    (delivery,) = await endpoint.deliveries(type="batch.completed")
    assert (delivery["batchId"], delivery["jobId"]) == (created["batchId"], None)


async def test_of_two_jobs_that_end_at_once_the_last_is_told_of_once(service: Service, endpoint: Endpoint) -> None:
    batch_id, (first, second) = await running_batch(service, 2)
    async with service.sessions() as early:
        assert await cancel_generation(early, UUID(first), "Canceled")
        await early.execute(text("set constraints all immediate"))  # it has seen that the other has not ended
        ending = asyncio.create_task(end(service, second))
        await eventually(lambda: waits_for_a_lock(service.sessions))
        await early.commit()
    await ending

    assert await ends(service, batch_id) == 1


async def test_end_that_is_rolled_back_does_not_complete_the_batch(service: Service, endpoint: Endpoint) -> None:
    batch_id, (job_id,) = await running_batch(service, 1)
    async with service.sessions() as session:
        assert await cancel_generation(session, UUID(job_id), "Canceled")
        await session.execute(text("set constraints all immediate"))
        await session.rollback()

    assert (await ends(service, batch_id), (await read(service.client, batch_id))["completedAt"]) == (0, None)
    await end(service, job_id)
    assert await ends(service, batch_id) == 1


async def test_batch_whose_ended_jobs_were_deleted_is_told_of_at_the_end_of_the_last(
    service: Service, receiver: WebhookReceiver
) -> None:
    batch_id, (first, second) = await running_batch(service, 2, webhookUrl=receiver.url("/batch"))
    assert (await service.client.post(f"/api/jobs/{first}/cancel")).status_code == 202
    await service.until(first, "canceled")
    assert (await service.client.delete(f"/api/jobs/{first}")).status_code == 204
    assert await ends(service, batch_id) == 0
    await end(service, second)

    (told,) = await receiver.requests(1, path="/batch")
    assert told.body.count(batch_id.encode()) == 1
    assert await ends(service, batch_id) == 1


async def test_batch_that_is_canceled_is_told_of_once(service: Service, receiver: WebhookReceiver) -> None:
    batch_id, jobs = await running_batch(service, 3, webhookUrl=receiver.url("/batch"))
    assert (await service.client.post(f"/api/batches/{batch_id}/cancel")).status_code == 202
    for job_id in jobs:
        await service.until(job_id, "canceled")

    await receiver.requests(1, path="/batch")
    assert await ends(service, batch_id) == 1


async def test_nobody_is_told_of_a_batch_who_did_not_ask_for_it(service: Service) -> None:
    batch_id, (job_id,) = await running_batch(service, 1)
    await end(service, job_id)

    assert await ends(service, batch_id) == 0
    assert (await read(service.client, batch_id))["completedAt"]


async def test_address_of_a_batch_must_be_one_that_may_be_called(service: Service) -> None:
    refused = await service.client.post("/api/batches", json={"jobs": [JOB], "webhookUrl": "ftp://example.com"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "webhookUrl")

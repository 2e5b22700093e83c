"""What is told, and when: each event once, in the transaction that makes it true."""

import asyncio
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select

from reelay.db.generations import cancel_generation
from reelay.db.tables import OutgoingEvent
from tests.eventually import eventually
from tests.integration.outgoing.endpoints import Endpoint, create_endpoint
from tests.lock_waits import waits_for_a_lock
from tests.running import Service
from tests.webhook_receiver import WebhookReceiver


async def events_of(service: Service, job_id: str) -> list[str]:
    of_job = select(OutgoingEvent.type).where(col(OutgoingEvent.job_id) == UUID(job_id))
    async with service.sessions() as session:
        return list(await session.scalars(of_job.order_by(col(OutgoingEvent.sequence))))


async def test_a_job_is_told_of_when_it_is_submitted_and_when_it_completes(
    service: Service, endpoint: Endpoint, receiver: WebhookReceiver
) -> None:
    job_id = await service.create()
    job = await service.until(job_id, "completed")

    (submitted,) = await receiver.requests(1, type="job.submitted")
    (completed,) = await receiver.requests(1, type="job.completed")
    first, last = submitted.verified(endpoint.secret), completed.verified(endpoint.secret)
    assert first.keys() == last.keys() == {"type", "timestamp", "sequence", "data"}
    assert first["sequence"] < last["sequence"]
    assert (first["data"]["status"], first["data"]["completedAt"], first["data"]["files"]) == ("submitted", None, [])
    told, shown = last["data"], await service.job(job_id)
    assert told.keys() == shown.keys()
    assert {**told, "files": [], "resultUrl": ""} == {**shown, "files": [], "resultUrl": ""}
    assert (await service.client.get(told["files"][0]["fileUrl"], headers={"authorization": ""})).is_success
    assert told["id"] == job["id"] == job_id
    assert await events_of(service, job_id) == ["job.submitted", "job.completed"]


async def test_a_failure_is_told(service: Service, endpoint: Endpoint, receiver: WebhookReceiver) -> None:
    job_id = await service.create("[sim: fail=422]")
    await service.until(job_id, "failed")

    (failed,) = await receiver.requests(1, type="job.failed")
    event = failed.verified(endpoint.secret)
    assert (event["data"]["id"], event["data"]["errorCode"]) == (job_id, "provider_rejected")


async def test_a_cancellation_is_told(service: Service, endpoint: Endpoint, receiver: WebhookReceiver) -> None:
    job_id = await service.create("[sim: latency=10m]")
    await service.until_accepted(job_id)
    await service.client.post(f"/api/jobs/{job_id}/cancel")

    (canceled,) = await receiver.requests(1, type="job.canceled")
    assert canceled.verified(endpoint.secret)["data"]["id"] == job_id


async def test_an_end_that_another_backend_writes_is_told(
    service: Service, endpoint: Endpoint, receiver: WebhookReceiver
) -> None:
    async with service.sessions.begin() as session:
        owner = await session.scalar(text("select user_id from webhook_endpoints where id = :id"), {"id": endpoint.id})
        job_id = await session.scalar(
            text(
                "insert into generation_jobs (user_id, job_type, provider, fal_request_id) "
                "values (:owner, 'video', 'studio', null) returning id"
            ),
            {"owner": owner},
        )
    async with service.sessions.begin() as session:
        await session.execute(text("update generation_jobs set status = 'completed' where id = :id"), {"id": job_id})

    (completed,) = await receiver.requests(1, type="job.completed")
    assert completed.verified(endpoint.secret)["data"]["id"] == str(job_id)


async def test_a_change_that_is_rolled_back_is_not_told(service: Service, endpoint: Endpoint) -> None:
    job_id = await service.create("[sim: latency=10m]")
    await service.until_accepted(job_id)
    async with service.sessions() as session:
        assert await cancel_generation(session, UUID(job_id), "Canceled")
        await session.rollback()

    assert await events_of(service, job_id) == ["job.submitted"]


async def test_an_end_is_told_once_however_often_it_is_written(service: Service, endpoint: Endpoint) -> None:
    job_id = await service.create()
    await service.until(job_id, "completed")
    async with service.sessions.begin() as session:
        assert not await cancel_generation(session, UUID(job_id), "Canceled")

    assert await events_of(service, job_id) == ["job.submitted", "job.completed"]


async def test_nothing_is_written_for_users_who_want_to_be_told_of_nothing(service: Service) -> None:
    job_id = await service.create()
    await service.until(job_id, "completed")

    assert await events_of(service, job_id) == []


async def test_a_jobs_own_address_is_told_of_that_job_alone(service: Service, receiver: WebhookReceiver) -> None:
    job_id = await service.create(webhookUrl=receiver.url("/this?job=1"))
    other_id = await service.create()
    await service.until(job_id, "completed")
    await service.until(other_id, "completed")

    secret = (await service.client.get("/api/webhook-endpoints/signing-secret")).json()["secret"]
    received = await receiver.requests(2)
    told = [each.verified(secret) for each in received]
    assert {event["type"] for event in told} == {"job.submitted", "job.completed"}
    assert {event["data"]["id"] for event in told} == {job_id}
    assert {each.path for each in received} == {"/this?job=1"}
    assert await events_of(service, other_id) == []


async def test_an_endpoint_hears_what_it_asked_for(service: Service, receiver: WebhookReceiver) -> None:
    endpoint = await create_endpoint(service, receiver.url(), events=["job.failed"])
    await endpoint.until("enabled")
    await service.until(await service.create(), "completed")
    await service.until(await service.create("[sim: fail=422]"), "failed")

    await receiver.requests(1, type="job.failed")
    assert [each["type"] for each in await endpoint.deliveries()] == ["job.failed", "webhook.test"]


async def test_who_has_read_an_event_has_missed_none_below_it(service: Service, endpoint: Endpoint) -> None:
    """Two jobs of a user end at once, and the one that was first to write is the last to commit."""
    first, second = [await service.create("[sim: latency=10m]") for _ in range(2)]
    for job_id in (first, second):
        await service.until_accepted(job_id)
    async with service.sessions() as early:
        assert await cancel_generation(early, UUID(first), "Canceled")
        await early.execute(text("set constraints all immediate"))  # its event has its number now
        ending = asyncio.create_task(end(service, second))
        await eventually(lambda: waits_for_a_lock(service.sessions))
        before = (await service.client.get("/api/event-log")).json()["data"]
        assert before == []
        await early.commit()
    await ending

    log = (await service.client.get("/api/event-log")).json()["data"]
    assert [event["data"]["id"] for event in log] == [first, second]


async def end(service: Service, job_id: str) -> None:
    async with service.sessions.begin() as session:
        assert await cancel_generation(session, UUID(job_id), "Canceled")

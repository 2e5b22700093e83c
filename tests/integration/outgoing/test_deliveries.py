"""How events reach a receiver that is slow, absent, gone, or wants to be left alone."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from tests.eventually import eventually
from tests.integration.outgoing.endpoints import Endpoint, create_endpoint
from tests.running import Service
from tests.webhook_receiver import OK, WebhookReceiver, answer


async def sql(service: Service, statement: str, **values: Any) -> None:
    async with service.sessions.begin() as session:
        await session.execute(text(statement), values)


async def let_time_pass(endpoint: Endpoint) -> None:
    """The pauses before the endpoint's pending deliveries are over."""
    await sql(
        endpoint.service,
        "update outgoing_deliveries set next_try_at = now(), wake_at = now() "
        "where endpoint_id = :id and state = 'pending' and wake_at is not null",
        id=UUID(endpoint.id),
    )


async def until_tried(endpoint: Endpoint, times: int, *, type: str = "webhook.test") -> dict[str, Any]:
    """The newest delivery of that type, after so many attempts."""

    async def is_so() -> dict[str, Any]:
        found = await endpoint.deliveries(type=type)
        assert found
        assert len(found[0]["attempts"]) >= times
        return found[0]

    return await eventually(is_so)


async def test_what_fails_is_tried_again_under_its_id(endpoint: Endpoint, receiver: WebhookReceiver) -> None:
    receiver.answers = lambda received: answer(500, "out of order") if len(receiver.received) < 3 else OK
    await endpoint.post("test")
    for times in (1, 2):
        pending = await until_tried(endpoint, times)
        assert (pending["state"], pending["endedAt"]) == ("pending", None)
        assert datetime.fromisoformat(pending["nextTryAt"]) > datetime.now(UTC) - timedelta(seconds=60)
        await let_time_pass(endpoint)
    delivered = await until_tried(endpoint, 3)

    assert {received.id for received in receiver.received} == {delivered["eventId"]}
    assert len({received.verified(endpoint.secret)["sequence"] for received in receiver.received}) == 1
    assert (delivered["state"], delivered["nextTryAt"]) == ("delivered", None)
    attempts = delivered["attempts"]
    assert [(each["outcome"], each["statusCode"]) for each in attempts] == [
        ("refused", 500),
        ("refused", 500),
        ("delivered", 200),
    ]
    assert [each["body"] for each in attempts] == ["out of order", "out of order", "ok"]
    assert all(each["tookMs"] >= 0 for each in attempts)


@pytest.mark.fault("E5")
async def test_a_receiver_that_is_down_for_the_whole_schedule_is_given_up(
    service: Service, endpoint: Endpoint, receiver: WebhookReceiver
) -> None:
    receiver.answers = lambda received: answer(503)
    await endpoint.post("test")
    for times in range(1, 11):
        delivery = await until_tried(endpoint, times)
        await let_time_pass(endpoint)

    assert (delivery["state"], delivery["nextTryAt"]) == ("failed", None)
    assert delivery["endedAt"]
    assert len(receiver.received) == 10
    # It is not lost: it can be asked for.
    receiver.answers = lambda received: OK
    await endpoint.post(f"deliveries/{delivery['id']}/redeliver")
    assert (await until_tried(endpoint, 11))["state"] == "delivered"
    assert {received.id for received in receiver.received} == {delivery["eventId"]}


@pytest.mark.fault("E5")
async def test_a_receiver_may_ask_for_time(service: Service, endpoint: Endpoint, receiver: WebhookReceiver) -> None:
    receiver.answers = lambda received: answer(429, retry_after="7200")
    await endpoint.post("test")
    first = await until_tried(endpoint, 1)
    assert datetime.fromisoformat(first["nextTryAt"]) > datetime.now(UTC) + timedelta(hours=1, minutes=50)


async def test_asked_for_time_nothing_else_is_sent_meanwhile(endpoint: Endpoint, receiver: WebhookReceiver) -> None:
    """Also what was due already, and what had failed before."""
    receiver.answers = lambda received: answer(500)
    await endpoint.post("test")
    await until_tried(endpoint, 1)
    receiver.answers = lambda received: answer(429, retry_after="7200")
    await endpoint.post("test")
    await until_tried(endpoint, 1)

    await eventually(lambda: are_held(endpoint, 2))


async def are_held(endpoint: Endpoint, count: int) -> bool:
    soon = datetime.now(UTC) + timedelta(hours=1, minutes=50)
    pending = await endpoint.deliveries(state="pending")
    return len(pending) == count and all(datetime.fromisoformat(each["nextTryAt"]) > soon for each in pending)


@pytest.mark.fault("E5")
async def test_who_is_gone_is_sent_nothing_more(
    service: Service, endpoint: Endpoint, receiver: WebhookReceiver
) -> None:
    receiver.answers = lambda received: answer(410)
    job_id = await service.create()
    disabled = await endpoint.until("disabled")
    assert (disabled["disabledReason"], bool(disabled["disabledAt"])) == ("gone", True)
    await service.until(job_id, "completed")
    assert len(receiver.received) == 1

    # Enabled again, it is sent what waits, and can ask for what it has missed.
    receiver.answers = lambda received: OK
    enabled = await service.client.patch(endpoint.path, json={"status": "enabled"})
    assert (enabled.json()["status"], enabled.json()["disabledReason"]) == ("enabled", None)
    assert (await endpoint.post("redeliver", {"since": "2020-01-01T00:00:00Z"}))["count"] == 2
    await receiver.requests(1, type="job.completed")


@pytest.mark.parametrize(("last_failed", "status"), [(timedelta(hours=1), "disabled"), (timedelta(days=2), "enabled")])
async def test_five_days_of_failures_disable(
    service: Service, endpoint: Endpoint, receiver: WebhookReceiver, last_failed: timedelta, status: str
) -> None:
    """Two failures far apart are two outages, and not one of days."""
    await service.client.patch(endpoint.path, json={"events": ["job.failed"]})
    await sql(
        service,
        "update webhook_endpoints set failing_since = now() - interval '121 hours', "
        "last_failed_at = now() - cast(:last as interval) where id = :id",
        id=UUID(endpoint.id),
        last=last_failed,
    )
    receiver.answers = lambda received: answer(500)
    await service.create("[sim: fail=422]")
    await until_tried(endpoint, 1, type="job.failed")

    shown = await endpoint.read()
    assert (shown["status"], shown["disabledReason"]) == (status, "failing" if status == "disabled" else None)
    assert bool(shown["failingSince"]) == (status == "enabled")


async def test_one_success_ends_an_outage(service: Service, endpoint: Endpoint, receiver: WebhookReceiver) -> None:
    receiver.answers = lambda received: answer(500)
    await service.create("[sim: fail=422]")
    await until_tried(endpoint, 1, type="job.failed")
    assert (await endpoint.read())["failingSince"]
    receiver.answers = lambda received: OK
    await endpoint.post("test")
    await until_tried(endpoint, 1)

    assert (await endpoint.read())["failingSince"] is None


@pytest.mark.fault("E6")
async def test_a_receiver_that_says_nothing_delays_no_other(
    service: Service, endpoint: Endpoint, receiver: WebhookReceiver
) -> None:
    receiver.answers = lambda received: None if received.path == "/hook" else OK
    other = await create_endpoint(service, receiver.url("/other"))
    await other.until("enabled")
    await endpoint.post("test")
    await receiver.requests(1, path="/hook")

    for number in range(2, 5):
        await other.post("test")
        await receiver.requests(number, path="/other")
    assert (await endpoint.deliveries())[0]["attempts"] == []


async def test_a_receiver_is_sent_one_after_the_other(endpoint: Endpoint, receiver: WebhookReceiver) -> None:
    held: asyncio.Event = asyncio.Event()
    receiver.answers = lambda received: OK if held.is_set() else None
    await endpoint.post("test")
    await receiver.requests(1)
    await endpoint.post("test")
    await eventually(lambda: is_woken(endpoint))
    assert len(receiver.received) == 1


async def is_woken(endpoint: Endpoint) -> bool:
    """Somebody has been told to send all that is due to it."""
    async with endpoint.service.sessions() as session:
        waiting = await session.scalar(
            text("select count(*) from outgoing_deliveries where endpoint_id = :id and wake_at <= now()"),
            {"id": UUID(endpoint.id)},
        )
    return not waiting


async def test_what_happened_in_a_disabled_time_can_be_asked_for(
    service: Service, endpoint: Endpoint, receiver: WebhookReceiver
) -> None:
    await service.client.patch(endpoint.path, json={"status": "disabled"})
    job_id = await service.create("[sim: fail=422]")
    await service.until(job_id, "failed")
    since = datetime.now(UTC) - timedelta(minutes=10)
    await service.client.patch(endpoint.path, json={"status": "enabled"})
    assert receiver.received == []

    assert (await endpoint.post("redeliver", {"since": since.isoformat()}))["count"] == 2
    (failed,) = await receiver.requests(1, type="job.failed")
    (logged,) = (await service.client.get("/api/event-log")).json()["data"]
    assert failed.id == logged["id"]
    told, shown = failed.verified(endpoint.secret), {**logged, "timestamp": ""}
    assert {**told, "id": failed.id, "timestamp": ""} == shown


async def test_nothing_but_a_test_is_sent_before_one_is_answered(service: Service, receiver: WebhookReceiver) -> None:
    receiver.answers = lambda received: answer(401)
    endpoint = await create_endpoint(service, receiver.url())
    assert (await until_tried(endpoint, 1))["attempts"][0]["statusCode"] == 401
    await service.until(await service.create("[sim: fail=422]"), "failed")
    assert (await endpoint.read())["status"] == "unverified"
    assert {received.verified(endpoint.secret)["type"] for received in receiver.received} == {"webhook.test"}

    receiver.answers = lambda received: OK
    await endpoint.post("test")
    await endpoint.until("enabled")


async def test_another_address_is_tested_before_it_is_told_anything(
    service: Service, endpoint: Endpoint, receiver: WebhookReceiver
) -> None:
    receiver.answers = lambda received: answer(404)
    changed = await service.client.patch(endpoint.path, json={"url": receiver.url("/new")})
    assert changed.json()["status"] == "unverified"
    await service.until(await service.create("[sim: fail=422]"), "failed")
    await receiver.requests(1, path="/new", type="webhook.test")

    assert {received.path for received in receiver.received} == {"/new"}
    assert len(receiver.received) == 1


async def test_for_a_day_both_secrets_sign(service: Service, endpoint: Endpoint, receiver: WebhookReceiver) -> None:
    rotated = await endpoint.post("rotate-secret", status=200)
    assert rotated["secret"] != endpoint.secret
    assert datetime.fromisoformat(rotated["secretRotatedUntil"]) > datetime.now(UTC) + timedelta(hours=23)
    await endpoint.post("test")
    (received,) = await receiver.requests(1)
    assert received.verified(endpoint.secret) == received.verified(rotated["secret"])

    await sql(
        service, "update webhook_endpoints set previous_secret_until = now() where id = :id", id=UUID(endpoint.id)
    )
    await endpoint.post("test")
    _, later = await receiver.requests(2)
    assert len(later.headers["webhook-signature"].split(" ")) == 1
    assert later.verified(rotated["secret"])


async def test_a_deleted_endpoint_is_sent_nothing_more(
    service: Service, endpoint: Endpoint, receiver: WebhookReceiver
) -> None:
    receiver.answers = lambda received: answer(500)
    await endpoint.post("test")
    await until_tried(endpoint, 1)
    assert (await service.client.delete(endpoint.path)).status_code == 204
    assert (await service.client.get(endpoint.path)).status_code == 404
    assert (await service.client.delete(endpoint.path)).status_code == 404
    async with service.sessions() as session:
        left = await session.scalar(
            text("select count(*) from outgoing_deliveries where endpoint_id = :id"), {"id": UUID(endpoint.id)}
        )
    assert left == 0


async def test_a_jobs_address_that_is_gone_is_sent_that_event_no_more(
    service: Service, receiver: WebhookReceiver
) -> None:
    receiver.answers = lambda received: answer(410)
    job_id = await service.create(webhookUrl=receiver.url())
    await service.until(job_id, "completed")
    await receiver.requests(1, type="job.completed")

    async def are_ended() -> bool:
        async with service.sessions() as session:
            states = await session.scalars(
                text(
                    "select state from outgoing_deliveries d join outgoing_events e on e.id = d.event_id "
                    "where e.job_id = :job"
                ),
                {"job": UUID(job_id)},
            )
            return list(states) == ["failed", "failed"]

    await eventually(are_ended)


async def test_what_cannot_be_composed_keeps_nothing_else_waiting(
    service: Service, endpoint: Endpoint, receiver: WebhookReceiver
) -> None:
    """A secret under another pepper, for instance."""
    other = await create_endpoint(service, receiver.url("/other"))
    await other.until("enabled")
    await sql(service, "update webhook_endpoints set secret = '\\x00' where id = :id", id=UUID(endpoint.id))
    await endpoint.post("test")
    await other.post("test")

    failed = await until_tried(endpoint, 1)
    assert (failed["attempts"][0]["outcome"], failed["state"]) == ("not_composed", "pending")
    await receiver.requests(2, path="/other")
    assert (await endpoint.read())["failingSince"] is None


async def test_one_of_many_that_cannot_be_composed_keeps_the_others_in_order(
    service: Service, endpoint: Endpoint, receiver: WebhookReceiver
) -> None:
    """They are composed together."""
    receiver.answers = lambda received: answer(429, retry_after="7200")
    await service.client.patch(endpoint.path, json={"events": ["job.failed"]})
    for job_id in [await service.create("[sim: fail=422]") for _ in range(6)]:
        await service.until(job_id, "failed")
    await eventually(lambda: are_held(endpoint, 6))
    spoilt = (await endpoint.deliveries(state="pending"))[-3]
    await sql(service, "update generation_jobs set provider = 'nobody' where id = :id", id=UUID(spoilt["jobId"]))
    receiver.received.clear()
    receiver.answers = lambda received: OK
    await let_time_pass(endpoint)

    told = [each.verified(endpoint.secret) for each in await receiver.requests(5)]
    assert [event["sequence"] for event in told] == sorted(event["sequence"] for event in told)
    assert spoilt["jobId"] not in {event["data"]["id"] for event in told}
    (pending,) = await endpoint.deliveries(state="pending")
    assert (pending["id"], pending["attempts"][-1]["outcome"]) == (spoilt["id"], "not_composed")

"""An endpoint is sent tests alone until it has answered one. What happens meanwhile waits, and is lost on no road."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from reelay.db.generations import cancel_generation
from reelay.db.outgoing import due_deliveries, failing_endpoints, record_failed
from tests.eventually import eventually
from tests.integration.outgoing.endpoints import Endpoint, create_endpoint
from tests.integration.outgoing.test_deliveries import let_time_pass, sql, until_tried
from tests.lock_waits import waits_for_a_lock
from tests.running import Service
from tests.webhook_receiver import OK, Received, WebhookReceiver, answer

ATTEMPTS = 10
"""Of the schedule."""
REFUSED = "[sim: fail=422]"


def told(endpoint: Endpoint, received: list[Received]) -> list[dict[str, Any]]:
    """What it was sent but tests, as it came."""
    events = [each.verified(endpoint.secret) for each in received]
    return [event for event in events if event["type"] != "webhook.test"]


async def until_delivered(endpoint: Endpoint, count: int) -> None:
    """So many deliveries, and none of another state."""

    async def are_delivered() -> bool:
        states = [delivery["state"] for delivery in await endpoint.deliveries(limit=100)]
        return states == ["delivered"] * count

    await eventually(are_delivered)


async def waiting(endpoint: Endpoint) -> list[str]:
    """The types of what waits, the oldest first. None of it has been sent, nor has a time when it will be."""
    pending = [each for each in await endpoint.deliveries(state="pending") if each["type"] != "webhook.test"]
    assert [(each["attempts"], each["nextTryAt"]) for each in pending] == [([], None)] * len(pending)
    return [each["type"] for each in reversed(pending)]


async def unverified(service: Service, receiver: WebhookReceiver, **more: Any) -> Endpoint:
    """One whose first test was answered with 500."""
    receiver.answers = lambda received: answer(500)
    endpoint = await create_endpoint(service, receiver.url(), **more)
    await until_tried(endpoint, 1)
    return endpoint


async def put_off(endpoint: Endpoint, *, tries: int = 1) -> None:
    """The next attempt of what is pending is tomorrow."""
    await sql(
        endpoint.service,
        "update outgoing_deliveries set tries = :tries, next_try_at = now() + interval '1 day', "
        "wake_at = now() + interval '1 day' where endpoint_id = :id and state = 'pending'",
        id=UUID(endpoint.id),
        tries=tries,
    )


async def test_a_job_that_is_created_in_the_next_instant_is_told_of_from_its_beginning(
    service: Service, receiver: WebhookReceiver
) -> None:
    endpoint = await create_endpoint(service, receiver.url())
    job_id = await service.create()
    await service.until(job_id, "completed")
    await receiver.requests(1, type="job.completed")
    await until_delivered(endpoint, 3)

    events = told(endpoint, receiver.received)
    assert [(event["type"], event["data"]["id"]) for event in events] == [
        ("job.submitted", job_id),
        ("job.completed", job_id),
    ]
    assert events[0]["sequence"] < events[1]["sequence"]


@pytest.mark.fault("E9")
async def test_what_happens_before_an_endpoint_answers_its_test_is_sent_in_order_once_it_does(
    service: Service, receiver: WebhookReceiver
) -> None:
    endpoint = await unverified(service, receiver)
    for _ in range(3):
        await service.until(await service.create(), "completed")
    assert await waiting(endpoint) == ["job.submitted", "job.completed"] * 3
    assert told(endpoint, receiver.received) == []
    receiver.answers = lambda received: OK
    await let_time_pass(endpoint)
    await until_delivered(endpoint, 7)

    events = told(endpoint, receiver.received)
    assert [event["type"] for event in events] == ["job.submitted", "job.completed"] * 3
    assert [event["sequence"] for event in events] == [2, 3, 4, 5, 6, 7]


@pytest.mark.fault("E9")
async def test_a_change_of_the_address_loses_nothing(
    service: Service, endpoint: Endpoint, receiver: WebhookReceiver
) -> None:
    """Neither what the old one did not take, nor what happens until the new one is verified."""
    receiver.answers = lambda received: answer(500)
    await service.client.patch(endpoint.path, json={"events": ["job.failed", "job.completed"]})
    await service.until(await service.create(REFUSED), "failed")
    await until_tried(endpoint, 1, type="job.failed")
    await put_off(endpoint)
    assert (await service.client.patch(endpoint.path, json={"url": receiver.url("/new")})).status_code == 200
    (failed,) = await endpoint.deliveries(type="job.failed")
    assert (failed["state"], failed["nextTryAt"]) == ("pending", None)
    await service.until(await service.create(), "completed")
    receiver.answers = lambda received: OK
    await endpoint.post("test")
    await until_tried(endpoint, 1, type="job.completed")
    await let_time_pass(endpoint)  # the pause that the failure at the old address began
    await receiver.requests(1, type="job.failed", path="/new")

    at_new = [each for each in receiver.received if each.path == "/new"]
    assert [event["type"] for event in told(endpoint, at_new)] == ["job.completed", "job.failed"]


async def test_an_endpoint_that_answers_no_test_is_sent_nothing_else_and_disabled_in_the_end(
    service: Service, receiver: WebhookReceiver
) -> None:
    endpoint = await unverified(service, receiver, events=["job.failed"])
    await service.until(await service.create(REFUSED), "failed")
    for times in range(2, ATTEMPTS + 1):
        await let_time_pass(endpoint)
        test = await until_tried(endpoint, times)
    assert (test["state"], await waiting(endpoint)) == ("failed", ["job.failed"])
    disabled = await endpoint.until("disabled")
    assert (disabled["disabledReason"], len(receiver.received)) == ("failing", ATTEMPTS)
    assert told(endpoint, receiver.received) == []

    # From then on nothing more waits for it; what did is sent when it is enabled after all.
    await service.until(await service.create(REFUSED), "failed")
    assert await waiting(endpoint) == ["job.failed"]
    receiver.answers = lambda received: OK
    assert (await service.client.patch(endpoint.path, json={"status": "enabled"})).json()["status"] == "unverified"
    await endpoint.until("enabled")
    await receiver.requests(1, type="job.failed")
    assert len(told(endpoint, receiver.received)) == 1


async def test_an_endpoint_is_not_given_up_while_another_test_goes_on(
    service: Service, receiver: WebhookReceiver
) -> None:
    endpoint = await unverified(service, receiver)
    await put_off(endpoint, tries=ATTEMPTS - 1)
    await endpoint.post("test")
    await until_tried(endpoint, 1)
    await let_time_pass(endpoint)

    async def is_failed() -> bool:
        return [each["state"] for each in await endpoint.deliveries()] == ["pending", "failed"]

    await eventually(is_failed)
    assert (await endpoint.read())["status"] == "unverified"


async def test_five_days_of_refused_tests_disable(service: Service, receiver: WebhookReceiver) -> None:
    """However many are asked for: what waits is bounded."""
    endpoint = await unverified(service, receiver)
    assert (await endpoint.read())["failingSince"]
    await sql(
        service,
        "update webhook_endpoints set failing_since = now() - interval '121 hours' where id = :id",
        id=UUID(endpoint.id),
    )
    await endpoint.post("test")

    assert (await endpoint.until("disabled"))["disabledReason"] == "failing"


@pytest.mark.parametrize("status", ["unverified", "disabled"])
async def test_what_is_asked_for_again_waits_as_well(
    service: Service, endpoint: Endpoint, receiver: WebhookReceiver, status: str
) -> None:
    await service.until(await service.create(REFUSED), "failed")
    await until_delivered(endpoint, 3)
    receiver.answers = lambda received: answer(500)
    if status == "unverified":
        await service.client.patch(endpoint.path, json={"url": receiver.url("/new")})
    else:
        await service.client.patch(endpoint.path, json={"status": "disabled"})
    receiver.received.clear()

    (failed,) = await endpoint.deliveries(type="job.failed")
    again = await endpoint.post(f"deliveries/{failed['id']}/redeliver")
    assert (again["state"], again["nextTryAt"]) == ("pending", None)
    assert (await endpoint.post("redeliver", {"since": "2020-01-01T00:00:00Z"}))["count"] == 2
    assert await waking(endpoint, without="webhook.test") == 0
    assert told(endpoint, receiver.received) == []
    receiver.answers = lambda received: OK
    if status == "unverified":
        await endpoint.post("test")
    else:
        await service.client.patch(endpoint.path, json={"status": "enabled"})
    await receiver.requests(1, type="job.failed")
    assert [event["type"] for event in told(endpoint, receiver.received)] == ["job.submitted", "job.failed"]


async def waking(endpoint: Endpoint, *, without: str) -> int:
    """How many deliveries somebody is to be woken for."""
    statement = text(
        "select count(*) from outgoing_deliveries delivery join outgoing_events event on event.id = event_id "
        "where endpoint_id = :id and wake_at is not null and type <> :without"
    )
    async with endpoint.service.sessions() as session:
        return int(await session.scalar(statement, {"id": UUID(endpoint.id), "without": without}) or 0)


async def test_what_waits_is_not_due_and_its_endpoint_does_not_fail(
    service: Service, receiver: WebhookReceiver
) -> None:
    """Also where the test's answer asks for time."""
    endpoint = await unverified(service, receiver)
    await service.until(await service.create(REFUSED), "failed")
    receiver.answers = lambda received: answer(503, retry_after="7200")
    await endpoint.post("test")
    test = await until_tried(endpoint, 1)

    assert datetime.fromisoformat(test["nextTryAt"]) > datetime.now(UTC) + timedelta(hours=1, minutes=50)
    assert await waiting(endpoint) == ["job.submitted", "job.failed"]
    assert await waking(endpoint, without="webhook.test") == 0
    async with service.sessions() as session:
        failing = {str(found.endpoint.id) for found in await failing_endpoints(session, limit=1000)}
    assert endpoint.id not in failing


async def test_the_old_addresss_answer_says_nothing_of_the_new_one(
    service: Service, endpoint: Endpoint, receiver: WebhookReceiver
) -> None:
    receiver.answers = lambda received: answer(500)
    await endpoint.post("test")
    await until_tried(endpoint, 1)
    await put_off(endpoint)
    await sql(
        service,
        "update outgoing_deliveries set next_try_at = now() where endpoint_id = :id and state = 'pending'",
        id=UUID(endpoint.id),
    )
    async with service.sessions() as session:
        (due,) = await due_deliveries(session, UUID(endpoint.id), at_most=1)
    await service.client.patch(endpoint.path, json={"url": receiver.url("/new")})
    async with service.sessions.begin() as session:
        disabled = await record_failed(session, due, {}, pause=None, hold_others=None, is_receivers=True, is_gone=True)

    assert (disabled, (await endpoint.read())["status"]) == (None, "unverified")


async def end(service: Service, job_id: str) -> None:
    async with service.sessions.begin() as session:
        assert await cancel_generation(session, UUID(job_id), "Canceled")


async def enable(service: Service, endpoint: Endpoint) -> None:
    await sql(service, "update webhook_endpoints set status = 'enabled' where id = :id", id=UUID(endpoint.id))


async def test_what_is_being_written_when_the_endpoint_is_enabled_is_sent(
    service: Service, receiver: WebhookReceiver
) -> None:
    endpoint = await unverified(service, receiver, events=["job.canceled"])
    job_id = await service.create("[sim: latency=10m]")
    await service.until_accepted(job_id)
    await put_off(endpoint)  # else what is due is sent with the test
    receiver.answers = lambda received: OK
    async with service.sessions() as early:
        assert await cancel_generation(early, UUID(job_id), "Canceled")
        await early.execute(text("set constraints all immediate"))  # its event is written, for an unverified endpoint
        await completes_after(early.commit, enable(service, endpoint), service)
    await receiver.requests(1, type="job.canceled")


async def test_what_is_written_while_the_endpoint_is_being_enabled_is_sent(
    service: Service, receiver: WebhookReceiver
) -> None:
    endpoint = await unverified(service, receiver, events=["job.canceled"])
    job_id = await service.create("[sim: latency=10m]")
    await service.until_accepted(job_id)
    await put_off(endpoint)  # else what is due is sent with the test
    receiver.answers = lambda received: OK
    async with service.sessions() as early:
        await early.execute(
            text("update webhook_endpoints set status = 'enabled' where id = :id"), {"id": UUID(endpoint.id)}
        )
        await completes_after(early.commit, end(service, job_id), service)
    await receiver.requests(1, type="job.canceled")


async def completes_after(commit: Callable[[], Awaitable[None]], other: Any, service: Service) -> None:
    """The other transaction waits for this one's lock."""
    task = asyncio.create_task(other)
    await eventually(lambda: waits_for_a_lock(service.sessions))
    await commit()
    await task

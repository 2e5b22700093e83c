"""Endpoints, as their user makes and changes them."""

from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from api.identity.limits import WEBHOOK_TESTS_PER_MINUTE
from tests.integration.api.shared import problem, wrong_fields
from tests.integration.outgoing.endpoints import Endpoint, create_endpoint
from tests.running import Service
from tests.webhook_receiver import WebhookReceiver

ENDPOINTS = "/api/webhook-endpoints"


async def test_an_endpoint_is_created_read_changed_and_listed(service: Service, receiver: WebhookReceiver) -> None:
    created = await service.client.post(ENDPOINTS, json={"url": receiver.url(), "description": "mine"})
    assert created.status_code == 201
    endpoint = created.json()
    assert endpoint.pop("secret").startswith("whsec_")
    assert endpoint.keys() == {
        *("id", "url", "events", "description", "status", "disabledReason", "disabledAt", "failingSince"),
        *("secretRotatedUntil", "createdAt"),
    }
    assert (endpoint["url"], endpoint["events"], endpoint["status"]) == (receiver.url(), None, "unverified")

    changed = await service.client.patch(
        f"{ENDPOINTS}/{endpoint['id']}", json={"events": ["job.failed"], "description": "ours"}
    )
    assert changed.status_code == 200, changed.text
    assert (changed.json()["events"], changed.json()["description"]) == (["job.failed"], "ours")
    again = await service.client.patch(f"{ENDPOINTS}/{endpoint['id']}", json={"events": None})
    assert (again.json()["events"], again.json()["description"]) == (None, "ours")
    listed = (await service.client.get(ENDPOINTS)).json()["data"]
    assert [each["id"] for each in listed] == [endpoint["id"]]


async def test_the_secret_is_shown_once_and_kept_encrypted(service: Service, receiver: WebhookReceiver) -> None:
    endpoint = await create_endpoint(service, receiver.url())
    async with service.sessions() as session:
        row = str(
            (await session.execute(text("select * from webhook_endpoints where id = :id"), {"id": endpoint.id})).one()
        )

    for shown in (row, (await service.client.get(endpoint.path)).text, (await service.client.get(ENDPOINTS)).text):
        assert endpoint.secret not in shown
        assert endpoint.secret.removeprefix("whsec_") not in shown


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "https://10.0.0.1/hook"}, "url"),
        ({"url": "https://user@example.com/hook"}, "url"),
        ({"url": "https://metadata.google.internal/"}, "url"),
        ({"url": "https://example.com/hook", "events": []}, "events"),
        ({"url": "https://example.com/hook", "events": ["job.started"]}, "events.0"),
        ({"url": "https://example.com/hook", "secret": "whsec_mine"}, "secret"),
        ({"url": "https://example.com/hook", "description": "x" * 201}, "description"),
    ],
)
async def test_what_is_wrong_is_named(service: Service, body: dict[str, object], field: str) -> None:
    assert wrong_fields(await service.client.post(ENDPOINTS, json=body)) == [field]


@pytest.mark.parametrize(
    "body", [{"status": "unverified"}, {"status": None}, {"url": None}, {"url": "https://10.0.0.1"}]
)
async def test_a_change_that_is_wrong_is_refused(service: Service, endpoint: Endpoint, body: dict[str, object]) -> None:
    assert wrong_fields(await service.client.patch(endpoint.path, json=body)) == [*body]


async def test_a_job_is_not_told_of_to_an_address_inside(service: Service) -> None:
    for path, body in (
        ("/api/generate/video", {"prompt": "a lighthouse"}),
        ("/api/jobs", {"model": "flux-schnell", "input": {"prompt": "a lighthouse"}}),
    ):
        refused = await service.client.post(path, json={**body, "webhookUrl": "https://169.254.169.254/"})
        assert wrong_fields(refused) == ["webhookUrl"]


async def test_another_address_is_another_request(service: Service, receiver: WebhookReceiver) -> None:
    headers = {"idempotency-key": uuid4().hex}
    body = {"prompt": "a lighthouse", "quality": "fast", "webhookUrl": receiver.url("/1")}
    first = await service.client.post("/api/generate/video", json=body, headers=headers)
    again = await service.client.post("/api/generate/video", json=body, headers=headers)
    other = await service.client.post("/api/generate/video", json={**body, "webhookUrl": ""}, headers=headers)
    another = await service.client.post(
        "/api/generate/video", json={**body, "webhookUrl": receiver.url("/2")}, headers=headers
    )

    assert (first.status_code, again.json()) == (202, first.json())
    assert wrong_fields(other) == ["webhookUrl"]
    problem(another, 422, "IDEMPOTENCY_KEY_REUSED")
    await service.until(first.json()["jobId"], "completed")


async def test_a_retry_tells_the_same_address(service: Service, receiver: WebhookReceiver) -> None:
    job_id = await service.create("[sim: fail=422]", webhookUrl=receiver.url())
    await service.until(job_id, "failed")
    retried = (await service.client.post(f"/api/jobs/{job_id}/retry")).json()["jobId"]
    await service.until(retried, "failed")

    await receiver.requests(2, type="job.failed")


async def test_somebody_elses_endpoint_is_not_found(service: Service, endpoint: Endpoint) -> None:
    delivery_id = (await endpoint.deliveries())[0]["id"]
    async with service.for_user("somebody else") as theirs:
        calls = [
            ("GET", "", None),
            ("PATCH", "", {"status": "disabled"}),
            ("POST", "/rotate-secret", None),
            ("POST", "/test", None),
            ("GET", "/deliveries", None),
            ("POST", f"/deliveries/{delivery_id}/redeliver", None),
            ("POST", "/redeliver", {"since": "2020-01-01T00:00:00Z"}),
            ("DELETE", "", None),
        ]
        for method, call, body in calls:
            problem(await theirs.client.request(method, endpoint.path + call, json=body), 404, "NOT_FOUND")
        assert (await theirs.client.get(ENDPOINTS)).json()["data"] == []
        assert (await theirs.client.get("/api/event-log")).json()["data"] == []
        secrets = [
            (await each.client.get(f"{ENDPOINTS}/signing-secret")).json()["secret"] for each in (service, theirs)
        ]
    assert len(set(secrets)) == 2
    assert (await endpoint.read())["status"] == "enabled"


async def test_deliveries_are_paged_and_filtered(service: Service, endpoint: Endpoint) -> None:
    for _ in range(3):
        await endpoint.post("test")
    pages: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await service.client.get(f"{endpoint.path}/deliveries", params={"limit": 3, "after": cursor})).json()
        pages += [each["id"] for each in page["data"]]
        cursor = page["nextCursor"]

    assert len(pages) == len(set(pages)) == 4
    assert await endpoint.deliveries(type="job.failed") == []
    assert wrong_fields(await service.client.get(f"{endpoint.path}/deliveries", params={"state": "lost"})) == ["state"]
    assert wrong_fields(await service.client.get(f"{endpoint.path}/deliveries", params={"status": "failed"})) == [
        "status"
    ]


async def test_the_log_goes_on_after_a_sequence(service: Service, endpoint: Endpoint) -> None:
    ids = [await service.create("[sim: fail=422]") for _ in range(3)]
    for job_id in ids:
        await service.until(job_id, "failed")

    first = (await service.client.get("/api/event-log", params={"limit": 2})).json()
    assert (len(first["data"]), first["hasMore"]) == (2, True)
    assert first["nextCursor"] == str(first["data"][-1]["sequence"])
    rest = (await service.client.get("/api/event-log", params={"after": first["nextCursor"]})).json()
    assert (len(rest["data"]), rest["hasMore"]) == (1, False)
    assert {event["data"]["id"] for event in first["data"] + rest["data"]} == set(ids)
    end = (await service.client.get("/api/event-log", params={"after": rest["nextCursor"]})).json()
    assert end == {"data": [], "hasMore": False, "nextCursor": rest["nextCursor"]}
    for wrong in ("-1", "x", "9" * 30, "1.5"):
        assert wrong_fields(await service.client.get("/api/event-log", params={"after": wrong})) == ["after"]


async def test_nobody_has_us_send_as_much_as_they_like(service: Service, endpoint: Endpoint) -> None:
    answers: list[httpx.Response] = []
    while not (answers and answers[-1].status_code == 429):
        assert len(answers) <= 2 * WEBHOOK_TESTS_PER_MINUTE
        answers.append(await service.client.post(f"{endpoint.path}/test"))
    problem(answers[-1], 429, "RATE_LIMITED")
    assert int(answers[-1].headers["retry-after"]) >= 1


async def test_endpoints_are_counted(service: Service, receiver: WebhookReceiver) -> None:
    for number in range(service.settings.webhook_endpoints_per_user):
        await create_endpoint(service, receiver.url(f"/{number}"))
    problem(await service.client.post(ENDPOINTS, json={"url": receiver.url()}), 409, "CONFLICT")

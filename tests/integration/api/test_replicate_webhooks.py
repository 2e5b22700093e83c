"""Replicate's webhooks over HTTP: a genuine end ends the wait, and nothing else has any effect, or is ever a 5xx.

The service of these tests trusts two secrets of ours, not the simulator's: what it is told, these tests told it. What
is wrong with headers and bodies in themselves is tested without a server, in `tests/unit/providers`.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from standardwebhooks.webhooks import Webhook
from structlog.testing import capture_logs

from reelay.domain.generation import AT_THE_PROVIDER
from tests.integration.api.shared import logged, problem
from tests.running import Service, running_service
from tests.servers import Servers

ROUTE = "/api/webhooks/replicate"
SILENT = "quiet [sim: webhook=lost]"
OLD, NEW, STRANGER = (f"whsec_{b64encode(letter * 24).decode()}" for letter in (b"o", b"n", b"s"))


@pytest.fixture(scope="module")
async def service(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(
        servers, replicate_webhook_secret=f"{NEW} {OLD}", webhook_patience=3600, adoption_window=20
    ) as running:
        yield running


@dataclass(frozen=True)
class Waiting:
    """A job that waits for its webhook, for longer than a test lasts."""

    id: str
    prediction_id: str
    url: str

    @property
    def query(self) -> dict[str, str]:
        return dict(httpx.URL(self.url).params)

    def said(self, status: str = "succeeded", **changes: Any) -> bytes:
        return json.dumps({"id": self.prediction_id, "status": status, **changes}).encode()


async def waiting_job(service: Service) -> Waiting:
    job_id = await service.create(SILENT, model="seedance-1-lite")
    job = await service.until_accepted(job_id)
    request = await service.servers.simulated_request(job["falRequestId"])
    return Waiting(job_id, job["falRequestId"], request["webhook_url"])


@pytest.fixture(scope="module")
async def waiting(service: Service) -> Waiting:
    """For what must have no effect on it."""
    return await waiting_job(service)


async def post(
    service: Service, url: str, body: bytes, *, secret: str = NEW, seconds_ago: int = 0, **changes: str
) -> httpx.Response:
    """A webhook signed as Replicate does; `changes` replace headers, underscores being dashes."""
    moment, message_id = datetime.now(UTC) - timedelta(seconds=seconds_ago), f"msg_{uuid4().hex}"
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, moment, body.decode("utf-8")),
    }
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    wire = [(name.encode(), value.encode()) for name, value in headers.items()]
    return await service.client.post(url, content=body, headers=wire)


async def still_waits(service: Service, job: Waiting) -> bool:
    return (await service.job(job.id))["stage"] in AT_THE_PROVIDER


@pytest.mark.parametrize("secret", [OLD, NEW])
async def test_genuine_webhook_ends_the_wait(service: Service, secret: str) -> None:
    job = await waiting_job(service)
    assert httpx.URL(job.url).path == ROUTE
    answer = await post(service, job.url, job.said(), secret=secret)

    assert (answer.status_code, answer.json()) == (200, {"success": True, "received": True, "verdict": "accepted"})
    assert (await service.until(job.id, "completed"))["files"]
    (delivery,) = await logged(service, job_id=job.id)
    assert (delivery.provider, delivery.verdict, delivery.request_id) == ("replicate", "accepted", job.prediction_id)
    assert "webhook-id" in delivery.headers
    assert all(name in ("content-type", "user-agent") or "webhook" in name for name in delivery.headers)


async def test_what_still_runs_is_acknowledged_and_has_no_effect(service: Service) -> None:
    job = await waiting_job(service)
    for status in ("starting", "processing", "warming_up"):
        answer = await post(service, job.url, job.said(status))
        assert (answer.status_code, answer.json()["verdict"]) == (200, "running")
    assert await still_waits(service, job)
    await post(service, job.url, job.said())
    await service.until(job.id, "completed")


async def test_after_the_end_nothing_changes_it(service: Service) -> None:
    job = await waiting_job(service)
    await asyncio.gather(*(post(service, job.url, job.said()) for _ in range(20)))
    await service.until(job.id, "completed")
    await service.closed_as(job.id)
    trail = await service.trail(job.id)
    late = [await post(service, job.url, job.said(status)) for status in ("processing", "failed", "succeeded")]

    assert [(answer.status_code, answer.json()["verdict"]) for answer in late] == [
        (200, "running"),
        (200, "duplicate"),
        (200, "duplicate"),
    ]
    assert await service.trail(job.id) == trail
    assert (await service.simulated(job.id))["downloads"] == 1


async def test_webhook_is_a_hint_and_replicate_has_the_last_word(service: Service) -> None:
    job = await waiting_job(service)
    assert (await post(service, job.url, job.said("failed", error="no", output=None))).status_code == 200
    assert (await service.until(job.id, "completed"))["files"]


async def test_webhook_without_a_job_finds_it_by_its_prediction(service: Service) -> None:
    job = await waiting_job(service)
    assert (await post(service, ROUTE, job.said())).status_code == 200
    await service.until(job.id, "completed")


async def test_prediction_of_replicate_is_no_request_of_fal(service: Service, waiting: Waiting) -> None:
    job_id = await service.create(SILENT)
    request_id = (await service.until_accepted(job_id))["falRequestId"]
    body = json.dumps({"id": request_id, "status": "succeeded"}).encode()

    problem(await post(service, ROUTE, body), 404, "NOT_FOUND")
    assert (await service.job(job_id))["stage"] in AT_THE_PROVIDER


@pytest.mark.parametrize("change", [{"token": None}, {"token": "1.AAAA"}, {"job": str(uuid4())}, {"job": "7"}])
async def test_url_that_we_did_not_make_is_refused(
    service: Service, waiting: Waiting, change: dict[str, str | None]
) -> None:
    query = {name: value for name, value in (waiting.query | change).items() if value is not None}
    problem(await post(service, str(httpx.URL(ROUTE, params=query)), waiting.said()), 401, "UNAUTHENTICATED")
    assert await still_waits(service, waiting)


async def test_another_jobs_prediction_on_this_jobs_url_is_refused(service: Service, waiting: Waiting) -> None:
    other = await waiting_job(service)
    problem(await post(service, waiting.url, other.said()), 401, "UNAUTHENTICATED")

    (row,) = await logged(service, request_id=other.prediction_id)
    assert (row.verdict, row.job_id, row.attempt) == ("mismatch", UUID(waiting.id), 1)
    assert await still_waits(service, other)
    assert await still_waits(service, waiting)


async def test_lost_prediction_is_adopted_by_its_own_webhook_alone(service: Service, waiting: Waiting) -> None:
    job_id = await service.create("cut off [sim: submit=drop, webhook=lost, listing=lost]", model="seedance-1-lite")
    await service.until(job_id, "uncertain")
    (prediction_id,) = (await service.simulated(job_id))["requests"]
    url = (await service.servers.simulated_request(prediction_id))["webhook_url"]

    problem(await post(service, url, waiting.said()), 401, "UNAUTHENTICATED")
    own = Waiting(job_id, prediction_id, url)
    assert (await post(service, url, own.said())).status_code == 200
    assert (await service.until(job_id, "completed"))["falRequestId"] == prediction_id
    assert (await service.simulated(job_id))["accepted"] == 1
    assert await still_waits(service, waiting)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"secret": STRANGER}, "forged"),
        ({"webhook_id": "msg_other"}, "forged"),
        ({"seconds_ago": 302}, "stale"),
        ({"seconds_ago": -302}, "stale"),
        ({"seconds_ago": 86_400}, "stale"),
        ({"webhook_timestamp": "999999999999"}, "stale"),
    ],
    ids=range(6),
)
async def test_forged_and_stale_webhooks_are_refused_and_logged(
    service: Service, change: dict[str, Any], verdict: str
) -> None:
    job = await waiting_job(service)
    answer = await post(service, job.url, job.said(), **change)

    problem(answer, 401, "UNAUTHENTICATED")
    assert await still_waits(service, job)
    (row,) = await logged(service, job_id=job.id)
    assert (row.verdict, row.status_code) == (verdict, 401)
    assert row.detail not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook_id": ""},
        {"webhook_signature": ""},
        {"webhook_signature": "v1"},
        {"webhook_signature": "v1,a,b"},
        {"webhook_signature": "v1,!!!!"},
        {"webhook_signature": "v1a,AAAA"},
        {"webhook_signature": "é"},
        {"webhook_timestamp": "nan"},
        {"webhook_timestamp": "1.5"},
        {"webhook_id": "a.b"},
    ],
    ids=range(10),
)
async def test_malformed_headers_are_the_senders_fault(
    service: Service, waiting: Waiting, headers: dict[str, Any]
) -> None:
    answer = await post(service, waiting.url, waiting.said(), **headers)

    problem(answer, 400, "INVALID_PARAMS")
    assert await still_waits(service, waiting)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"id": "x"}', b'{"status": "succeeded"}'], ids=range(5))
async def test_signed_bodies_that_are_no_predictions_are_refused(
    service: Service, waiting: Waiting, body: bytes
) -> None:
    problem(await post(service, waiting.url, body), 400, "INVALID_PARAMS")
    assert await still_waits(service, waiting)


async def test_unknown_prediction_is_not_found(service: Service) -> None:
    body = json.dumps({"id": uuid4().hex, "status": "succeeded"}).encode()
    problem(await post(service, ROUTE, body), 404, "NOT_FOUND")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_webhooks_are_posted(service: Service, method: str) -> None:
    problem(await service.client.request(method, ROUTE), 405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize("fault", ["forged", "stale"])
async def test_replicates_own_bad_webhooks_leave_the_job_waiting(patient_service: Service, fault: str) -> None:
    job_id = await patient_service.create(f"[sim: webhook={fault}]", model="seedance-1-lite")
    await patient_service.until_accepted(job_id)
    (delivery,) = await patient_service.deliveries(job_id, count=1)

    assert delivery["status_code"] == 401
    assert [row.verdict for row in await logged(patient_service, job_id=job_id)] == [fault]
    await patient_service.client.post(f"/api/jobs/{job_id}/poll")
    await patient_service.until(job_id, "completed")


async def test_every_webhook_leaves_one_line(service: Service) -> None:
    job = await waiting_job(service)
    with capture_logs() as lines:
        await post(service, job.url, job.said(), secret=STRANGER)
        await post(service, job.url, job.said("processing"))
        await post(service, job.url, job.said())
    received = [line for line in lines if line["event"] == "webhook_received" and line["provider"] == "replicate"]
    assert [(line["verdict"], line["status"]) for line in received] == [
        ("forged", 401),
        ("running", 200),
        ("accepted", 200),
    ]
    assert received[-1]["job_id"] == job.id

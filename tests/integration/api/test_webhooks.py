"""fal's webhooks: a genuine one ends the wait, and nothing else has any effect, or is ever a 5xx.

The service of these tests trusts a key of ours, not the simulator's: what it is told, these tests told it.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlmodel import col, select
from structlog.testing import capture_logs

from api.metrics import Metrics
from api.webhooks.delivery_log import REFUSED_AT_MOST, REFUSED_BODY_BYTES, DeliveryLog
from api.webhooks.inbox import Inbox
from api.webhooks.redelivery import Redelivery
from api.webhooks.studio import Pushes
from reelay.db.deliveries import put_into_inbox
from reelay.db.generations import cancel_generation, insert_generation
from reelay.db.tables import GenerationJob, WebhookDelivery
from reelay.domain.generation import AT_THE_PROVIDER, JobType, ProviderName, Report, Stage
from reelay.domain.language import Language
from reelay.domain.webhook_token import make_token
from tests.eventually import eventually
from tests.integration.api.fal import ACCOUNT, Fal, key_server
from tests.integration.api.shared import logged, problem
from tests.running import PATIENT, Service, running_service
from tests.servers import Servers
from tests.unit.providers.signing import notice
from workflows.generation import GenerationWorkflow
from workflows.runs import GenerationRuns

FIRST_ROUTE = "/api/webhooks/fal"
OPERATORS_ROUTE = "/hooks/fal"
REPLICATES_ROUTE = "/api/webhooks/replicate"
SILENT = "quiet [sim: webhook=lost]"


@dataclass(frozen=True)
class Waiting:
    """A job that waits for its webhook, for longer than a test lasts."""

    id: str
    request_id: str
    url: str

    @property
    def query(self) -> dict[str, str]:
        return dict(httpx.URL(self.url).params)


@pytest.fixture(scope="module")
async def fal(servers: Servers) -> AsyncIterator[Fal]:
    async with (
        key_server() as keys,
        running_service(
            servers,
            fal_jwks_url=keys.url,
            fal_user_id=ACCOUNT,
            fal_webhook_path=OPERATORS_ROUTE,
            webhook_patience=3600,
        ) as service,
    ):
        yield Fal(service=service, keys=keys)


async def waiting_job(fal: Fal) -> Waiting:
    job_id = await fal.service.create(SILENT)
    url = await fal.address(job_id)
    return Waiting(job_id, (await fal.service.job(job_id))["falRequestId"], url)


@pytest.fixture(scope="module")
async def waiting(fal: Fal) -> Waiting:
    """For what must have no effect on it."""
    return await waiting_job(fal)


async def still_waits(fal: Fal, job: Waiting) -> bool:
    return (await fal.service.job(job.id))["stage"] in AT_THE_PROVIDER


async def test_genuine_webhook_ends_the_wait(fal: Fal) -> None:
    job = await waiting_job(fal)
    answer = await fal.says_ok(job.url, job.request_id)

    assert (answer.status_code, answer.json()) == (200, {"success": True, "received": True, "verdict": "accepted"})
    assert (await fal.service.until(job.id, "completed"))["files"]
    (delivery,) = await logged(fal.service, job_id=job.id)
    assert (delivery.verdict, delivery.status_code, delivery.request_id) == ("accepted", 200, job.request_id)
    assert json.loads(delivery.body)["request_id"] == job.request_id
    assert all(name in ("content-type", "user-agent") or "webhook" in name for name in delivery.headers)


@pytest.mark.fault("W4", "W13")
async def test_webhook_after_the_end_is_a_duplicate_without_effect(fal: Fal) -> None:
    job = await waiting_job(fal)
    await fal.says_ok(job.url, job.request_id)
    await fal.service.until(job.id, "completed")
    await fal.service.closed_as(job.id)
    trail = await fal.service.trail(job.id)
    again = await asyncio.gather(*(fal.says_ok(job.url, job.request_id) for _ in range(10)))

    assert {(answer.status_code, answer.json()["verdict"]) for answer in again} == {(200, "duplicate")}
    assert await fal.service.trail(job.id) == trail
    assert (await fal.service.simulated(job.id))["downloads"] == 1


@pytest.mark.parametrize("query", [{}, {"token": "1.x"}])
async def test_webhook_without_a_job_finds_it_by_its_request(fal: Fal, query: dict[str, str]) -> None:
    job = await waiting_job(fal)
    answer = await fal.says_ok(str(httpx.URL(FIRST_ROUTE, params=query)), job.request_id)

    assert answer.status_code == 200
    await fal.service.until(job.id, "completed")


async def test_both_routes_take_the_same_webhook(fal: Fal) -> None:
    for route in (FIRST_ROUTE, OPERATORS_ROUTE):
        job = await waiting_job(fal)
        assert httpx.URL(job.url).path == OPERATORS_ROUTE
        url = httpx.URL(route, params=job.query | {"added": "by a tunnel"})
        assert (await fal.says_ok(str(url), job.request_id)).status_code == 200
        await fal.service.until(job.id, "completed")


@pytest.mark.fault("W20")
@pytest.mark.parametrize("route", [FIRST_ROUTE, OPERATORS_ROUTE])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_webhooks_are_posted(fal: Fal, method: str, route: str) -> None:
    problem(await fal.service.client.request(method, route), 405, "METHOD_NOT_ALLOWED")


@pytest.mark.fault("W20")
@pytest.mark.parametrize("route", [FIRST_ROUTE, REPLICATES_ROUTE])
@pytest.mark.parametrize(
    "declared",
    ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "text/xml", "\xff", ""],
)
async def test_unsigned_webhook_is_refused_whatever_it_is_declared_as(fal: Fal, declared: str, route: str) -> None:
    answer = await fal.service.client.post(
        route, content=b"--x\r\n\r\n<a>=1&b", headers={b"content-type": declared.encode("latin-1")}
    )
    assert 400 <= answer.status_code < 500
    problem(answer, answer.status_code, answer.json()["code"])


@pytest.mark.fault("W20")
async def test_declared_type_changes_nothing_of_what_a_signature_says(fal: Fal) -> None:
    """The signed bytes count."""
    job = await waiting_job(fal)
    body = notice(request_id=job.request_id)
    for declared, status in (("text/plain", 401), ("application/x-www-form-urlencoded", 200)):
        signature = fal.headers(body, job.request_id, user_id=ACCOUNT if status == 200 else "another")
        answer = await fal.post(job.url, body, {**signature, "content-type": declared})
        assert answer.status_code == status
    await fal.service.until(job.id, "completed")


@pytest.mark.fault("W7")
@pytest.mark.parametrize(
    "change",
    [
        {"token": None},
        {"token": ""},
        {"token": "1"},
        {"token": "1."},
        {"token": "2.AAAA"},
        {"token": "9999999999.AAAA"},
        {"token": "é\0"},
        {"job": str(uuid4())},
        {"job": "7"},
        {"job": ""},
    ],
)
async def test_url_that_we_did_not_make_is_refused(fal: Fal, waiting: Waiting, change: dict[str, str | None]) -> None:
    query = {name: value for name, value in (waiting.query | change).items() if value is not None}
    answer = await fal.says_ok(str(httpx.URL(FIRST_ROUTE, params=query)), waiting.request_id)

    problem(answer, 401, "UNAUTHENTICATED")
    assert await still_waits(fal, waiting)


async def test_token_of_another_job_is_refused(fal: Fal, waiting: Waiting) -> None:
    other = await waiting_job(fal)
    query = {"job": waiting.id, "token": other.query["token"]}
    answer = await fal.says_ok(str(httpx.URL(FIRST_ROUTE, params=query)), waiting.request_id)

    problem(answer, 401, "UNAUTHENTICATED")
    assert await still_waits(fal, waiting)


@pytest.mark.fault("W7")
async def test_another_jobs_request_on_this_jobs_url_is_refused(fal: Fal, waiting: Waiting) -> None:
    other = await waiting_job(fal)
    problem(await fal.says_ok(waiting.url, other.request_id), 401, "UNAUTHENTICATED")

    (row,) = await logged(fal.service, request_id=other.request_id)
    assert (row.verdict, row.job_id, row.attempt) == ("mismatch", UUID(waiting.id), 1)
    assert await still_waits(fal, other)
    await fal.says_ok(other.url, other.request_id)
    assert (await fal.service.until(other.id, "completed"))["falRequestId"] == other.request_id
    assert await still_waits(fal, waiting)


async def test_attempt_that_waits_for_its_request_takes_none_of_another_attempt(fal: Fal, waiting: Waiting) -> None:
    job_id = await fal.service.create("cut off [sim: submit=drop, webhook=lost, listing=lost]")
    await fal.service.until(job_id, "uncertain")
    (request_id,) = (await fal.service.simulated(job_id))["requests"]
    url = (await fal.service.servers.simulated_request(request_id))["webhook_url"]

    problem(await fal.says_ok(url, waiting.request_id), 401, "UNAUTHENTICATED")
    assert (await fal.says_ok(url, request_id)).status_code == 200
    assert (await fal.service.until(job_id, "completed"))["falRequestId"] == request_id
    assert await still_waits(fal, waiting)


@pytest.mark.fault("P15")
async def test_request_of_another_attempt_is_not_adopted(fal: Fal, waiting: Waiting) -> None:
    job_id = await fal.service.create("cut off [sim: submit=drop, webhook=lost, listing=lost]")
    await fal.service.until(job_id, "uncertain")
    stolen = Report(attempt=1, request_id=waiting.request_id, delivery_id=uuid4())
    await fal.service.run(job_id).signal(GenerationWorkflow.report, stolen)

    (request_id,) = (await fal.service.simulated(job_id))["requests"]
    url = (await fal.service.servers.simulated_request(request_id))["webhook_url"]
    assert (await fal.says_ok(url, request_id)).status_code == 200
    assert (await fal.service.until(job_id, "completed"))["falRequestId"] == request_id
    assert await still_waits(fal, waiting)


async def job_without_a_run(fal: Fal, like: Waiting) -> GenerationJob:
    """As when the API died between the row and the start."""
    async with fal.service.sessions.begin() as session:
        other = await session.get_one(GenerationJob, UUID(like.id))
        job = GenerationJob(
            id=uuid4(),
            user_id=other.user_id,
            job_type=JobType(other.job_type),
            provider=ProviderName.FAL,
            model=other.model,
            endpoint=other.endpoint,
            input_params=other.input_params,
            arguments=other.arguments,
            timing=other.timing,
            stage=Stage.SUBMITTING,
        )
        assert await insert_generation(session, job)
    return job


def address_of(fal: Fal, job_id: UUID) -> str:
    secret = fal.service.settings.webhook_token_secret
    assert secret
    token = make_token(secret.get_secret_value().encode(), job_id, 1)
    return str(httpx.URL(FIRST_ROUTE, params={"job": str(job_id), "token": token}))


async def test_report_without_a_run_waits_for_what_becomes_of_the_job(fal: Fal, waiting: Waiting) -> None:
    started, ended, gone = [await job_without_a_run(fal, waiting) for _ in range(3)]
    for job in (started, ended, gone):
        answer = await fal.says_ok(address_of(fal, job.id), str(uuid4()))
        assert (answer.status_code, answer.json()["verdict"]) == (200, "deferred")
    await runs_of(fal.service).start(started)
    async with fal.service.sessions.begin() as session:
        await cancel_generation(session, ended.id, "Canceled")
        await session.delete(await session.get_one(GenerationJob, gone.id))

    for job, verdict in ((started, "accepted"), (ended, "duplicate"), (gone, "unknown")):
        assert (await settled(fal.service, job.id)).verdict == verdict


def runs_of(service: Service) -> GenerationRuns:
    return GenerationRuns(service.temporal, service.settings.task_queue, service.settings.app_url, PATIENT)


async def settled(service: Service, job_id: UUID) -> WebhookDelivery:
    async def handed_over() -> WebhookDelivery:
        row = (await logged(service, job_id=str(job_id)))[-1]
        assert row.handed_over_at
        return row

    return await eventually(handed_over)


@pytest.mark.fault("O8")
async def test_two_processes_drain_one_inbox_and_hand_each_report_over_once(fal: Fal) -> None:
    job = await waiting_job(fal)
    async with fal.service.sessions.begin() as session:
        for _ in range(50):
            waits = WebhookDelivery(
                provider=ProviderName.FAL,
                job_id=UUID(job.id),
                attempt=1,
                request_id="another",
                verdict="deferred",
                status_code=200,
                body=b"",
            )
            await put_into_inbox(session, waits)
    sessions = fal.service.sessions
    inbox = Inbox(runs_of(fal.service), sessions, Metrics(), PATIENT)
    processes = [Redelivery(sessions, inbox, Pushes(sessions, inbox, Language.ENGLISH, PATIENT)) for _ in range(2)]
    await asyncio.gather(*(process.drain() for process in processes))

    for row in await logged(fal.service, job_id=job.id):
        assert (row.verdict, row.next_try_at) == ("accepted", None)
    history = await fal.service.run(job.id).fetch_history()
    names = [event.WhichOneof("attributes") for event in history.events]
    assert names.count("workflow_execution_signaled_event_attributes") == 50
    assert await still_waits(fal, job)


@pytest.mark.fault("W10")
async def test_unknown_job_and_unknown_request_are_not_found(fal: Fal) -> None:
    request_id = str(uuid4())

    problem(await fal.says_ok(address_of(fal, uuid4()), request_id), 404, "NOT_FOUND")
    unknown = problem(await fal.says_ok(FIRST_ROUTE, request_id), 404, "NOT_FOUND")
    assert unknown["error"] == "Job not found"
    assert {row.verdict for row in await logged(fal.service, request_id=request_id)} == {"unknown"}


@pytest.mark.fault("W1", "W3", "W7", "O7")
@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"key": Ed25519PrivateKey.generate()}, "forged"),
        ({"user_id": "github|stranger"}, "forged"),
        ({"seconds_ago": 302}, "stale"),
        ({"seconds_ago": -302}, "stale"),
        ({"seconds_ago": 86_400}, "stale"),
        ({"timestamp": 0}, "stale"),
        ({"timestamp": 999_999_999_999}, "stale"),
    ],
)
async def test_forged_and_stale_webhooks_are_refused_and_logged(fal: Fal, change: dict[str, Any], verdict: str) -> None:
    job = await waiting_job(fal)
    answer = await fal.says_ok(job.url, job.request_id, **change)

    problem(answer, 401, "UNAUTHENTICATED")
    assert await still_waits(fal, job)
    (row,) = await logged(fal.service, job_id=job.id)
    assert (row.verdict, row.status_code) == (verdict, 401)
    assert row.detail
    assert row.detail not in answer.text


@pytest.mark.parametrize("seconds_ago", [290, -290])
async def test_clock_that_is_a_little_off_is_no_forgery(fal: Fal, seconds_ago: int) -> None:
    job = await waiting_job(fal)
    assert (await fal.says_ok(job.url, job.request_id, seconds_ago=seconds_ago)).status_code == 200


@pytest.mark.fault("W1")
async def test_signature_covers_every_byte(fal: Fal, waiting: Waiting) -> None:
    body = notice(request_id=waiting.request_id)
    genuine = fal.headers(body, waiting.request_id)
    moment = str(int(genuine["X-Fal-Webhook-Timestamp"]) + 1)
    for sent, headers in (
        (body + b" ", genuine),
        (body.replace(b"OK", b"OX"), genuine),
        (body, genuine | {"X-Fal-Webhook-Timestamp": moment}),
        (body, genuine | {"X-Fal-Webhook-Request-Id": str(uuid4())}),
        (body, genuine | {"X-Fal-Webhook-User-Id": ACCOUNT + "2"}),
        (body, genuine | {"X-Fal-Webhook-Signature": "0" * 128}),
    ):
        problem(await fal.post(waiting.url, sent, headers), 401, "UNAUTHENTICATED")
    assert await still_waits(fal, waiting)


MALFORMED_HEADERS = [
    *((name, value) for name in ("Request-Id", "User-Id", "Timestamp", "Signature") for value in (None, "", "é")),
    ("Request-Id", "../../requests"),
    ("Request-Id", "r" * 201),
    ("User-Id", "two words"),
    ("Timestamp", "nan"),
    ("Timestamp", "inf"),
    ("Timestamp", "-1"),
    ("Timestamp", "1e9"),
    ("Timestamp", "1.5"),
    ("Timestamp", "٣"),
    ("Timestamp", "9" * 400),
    ("Signature", "0" * 126),
    ("Signature", "0" * 130),
    ("Signature", "zz" * 64),
    ("Signature", "0 " * 63 + "00"),
    ("Signature", "0x" + "0" * 126),
]


@pytest.mark.fault("W2")
@pytest.mark.parametrize(("name", "value"), MALFORMED_HEADERS)
async def test_malformed_headers_are_the_senders_fault(
    fal: Fal, waiting: Waiting, name: str, value: str | None
) -> None:
    body = notice(request_id=waiting.request_id)
    headers = fal.headers(body, waiting.request_id)
    del headers[f"X-Fal-Webhook-{name}"]
    if value is not None:
        headers[f"X-Fal-Webhook-{name}"] = value.encode().decode("latin-1")
    raw = [(key.encode(), content.encode("latin-1")) for key, content in headers.items()]
    answer = await fal.service.client.post(waiting.url, content=body, headers=raw)

    problem(answer, 400, "INVALID_PARAMS")
    assert await still_waits(fal, waiting)


def with_request_id(template: str, request_id: str) -> bytes:
    return template.replace("ID", request_id).encode()


@pytest.mark.fault("W16")
@pytest.mark.parametrize(
    "template",
    [
        "",
        "null",
        "[]",
        '"OK"',
        "{",
        "{}",
        '{"status": "OK"}',
        '{"request_id": null, "status": "OK"}',
        '{"request_id": ["ID"], "status": "OK"}',
        '{"request_id": "another", "status": "OK"}',
        '{"request_id": "ID", "request_id": "another", "status": "OK"}',
        '{"request_id": "ID"}',
        '{"request_id": "ID", "status": "COMPLETED"}',
        '{"request_id": "ID", "status": {"a": 1}}',
        '{"request_id": "ID", "status": "OK", "payload": NaN}',
        '{"request_id": "ID", "status": "OK", "payload": 1e999}',
        '{"request_id": "ID", "status": "OK", "payload": ' + "[" * 10_000 + "]" * 10_000 + "}",
        '{"request_id": "ID", "status": "OK", "payload": 1' + "0" * 5000 + "}",
        '\ufeff{"request_id": "ID", "status": "OK"}',
    ],
    ids=lambda template: template[:60],
)
async def test_signed_bodies_that_fal_would_not_send_are_refused(fal: Fal, waiting: Waiting, template: str) -> None:
    body = with_request_id(template, waiting.request_id)
    answer = await fal.post(waiting.url, body, fal.headers(body, waiting.request_id))

    problem(answer, 400, "INVALID_PARAMS")
    assert await still_waits(fal, waiting)


@pytest.mark.fault("W16")
@pytest.mark.parametrize("body", [b"\xff\xfe", b"\x00", '{"request_id": "x"}'.encode("utf-16"), b"\x1f\x8b\x08"])
async def test_signed_bytes_that_are_no_text_are_refused(fal: Fal, waiting: Waiting, body: bytes) -> None:
    answer = await fal.post(waiting.url, body, fal.headers(body, waiting.request_id))

    problem(answer, 400, "INVALID_PARAMS")


@pytest.mark.fault("W14")
@pytest.mark.parametrize(
    "template",
    [
        r'{"request_id": "ID", "status": "OK", "payload": {"text": "a\u0000b\ud800"}}',
        '{"request_id": "ID", "status": "ok", "payload": null, "payload_error": "not serialisable"}',
        '{"request_id": "ID", "status": "ERROR", "error": "Invalid status code: 422", "payload": {"detail": []}}',
        '{"request_id": "ID", "gateway_request_id": "g", "status": "OK", "payload": {}, "new": [{}]}',
    ],
)
async def test_webhook_is_a_hint_and_the_provider_has_the_last_word(fal: Fal, template: str) -> None:
    job = await waiting_job(fal)
    body = with_request_id(template, job.request_id)
    assert (await fal.post(job.url, body, fal.headers(body, job.request_id))).status_code == 200

    assert (await fal.service.until(job.id, "completed"))["files"]


@pytest.mark.fault("W5")
async def test_flood_of_forged_webhooks_costs_two_key_fetches_and_a_little_log(servers: Servers) -> None:
    async with key_server() as keys, running_service(servers, fal_jwks_url=keys.url) as service:
        fal, request_id, stranger = Fal(service=service, keys=keys), str(uuid4()), Ed25519PrivateKey.generate()
        body = notice(request_id=request_id, payload={"prompt": "x" * 20_000})
        headers = fal.headers(body, request_id, key=stranger)
        url = address_of(fal, uuid4())
        refused = [
            answer
            for _ in range(4)
            for answer in await asyncio.gather(*(fal.post(url, body, headers) for _ in range(50)))
        ]

        assert {answer.status_code for answer in refused} == {401}
        assert keys.asked <= 2
        job = await waiting_job(fal)
        assert (await fal.says_ok(job.url, job.request_id)).status_code == 200
        await service.until(job.id, "completed")
        await logged(service, job_id=job.id)
        async with service.sessions() as session:
            bodies = (
                await session.scalars(select(WebhookDelivery.body).where(col(WebhookDelivery.verdict) == "forged"))
            ).all()
        assert (len(bodies), {len(body) for body in bodies}) == (REFUSED_AT_MOST, {REFUSED_BODY_BYTES})


@pytest.mark.fault("W10")
async def test_refused_webhooks_beyond_the_limit_are_counted_in_one_line(fal: Fal) -> None:
    deliveries = DeliveryLog(fal.service.sessions, window=timedelta(seconds=0.5))
    job_id = uuid4()

    def refused() -> WebhookDelivery:
        return WebhookDelivery(provider=ProviderName.FAL, job_id=job_id, verdict="forged", status_code=401, body=b"")

    with capture_logs() as lines:

        async def counts() -> list[int]:
            return [line["count"] for line in lines if "count" in line]  # the service's own lines are beside it

        await asyncio.gather(*(deliveries.write(refused()) for _ in range(REFUSED_AT_MOST + 7)))
        assert await eventually(counts) == [7]
        await deliveries.write(refused())

    assert len(await logged(fal.service, job_id=str(job_id))) == REFUSED_AT_MOST + 1


@pytest.mark.fault("W15")
async def test_body_that_no_provider_sends_is_refused_unread(fal: Fal, waiting: Waiting) -> None:
    problem(await fal.post(waiting.url, b"x" * 2_000_000, {}), 413, "PAYLOAD_TOO_LARGE")
    assert await still_waits(fal, waiting)


@pytest.mark.fault("W6")
async def test_without_keys_the_provider_is_asked_to_come_again(servers: Servers) -> None:
    async with key_server() as keys:
        gone = keys.url
    async with running_service(servers, worker=False, fal_jwks_url=gone) as service:
        body, request_id = notice(request_id="r"), "r"
        headers = Fal(service=service, keys=keys).headers(body, request_id)
        answer = await service.client.post(FIRST_ROUTE, content=body, headers=headers)

        problem(answer, 503, "UNAVAILABLE")
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.fault("W14")
@pytest.mark.parametrize("fault", ["forged", "stale"])
async def test_providers_own_bad_webhooks_leave_the_job_waiting(patient_service: Service, fault: str) -> None:
    job_id = await patient_service.create(f"[sim: webhook={fault}]")
    await patient_service.until_accepted(job_id)
    (delivery,) = await patient_service.deliveries(job_id, count=1)

    assert delivery["status_code"] == 401
    assert [row.verdict for row in await logged(patient_service, job_id=job_id)] == [fault]
    assert (await patient_service.job(job_id))["stage"] == "generating"
    await patient_service.client.post(f"/api/jobs/{job_id}/poll")
    await patient_service.until(job_id, "completed")


async def test_every_webhook_leaves_one_line_without_a_secret(fal: Fal) -> None:
    job = await waiting_job(fal)
    with capture_logs() as lines:
        await fal.says_ok(job.url, job.request_id, key=Ed25519PrivateKey.generate())
        await fal.says_ok(job.url, job.request_id)
    received = [line for line in lines if line["event"] == "webhook_received" and line["provider"] == "fal"]
    assert [(line["verdict"], line["status"], line["job_id"]) for line in received] == [
        ("forged", 401, job.id),
        ("accepted", 200, job.id),
    ]
    told = {"event", "log_level", "provider", "verdict", "job_id", "status", "detail", "took_ms"}
    assert [line.keys() for line in received] == [told, told]
    assert job.query["token"] not in str(lines)

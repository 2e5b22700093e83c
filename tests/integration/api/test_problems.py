"""Every error leaves in one shape, whatever was sent; nothing a caller sends is a 500, and no answer tells a secret."""

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
import pytest
import structlog
import uvicorn
from fastapi import Request
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from structlog.testing import capture_logs

from api.app import Api
from api.doors.openai import errors as openai
from api.http.middleware import BodyLimit, BodyLimits
from api.http.problem_handlers import install_problem_handlers
from api.http.problems import ServiceUnavailable
from reelay.db.engine import PostgresUnavailable
from reelay.domain.language import Language
from reelay.settings import Settings
from reelay.timeouts import TIMEOUTS
from tests.eventually import PATIENCE, eventually
from tests.integration.api.shared import problem, wrong_fields
from tests.running import Service, running_service
from tests.servers import Servers, listening, loopback_socket
from workflows.runs import TemporalRefused, TemporalUnavailable

NOBODYS = "7d9f2a4e-6f0b-4c1e-9a58-2b1d1c0f7e31"
MEBIBYTE = 1024 * 1024
JSON = {"content-type": "application/json"}
CREATING = ["/api/generate/video", "/api/jobs", "/api/campaigns", "/api/estimate"]
TAKING_BODIES = [*CREATING, "/api/webhooks/fal"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/nothing", 404, "NOT_FOUND"),
        ("GET", "/api/jobs/x/y/z", 404, "NOT_FOUND"),
        ("GET", f"/api/jobs/{NOBODYS}", 404, "NOT_FOUND"),
        ("DELETE", "/api/jobs", 405, "METHOD_NOT_ALLOWED"),
        ("PUT", "/api/generate/video", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/api/jobs/7", 404, "NOT_FOUND"),
        ("POST", "/api/generate/video", 422, "INVALID_PARAMS"),
    ],
)
async def test_errors_have_one_shape(patient_service: Service, method: str, path: str, status: int, code: str) -> None:
    problem(await patient_service.client.request(method, path), status, code)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/generate/video", "POST"),
        ("/api/jobs", "GET, POST"),
        ("/api/webhooks/video-completion", "GET, POST"),
        (f"/api/campaigns/{NOBODYS}", "DELETE, GET"),
        (f"/api/media/{NOBODYS}/video.mp4", "GET, HEAD"),
    ],
)
async def test_405_names_every_allowed_method(patient_service: Service, path: str, allowed: str) -> None:
    refused = await patient_service.client.put(path)
    problem(refused, 405, "METHOD_NOT_ALLOWED")
    assert refused.headers["allow"] == allowed


async def test_retry_of_what_did_not_fail_is_a_conflict(patient_service: Service) -> None:
    job_id = await patient_service.create("[sim: latency=10m]")
    problem(await patient_service.client.post(f"/api/jobs/{job_id}/retry"), 409, "CONFLICT")
    await patient_service.client.post(f"/api/jobs/{job_id}/cancel")


async def pieces(size: int) -> AsyncIterator[bytes]:
    """A body whose length is not declared."""
    for _ in range(0, size, 64 * 1024):
        yield b" " * 64 * 1024


@pytest.mark.fault("W15")
@pytest.mark.parametrize("path", TAKING_BODIES)
async def test_body_over_one_mebibyte_is_refused_declared_or_not(patient_service: Service, path: str) -> None:
    for content in (b" " * (MEBIBYTE + 1), pieces(2 * MEBIBYTE)):
        refused = await patient_service.client.post(path, content=content, headers=JSON)
        problem(refused, 413, "PAYLOAD_TOO_LARGE")


async def test_body_of_one_mebibyte_is_read(patient_service: Service) -> None:
    text = json.dumps({"name": "x"}).ljust(MEBIBYTE)
    assert (await patient_service.client.post("/api/campaigns", content=text, headers=JSON)).status_code == 201


OUTAGES = {
    "confused": asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
    "database": PostgresUnavailable("ConnectionRefusedError: nobody there"),
    "pool": PoolTimeoutError("no connection became free"),
    "temporal": TemporalUnavailable("UNAVAILABLE: nobody there"),
    "reset": ConnectionResetError("the other side is gone"),
    "late": TimeoutError(),
    "said": ServiceUnavailable("Later."),
}
MISTAKES = {
    "file": FileNotFoundError(2, "no such file", "web/index.html"),
    "disk": OSError(28, "no space left on device"),
    "statement": ProgrammingError("select", {}, Exception("no such column")),
    "right": DBAPIError("select", {}, Exception("permission denied")),
    "refused": TemporalRefused("PERMISSION_DENIED: not yours"),
}


class Kept(logging.Handler):
    """What a logger says, with the fields that `reelay.logs` adds."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        vars(record).update(structlog.contextvars.get_contextvars())
        self.records.append(record)


@pytest.fixture
def server_log() -> Iterator[Kept]:
    """Of uvicorn."""
    logger, kept = logging.getLogger("uvicorn.error"), Kept()
    logger.addHandler(kept)
    yield kept
    logger.removeHandler(kept)


@pytest.fixture
async def small_app() -> AsyncIterator[str]:
    """Our middleware and problem handlers around routes of which most are broken. Bodies have 0.3 s."""
    app = Api(cors_origins=())
    app.state.language = Language.ENGLISH
    install_problem_handlers(app, doors={openai.PATHS: openai.answer_to})
    limit = BodyLimit(within=timedelta(seconds=0.3), at_most=MEBIBYTE)
    app.add_middleware(BodyLimits, usual=limit, uploads=limit)

    @app.post("/v1/read")
    @app.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    @app.get("/v1/broken")
    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("a secret detail")

    @app.get("/fails/{name}")
    async def fails(name: str) -> None:
        raise (OUTAGES | MISTAKES)[name] from ValueError("the cause")

    async with listening(uvicorn.Server(uvicorn.Config(app, log_level="error")), loopback_socket()) as origin:
        yield origin


@pytest.mark.fault("O4")
@pytest.mark.parametrize("name", OUTAGES)
async def test_an_outage_is_answered_503_and_logged_with_its_class_its_cause_and_the_request(
    small_app: str, name: str
) -> None:
    with capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        async with httpx.AsyncClient(base_url=small_app, timeout=PATIENCE) as client:
            answer = await client.get(f"/fails/{name}")

    problem(answer, 503, "UNAVAILABLE")
    assert int(answer.headers["retry-after"]) >= 1
    [line] = [each for each in lines if each.get("path") == f"/fails/{name}"]
    assert (line["event"], line["log_level"]) == ("service_unavailable", "warning")
    assert line["request_id"] == answer.headers["x-request-id"]
    assert "the cause" in (line["cause"] or line["error"])
    assert line["error_type"] == ("ValueError" if name == "said" else type(OUTAGES[name]).__name__)


@pytest.mark.fault("O14")
@pytest.mark.parametrize("name", MISTAKES)
async def test_what_no_other_try_mends_is_answered_500_and_logged_with_its_cause(
    small_app: str, name: str, server_log: Kept
) -> None:
    async with httpx.AsyncClient(base_url=small_app, timeout=PATIENCE) as client:
        answer = await client.get(f"/fails/{name}")

    problem(answer, 500, "INTERNAL")
    assert "retry-after" not in answer.headers
    [record] = server_log.records
    assert record.exc_info
    assert record.exc_info[1] is MISTAKES[name]
    assert vars(record)["request_id"] == answer.headers["x-request-id"]


@pytest.mark.fault("W15")
@pytest.mark.parametrize("path", ["/read", "/v1/read"])
async def test_body_that_does_not_arrive_in_time_is_given_up(small_app: str, path: str) -> None:
    url = httpx.URL(small_app)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nfirst words".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")  # to the end: the connection is closed, too
    writer.close()
    await writer.wait_closed()

    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"content-type: application/problem+json" in head.lower()
    assert json.loads(body)["code"] == "REQUEST_TIMEOUT"
    if path.startswith(openai.PATHS):
        error = json.loads(body)["error"]
        assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "request_timeout")
        assert b"x-should-retry: true" in head


async def test_bug_of_ours_has_the_shape_of_all_errors_and_tells_nothing(small_app: str) -> None:
    async with httpx.AsyncClient(base_url=small_app, timeout=PATIENCE) as client:
        broken = await client.get("/broken")

    assert problem(broken, 500, "INTERNAL")["error"] == "Internal server error"
    assert "secret" not in broken.text


async def test_bug_of_ours_has_the_shape_of_the_protocol_that_was_spoken(small_app: str) -> None:
    async with httpx.AsyncClient(base_url=small_app, timeout=PATIENCE) as client:
        broken = await client.get("/v1/broken")
        beside = await client.get("/v1x/broken")

    assert broken.status_code == broken.json()["status"] == 500
    error = broken.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("server_error", None, "internal")
    assert "secret" not in broken.text
    problem(beside, 404, "NOT_FOUND")


@pytest.mark.parametrize("path", CREATING)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"{'prompt': 1}",
        b'{"name": "\xff"}',
        b'{"a": 1' + b"0" * 5000 + b"}",
        b"\xfe\xff\x00{",
        b"[" * 500_000,
        b'{"metadata": ' * 400 + b"1" + b"}" * 400,
        b'{"prompt": ' + b"[" * 400 + b"]" * 400 + b"}",
        b'{"input": {"prompt": ' + b"[" * 400 + b"]" * 400 + b'}, "model": "veo3.1"}',
        b'{"name": "x", "metadata": {"a": ' + b"[" * 400 + b"]" * 400 + b"}}",
    ],
    ids=lambda content: content[:24].decode("latin-1") if isinstance(content, bytes) else None,
)
async def test_bodies_that_are_no_request_are_refused(patient_service: Service, path: str, content: bytes) -> None:
    refused = await patient_service.client.post(path, content=content, headers=JSON)

    problem(refused, refused.status_code, "INVALID_PARAMS")
    assert refused.status_code == 422
    assert len(refused.content) < 4000


async def test_other_content_types_are_refused(patient_service: Service) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        refused = await patient_service.client.post(
            "/api/campaigns", content=b'{"name": "x"}', headers={"content-type": content_type}
        )
        problem(refused, 422, "INVALID_PARAMS")


# What JSON can say and Postgres cannot keep, as it is written in a body.
UNSTORABLE = [
    r'"a\u0000"',
    r'"\ud800"',
    "NaN",
    "-Infinity",
    "1e999",
    r'{"\u0000": 1}',
    r'{"\udfff": 1}',
    r'[["\u0000"]]',
]


@pytest.mark.fault("T11")
@pytest.mark.parametrize("value", UNSTORABLE)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/generate/video", '{"prompt": "x", "metadata": {"a": VALUE}}'),
        ("/api/generate/video", '{"prompt": VALUE}'),
        ("/api/generate/video", '{"prompt": "x", "seed": VALUE}'),
        ("/api/generate/video", '{"prompt": "x", "unheard-of": VALUE}'),
        ("/api/generate/video", '{"prompt": "x", "quality": VALUE}'),
        ("/api/generate/video", '{"prompt": "x", "model": VALUE}'),
        ("/api/generate/video", '{"prompt": "x", "firstFrameUrl": VALUE}'),
        ("/api/generate/video", '{"prompt": "x", "clipId": VALUE}'),
        ("/api/generate/voice", '{"text": VALUE}'),
        ("/api/jobs", '{"model": VALUE, "input": {}}'),
        ("/api/jobs", '{"model": "veo3.1", "input": {"prompt": VALUE}}'),
        ("/api/jobs", '{"model": "veo3.1", "input": VALUE}'),
        ("/api/campaigns", '{"name": VALUE}'),
        ("/api/campaigns", '{"name": "x", "metadata": {"a": VALUE}}'),
        ("/api/campaigns", '{"name": "x", "metadata": VALUE}'),
        ("/api/estimate", '{"model": "veo3.1", "input": {"prompt": VALUE}}'),
    ],
)
async def test_what_cannot_be_stored_is_refused(patient_service: Service, path: str, body: str, value: str) -> None:
    content = body.replace("VALUE", value)
    assert wrong_fields(await patient_service.client.post(path, content=content, headers=JSON))


@pytest.mark.parametrize("name", [r"\u0000", r"\ud800"])
@pytest.mark.parametrize("path", ["/api/generate/video", "/api/jobs", "/api/campaigns"])
async def test_field_names_that_are_no_text_are_refused(patient_service: Service, path: str, name: str) -> None:
    content = f'{{"prompt": "x", "name": "x", "model": "veo3.1", "input": {{}}, "{name}": 1}}'
    assert wrong_fields(await patient_service.client.post(path, content=content, headers=JSON))


@pytest.mark.fault("T11")
async def test_odd_but_honest_text_is_kept_as_it_is(patient_service: Service) -> None:
    text = "Ünïcode 🎬 \u202e \\u0000 '; drop table users; -- {{x}} %s \x1b[31m"
    campaign = {"name": text, "metadata": {text: [text, 1.5, None, True, 2**80]}}
    created = (await patient_service.client.post("/api/campaigns", json=campaign)).json()
    job_id = await patient_service.create(text, metadata={text: text})

    assert {name: created[name] for name in campaign} == campaign
    assert (await patient_service.job(job_id))["metadata"] == {text: text}
    job = await patient_service.until(job_id, "completed")
    assert (await patient_service.servers.simulated_request(job["falRequestId"]))["input"]["prompt"] == text


@pytest.mark.parametrize(
    "path", ["/api/fal-jobs/%00", f"/api/media/{NOBODYS}/%00", "/api/jobs/%00", "/api/jobs?status=%00&type=%00"]
)
async def test_nul_in_an_address_is_refused(patient_service: Service, path: str) -> None:
    assert wrong_fields(await patient_service.client.get(path))


@pytest.mark.parametrize("host", ["[", "a b", "::::", "x:99999999", "é", "x/../..", "user@x"])
async def test_odd_host_header_is_no_accident(patient_service: Service, host: str) -> None:
    headers = {b"host": host.encode("latin-1")}
    created = await patient_service.client.post("/api/generate/voice", json={"text": "x"}, headers=headers)

    assert created.status_code in (202, 400)


@pytest.mark.fault("O4")
async def test_database_that_is_away_is_said_and_over_when_it_is_back(servers: Servers) -> None:
    async with running_service(servers, worker=False) as service:
        job_id = await service.create()
        async with database_away(service):
            for answer in (
                await service.client.get(f"/api/jobs/{job_id}"),
                await service.client.post("/api/generate/video", json={"prompt": "x"}),
            ):
                problem(answer, 503, "UNAVAILABLE")
                assert int(answer.headers["retry-after"]) >= 1
        assert (await service.job(job_id))["status"] == "pending"


@asynccontextmanager
async def database_away(service: Service) -> AsyncIterator[None]:
    """Postgres refuses new connections to the service's database, and ends those that there are."""
    name = service.settings.database_url.get_secret_value().rpartition("/")[2]
    connection = await asyncpg.connect(service.servers.postgres.server.superuser_url)
    try:
        await connection.execute(f"alter database {name} allow_connections false")
        await connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
        yield
        await connection.execute(f"alter database {name} allow_connections true")
    finally:
        await connection.close()


MORE_THAN_THE_POOL = 20


@pytest.mark.fault("O4")
async def test_database_that_is_stopped_takes_the_whole_pool_and_gives_it_back(servers: Servers) -> None:
    """SIGSTOP: sessions neither answer nor end, more requests come than there are sessions, and none waits for long."""
    async with running_service(servers, worker=False, timeouts=TIMEOUTS) as service:
        job_id = await service.create()

        async def all_are_answered() -> bool:
            return all(await asyncio.gather(*(service.job(job_id) for _ in range(MORE_THAN_THE_POOL))))

        await eventually(all_are_answered)
        async with sessions_stopped(service):
            answers = await asyncio.gather(
                *(service.client.get(f"/api/jobs/{job_id}") for _ in range(MORE_THAN_THE_POOL))
            )
        for answer in answers:
            problem(answer, 503, "UNAVAILABLE")
            assert int(answer.headers["retry-after"]) >= 1
        await eventually(all_are_answered)


@asynccontextmanager
async def sessions_stopped(service: Service) -> AsyncIterator[None]:
    """The processes that Postgres has for the service's database do nothing at all."""
    name = service.settings.database_url.get_secret_value().rpartition("/")[2]
    connection = await asyncpg.connect(service.servers.postgres.server.superuser_url)
    rows = await connection.fetch("select pid from pg_stat_activity where datname = $1", name)
    await connection.close()
    sessions = [row["pid"] for row in rows]
    # The postmaster first: a pool that is not full yet could open one session more.
    stopped = [psutil.Process(sessions[0]).ppid(), *sessions]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


async def test_no_answer_tells_a_secret(patient_service: Service) -> None:
    client, settings = patient_service.client, patient_service.settings
    job_id = await patient_service.create()
    await patient_service.until(job_id, "completed")
    failed = await patient_service.create("[sim: fail=500]")
    await patient_service.until(failed, "failed")
    gets = ["/api/jobs", f"/api/jobs/{job_id}", f"/api/jobs/{job_id}/history", f"/api/jobs/{failed}"]
    gets += [f"/api/jobs/{failed}/history", "/api/models", "/openapi.json", "/readyz", "/healthz", "/api/nothing"]
    answers = [await client.get(path) for path in gets]
    answers += [await client.post(path, json={"prompt": 1}) for path in TAKING_BODIES]
    told = "".join(answer.text + str(answer.headers) for answer in answers)

    for secret in secrets_of(settings):
        assert secret not in told
    assert client.headers["authorization"].removeprefix("Bearer ") not in told


def secrets_of(settings: Settings) -> list[str]:
    """The values of all secret fields; of database URLs the password too."""
    values = [value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)]
    passwords = [urlsplit(value).password for value in values]
    secrets = [secret for secret in (*values, *passwords) if secret]
    assert len(secrets) >= 6
    return secrets

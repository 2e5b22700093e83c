"""Secrets stay where they are: after traffic of every kind none is found in what the service writes down or says."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest
import uvicorn
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest

from lab.simulator.app import create_simulator
from lab.simulator.settings import SimulatorSettings
from reelay.domain.webhook_token import make_token
from tests.integration.api.issuer import by_secret, claims
from tests.integration.service.processes import as_processes
from tests.running import Service
from tests.servers import Servers, listening, loopback_socket
from workflows.ids import workflow_id

FAL_KEY = "canary-id:canary-of-the-key-at-fal"
SECRETS = {
    "fal_key": FAL_KEY,
    "fal_key_new": "canary-new-id:canary-of-the-next-key-at-fal",
    "webhook_token_secret": "canary-of-the-webhook-tokens",
    "api_key_pepper": "canary-of-the-pepper",
    "replicate_api_token": "r8_canary-of-replicate",
    "replicate_webhook_secret": "whsec_Y2FuYXJ5IG9mIHJlcGxpY2F0ZSdzIHdlYmhvb2tz",
    "jwt_secret": "a secret of forty characters for our tests",
}
FOREIGN_SECRETS = {"AWS_SECRET_ACCESS_KEY": "canary-of-the-bucket"}
WRONG_KEY = "rk_canary-of-a-key-that-nobody-was-given-here"


@dataclass(frozen=True)
class Told:
    """All that left the service, and what must not have."""

    service: Service
    canaries: dict[str, str]
    answers: list[httpx.Response]
    jobs: list[str]
    logs: dict[str, Path]
    archive: Path


@pytest.fixture(scope="module")
async def told(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    """An API and a worker as processes, at a provider that knows but the older of the two keys."""
    folder = tmp_path_factory.mktemp("canaries")
    async with AsyncExitStack() as stack:
        simulator = SimulatorSettings(
            media_dir=servers.folder / "media",
            accepted_keys=frozenset({FAL_KEY}),
            latency=timedelta(seconds=0.3),
            webhook_compression=120,
            verify_tls=False,
        )
        server = uvicorn.Server(uvicorn.Config(create_simulator(simulator), log_level="warning"))
        origin = await stack.enter_async_context(listening(server, loopback_socket()))
        service = await stack.enter_async_context(
            as_processes(
                replace(servers, simulator=origin),
                folder,
                SECRETS,
                FOREIGN_SECRETS | {name.upper(): secret for name, secret in SECRETS.items()},
            )
        )
        yield await busy(service, folder)


async def busy(service: Service, folder: Path) -> Told:
    """Successes, failures, forgeries, refusals and nonsense."""
    async with await service.user("ann") as ann:
        service.client.headers.update(ann.headers)
    key, token = service.client.headers["authorization"].removeprefix("Bearer "), by_secret(claims())
    words = ("a calm sea", "[sim: fail=422]", "[sim: submit=500]", "[sim: webhook=forged]", "[sim: media=404]")
    jobs = [await service.create(prompt) for prompt in words]
    answers = [
        await service.client.get("/api/jobs", headers={"authorization": f"Bearer {credential}"})
        for credential in (token, token[:-4], WRONG_KEY)
    ]
    answers += [
        await service.client.get("/api/jobs", params={"access_token": key}),
        await service.client.post("/api/jobs", json={"model": key, "input": {}}),
        await service.client.post("/api/webhooks/fal", params={"job": jobs[0], "token": "1.canary-forged"}, json={}),
        await service.client.get(f"/api/jobs/{jobs[0]}/events", headers={"last-event-id": "nonsense"}),
        await service.client.post("/api/webhooks/replicate", json={"id": "forged"}, headers={"webhook-id": "forged"}),
    ]
    await service.until(jobs[0], "completed")
    await service.until(jobs[3], "completed")
    await service.until(jobs[1], "failed")
    answers += [await service.client.get(f"/api/jobs/{job}{part}") for job in jobs for part in ("", "/history")]
    canaries = {
        **{name: secret for name, secret in SECRETS.items()},
        **FOREIGN_SECRETS,
        "api key": key,
        "token": token,
        "wrong key": WRONG_KEY,
        "webhook token": make_token(SECRETS["webhook_token_secret"].encode(), UUID(jobs[0]), 1),
        "app password": service.servers.postgres.server.secrets.app_password,
        "service password": service.servers.postgres.server.secrets.service_password,
        "owner password": service.servers.postgres.server.secrets.owner_password,
    }
    return Told(
        service=service,
        canaries=canaries,
        answers=answers,
        jobs=jobs,
        logs={name: folder / f"{name}.log" for name in ("api", "worker")},
        archive=folder / "archive",
    )


def found_in(text: bytes, told: Told) -> list[str]:
    return [name for name, canary in told.canaries.items() if canary.encode() in text]


async def test_the_traffic_was_of_every_kind(told: Told) -> None:
    """Without it the rest would prove nothing. A submission was refused for its key, and bought by the other."""
    logs = {name: log.read_text() for name, log in told.logs.items()}
    verdicts = await rows_of(told, "select verdict from webhook_deliveries")

    assert [answer.status_code for answer in told.answers[:7]] == [200, 401, 401, 422, 422, 401, 422]
    assert (await told.service.simulated(told.jobs[0]))["accepted"] == 1
    assert {b"accepted", b"forged", b"wrong_token"} <= {value for row in verdicts for value in row}
    assert all(logs.values())


@pytest.mark.fault("O12")
async def test_no_secret_is_logged(told: Told) -> None:
    for log in told.logs.values():
        assert found_in(log.read_bytes(), told) == []


async def test_no_secret_is_answered(told: Told) -> None:
    """Of what a caller sends, the words that were wrong are repeated to that caller, and to nobody else."""
    echoed = told.answers[4]
    for answer in told.answers:
        said = answer.content + str(answer.headers).encode()
        assert found_in(said, told) == (["api key"] if answer is echoed else [])


@pytest.mark.fault("O12")
async def test_no_secret_is_in_a_history(told: Told) -> None:
    temporal = told.service.temporal
    for job in told.jobs:
        request = GetWorkflowExecutionHistoryRequest(namespace=temporal.namespace)
        request.execution.workflow_id = workflow_id(UUID(job))
        history = await temporal.workflow_service.get_workflow_execution_history(request)
        assert len(history.history.events) > 5
        assert found_in(history.SerializeToString(), told) == []


@pytest.mark.fault("O12")
async def test_no_secret_is_in_the_database(told: Told) -> None:
    tables = await rows_of(told, "select tablename from pg_tables where schemaname = 'public'")
    dump = [
        value
        for (table,) in tables
        for row in await rows_of(told, f'select * from "{table.decode()}"')
        for value in row
    ]
    assert len(dump) > 100
    assert found_in(b"\n".join(dump), told) == []


async def rows_of(told: Told, query: str) -> list[list[bytes]]:
    connection = await asyncpg.connect(told.service.settings.database_admin_url.get_secret_value())
    try:
        return [
            [value if isinstance(value, bytes) else str(value).encode() for value in row]
            for row in await connection.fetch(query)
        ]
    finally:
        await connection.close()


async def test_no_secret_is_in_the_archive(told: Told) -> None:
    keys = [str(path.relative_to(told.archive)) for path in told.archive.rglob("*")]
    assert any(key.endswith(".mp4") for key in keys)
    assert found_in("\n".join(keys).encode(), told) == []

"""Each process runs on its own secrets alone."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from lab.devstack.ports import HOST, free_ports
from reelay.db.engine import make_engine, make_sessions
from reelay.process_secrets import SECRETS, Process
from reelay.settings import Environment, Settings
from tests.eventually import PATIENCE
from tests.integration.service.processes import answering, process
from tests.running import Service
from tests.servers import Servers
from tests.unit.production.variables import COMMANDS, settings_variables
from tests.webhook_receiver import webhook_receiver
from workflows.client import connect

PROVIDER_SECRETS = {
    "FAL_KEY": "key:secret",
    "FAL_WEBHOOK_SECRET": "the token's secret",
    "API_KEY_PEPPER": "the pepper",
    "OUTGOING_WEBHOOK_SECRET": "the endpoints' secret",
}


def own_environment(process: Process, secrets: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Nothing of ours but `others`, and of the secrets those that the process needs."""
    foreign = {*settings_variables().values(), *SECRETS}
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    mine = {name: value for name, value in secrets.items() if process in SECRETS[name]}
    return kept | dict(others) | mine


@pytest.fixture
async def service(servers: Servers, tmp_path: Path) -> AsyncIterator[Service]:
    """An API and a worker of each queue, each with its own environment."""
    database = await servers.postgres.copy()
    (port,) = free_ports(1)
    origin = f"http://{HOST}:{port}"
    secrets = PROVIDER_SECRETS | {"DATABASE_URL": database.app_url, "DATABASE_SERVICE_URL": database.service_url}
    others = {
        "ENVIRONMENT": "development",
        "APP_URL": origin,
        "PROVIDERS": "fal",
        "REELAY_DATA_DIR": str(tmp_path),
        "REELAY_TASK_QUEUE": f"secrets-{port}",
        "FAL_QUEUE_BASE": servers.simulator,
        "FAL_API_BASE": servers.simulator,
        "FAL_PLATFORM_BASE": f"{servers.simulator}/v1",
        "FAL_JWKS_URL": f"{servers.simulator}/.well-known/jwks.json",
    }
    settings = Settings.model_validate(
        {
            "environment": Environment.DEVELOPMENT,
            "database_url": database.app_url,
            "api_key_pepper": secrets["API_KEY_PEPPER"],
            "task_queue": others["REELAY_TASK_QUEUE"],
        }
    )
    async with AsyncExitStack() as stack:
        for one in (Process.API, Process.GENERATIONS, Process.TRANSFERS, Process.WEBHOOKS):
            words = COMMANDS[one].split() + (["--port", str(port)] if one is Process.API else [])
            environment = own_environment(one, secrets, others)
            await stack.enter_async_context(process(*words, environment=environment, log=tmp_path / f"{one.value}.log"))
        engine = make_engine(database.admin_url)
        stack.push_async_callback(engine.dispose)
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=origin, timeout=PATIENCE))
        await answering(client)
        yield Service(
            settings=settings,
            origin=origin,
            servers=servers,
            sessions=make_sessions(engine),
            temporal=await connect(),
            client=client,
        )


async def test_a_job_goes_through_processes_that_have_their_own_secrets_alone(service: Service) -> None:
    async with await service.user("ann") as ann:
        service.client.headers.update(ann.headers)
    async with webhook_receiver() as receiver:
        job_id = await service.create(webhookUrl=receiver.url())
        job = await service.until(job_id, "completed")
        (completed,) = await receiver.requests(1, type="job.completed")
    secret = (await service.client.get("/api/webhook-endpoints/signing-secret")).json()["secret"]
    (told,) = completed.verified(secret)["data"]["files"]
    assert (await service.client.get(told["fileUrl"], headers={"authorization": ""})).status_code == 200

    (delivery,) = await service.deliveries(job_id, count=1)
    assert delivery["status_code"] == 200
    assert (await service.client.get(job["files"][0]["fileUrl"])).status_code == 200

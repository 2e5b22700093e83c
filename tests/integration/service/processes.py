"""An API and a worker as processes of their own, with an environment that a test chooses."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx

from lab.devstack.ports import HOST, free_ports
from reelay.db.engine import make_engine, make_sessions
from reelay.settings import Environment, Settings
from tests.eventually import PATIENCE, eventually
from tests.integration.service.killed_worker import environment_of
from tests.reelay_process import ReelayProcess, start_reelay
from tests.running import Service
from tests.servers import Servers
from workflows.client import connect


@asynccontextmanager
async def as_processes(
    servers: Servers, folder: Path, secrets: Mapping[str, str], environment: Mapping[str, str]
) -> AsyncIterator[Service]:
    """Both, with their logs in the folder. `secrets` are fields of Settings."""
    database = await servers.postgres.copy()
    (port,) = free_ports(1)
    origin = f"http://{HOST}:{port}"
    settings = Settings.model_validate(
        {
            **secrets,
            "environment": Environment.DEVELOPMENT,
            "app_url": origin,
            "data_dir": folder,
            "task_queue": f"processes-{port}",
            "database_url": database.app_url,
            "database_service_url": database.service_url,
            "database_admin_url": database.admin_url,
            "fal_queue_base": servers.simulator,
            "fal_api_base": servers.simulator,
            "fal_platform_base": f"{servers.simulator}/v1",
            "fal_jwks_url": f"{servers.simulator}/.well-known/jwks.json",
        }
    )
    variables = {
        **os.environ,
        **environment_of(settings),
        "POLL_INTERVAL_SECONDS": "0.3",
        "WEBHOOK_PATIENCE_SECONDS": "1",
        "PYTHONUNBUFFERED": "1",
        **environment,
    }
    async with AsyncExitStack() as stack:
        for words in (("api", "--port", str(port)), ("worker",)):
            await stack.enter_async_context(process(*words, environment=variables, log=folder / f"{words[0]}.log"))
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


@asynccontextmanager
async def process(*words: str, environment: Mapping[str, str], log: Path) -> AsyncIterator[None]:
    running: ReelayProcess | asyncio.subprocess.Process
    with log.open("wb") as file:
        if "LD_PRELOAD" in environment:  # heard by a program that begins
            running = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "reelay.cli.main", *words), env=environment, stdout=file, stderr=file
            )
        else:
            running = await start_reelay(*words, environment=environment, stdout=file, stderr=file)
    try:
        yield
    finally:
        running.kill()
        await running.wait()


async def answering(client: httpx.AsyncClient) -> None:
    async def is_ready() -> bool:
        with suppress(httpx.TransportError):
            return (await client.get("/readyz")).status_code == 200
        return False

    await eventually(is_ready)

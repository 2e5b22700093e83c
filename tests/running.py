"""Reelay itself, running in the test's process against the shared servers."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import uvicorn
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from api.app import create_app
from api.server import ApiServer
from lab.simulator.settings import REPLICATE_WEBHOOK_SECRET
from reelay.db.credits import top_up
from reelay.db.engine import Sessions, make_engine, make_sessions
from reelay.db.keys import create_key
from reelay.db.tables import Scope
from reelay.db.users import find_or_create_user
from reelay.domain.generation import AT_THE_PROVIDER
from reelay.settings import Environment, Settings
from tests.lines import Lines
from tests.servers import Database, Servers, listening, loopback_socket
from worker import open_worker
from workflows.client import connect
from workflows.generation import GenerationWorkflow
from workflows.ids import workflow_id

Job = dict[str, Any]
PATIENCE_WITH_TESTS = 20.0
PLENTY = 100_000_000
"""Cents that no test can spend."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One API and (unless a test takes it away) one worker, on a database and a task queue of their own."""

    settings: Settings
    origin: str
    servers: Servers
    sessions: Sessions
    temporal: Client
    client: httpx.AsyncClient
    """As the user `ann`."""

    async def user(self, name: str, *, credits: int = PLENTY, scope: Scope = Scope.USER) -> httpx.AsyncClient:
        """A client with a new key of that user, who gets so many cents more. To be closed by the caller."""
        pepper = self.settings.api_key_pepper.get_secret_value().encode()
        async with self.sessions.begin() as session:
            if credits:
                await top_up(session, await find_or_create_user(session, name), credits)
            key = await create_key(session, user=name, scope=scope, pepper=pepper)
        return httpx.AsyncClient(
            base_url=self.origin, headers={"authorization": f"Bearer {key}"}, timeout=PATIENCE_WITH_TESTS
        )

    async def create(self, prompt: str = "a lighthouse in the rain", **words: Any) -> str:
        """A video job's id."""
        response = await self.client.post("/api/generate/video", json={"prompt": prompt, "quality": "fast", **words})
        assert response.status_code == 202, response.text
        return str(response.json()["jobId"])

    async def job(self, job_id: str) -> Job:
        response = await self.client.get(f"/api/jobs/{job_id}")
        assert response.status_code == 200, response.text
        job: Job = response.json()
        return job

    async def until(self, job_id: str, *wanted: str) -> Job:
        """The job once its status or stage is one of those. Fails, telling where it hangs, when that takes too long."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_WITH_TESTS
        while not {(job := await self.job(job_id))["status"], job["stage"]} & set(wanted):
            assert loop.time() < deadline, f"still {job['status']}/{job['stage']}: {job['progressMessage']}"
            assert job["status"] not in ("completed", "failed", "canceled"), f"{job['status']}: {job['errorMessage']}"
            await asyncio.sleep(0.05)
        return job

    async def until_accepted(self, job_id: str) -> Job:
        """The job once the provider has it."""
        return await self.until(job_id, *AT_THE_PROVIDER)

    async def trail(self, job_id: str) -> list[str]:
        """The timeline's lines."""
        response = await self.client.get(f"/api/jobs/{job_id}/history")
        return [event["detail"] for event in response.json()["data"]]

    async def simulated(self, job_id: str) -> dict[str, Any]:
        """What the simulator counted for the job; of one that it took no POST of, just that."""
        return (await self.servers.simulated_jobs()).get(job_id, {"accepted": 0})

    async def deliveries(self, job_id: str, *, count: int) -> list[dict[str, Any]]:
        """The simulator's webhooks of the job with our answers, once it has sent so many."""
        async with asyncio.timeout(PATIENCE_WITH_TESTS):
            while len(sent := (await self.simulated(job_id))["webhooks"]) < count:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        deliveries: list[dict[str, Any]] = sent
        return deliveries

    def run(self, job_id: str) -> WorkflowHandle[GenerationWorkflow, list[str]]:
        return self.temporal.get_workflow_handle_for(GenerationWorkflow.run, workflow_id(UUID(job_id)))

    async def closed_as(self, job_id: str) -> str:
        """How Temporal calls the end of the job's run, which comes a moment after the row's."""
        with suppress(WorkflowFailureError):
            await self.run(job_id).result(rpc_timeout=timedelta(seconds=PATIENCE_WITH_TESTS))
        status = (await self.run(job_id).describe()).status
        return status.name if status else "?"

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(await open_worker(self.settings, self.temporal, stack))
            yield


@asynccontextmanager
async def running_service(
    servers: Servers,
    *,
    worker: bool = True,
    lines: Lines | None = None,
    database: Database | None = None,
    port: int = 0,
    **overrides: Any,
) -> AsyncIterator[Service]:
    """A service with short times, on a fresh database unless one is given; its API alone by `lines` that can be cut.

    `overrides` are fields of Settings.
    """
    database = database or await servers.postgres.copy()
    bound = loopback_socket(port)
    origin = f"http://127.0.0.1:{bound.getsockname()[1]}"
    values: dict[str, Any] = {
        "environment": Environment.DEVELOPMENT,
        "app_url": origin,
        "data_dir": servers.folder / uuid4().hex,
        "task_queue": f"generations-{uuid4()}",
        "database_url": database.app_url,
        "database_service_url": database.service_url,
        "fal_key": "key:secret",
        "fal_queue_base": servers.simulator,
        "fal_api_base": servers.simulator,
        "fal_platform_base": f"{servers.simulator}/v1",
        "fal_jwks_url": f"{servers.simulator}/.well-known/jwks.json",
        "webhook_token_secret": "a secret for tests",
        "replicate_api_token": "r8_test",
        "replicate_api_base": servers.simulator,
        "replicate_webhook_secret": REPLICATE_WEBHOOK_SECRET,
        "studio_backend_url": f"{servers.simulator}/studio/jobs",
        "webhook_secret": "simulated-webhook-secret",
        "api_key_pepper": "pepper for tests",
        "poll_interval": 0.2,
        "adoption_window": 3,
        "account_pause": 1,
        "max_cached_workflows": os.environ.get("REELAY_MAX_CACHED_WORKFLOWS", "1000"),
        "reconcile_interval": 3600,  # tests start the passes themselves
    }
    settings = Settings.model_validate(values | overrides)
    app = create_app(lines.leading_to(settings) if lines else settings)
    server = ApiServer(app, uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    engine = make_engine(database.admin_url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        with pytest.MonkeyPatch.context() as environment:
            if lines:
                environment.setenv("TEMPORAL_ADDRESS", lines.temporal.address)
            await stack.enter_async_context(listening(server, bound))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=origin, timeout=PATIENCE_WITH_TESTS))
        service = Service(
            settings=settings,
            origin=origin,
            servers=servers,
            sessions=make_sessions(engine),
            temporal=await connect(),
            client=client,
        )
        ann = await service.user("ann")
        client.headers.update(ann.headers)
        await ann.aclose()
        if worker:
            await stack.enter_async_context(service.worker())
        yield service

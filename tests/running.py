"""Reelay itself, running in the test's process against the shared servers."""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, Self
from uuid import UUID, uuid4

import httpx
import pytest
from sqlmodel import col, select
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from activities.slots import Slots
from api.app import create_app
from api.connections import ConnectionLimits
from api.server import ApiServer, server_config
from lab.simulator.settings import REPLICATE_WEBHOOK_SECRET
from reelay.db.credits import top_up
from reelay.db.engine import Sessions, make_engine, make_sessions, one_statement
from reelay.db.keys import create_key
from reelay.db.tables import GenerationJob, JobEvent, Scope
from reelay.db.users import find_or_create_user
from reelay.domain.generation import AT_THE_PROVIDER, FINAL
from reelay.domain.identifiers import parse_uuid
from reelay.settings import Environment, Settings
from reelay.timeouts import TIMEOUTS, Timeouts
from reelay.tls import tls_context
from reelay.worker_health import WorkerHealth
from tests.eventually import PATIENCE, eventually
from tests.servers import Database, Servers, listening, loopback_socket
from tests.tcp_lines import Lines
from worker import working
from workflows.client import connect
from workflows.generation import GenerationWorkflow
from workflows.ids import workflow_id
from workflows.runs import GenerationRuns
from workflows.task_queues import TaskQueue

Job = dict[str, Any]
PLENTY = 100_000_000
"""Cents that no test can spend."""
PATIENT = Timeouts(
    connection=60,
    statement=60,
    quota=30,
    query=10,
    command=30,
    endpoint=60,
    bill=60,
    readiness=30,
    signal=15,
    webhook_statement=15,
)
"""For servers that are slow because the machine is busy. A test that takes one away says how soon that is noticed."""


async def until(client: httpx.AsyncClient, address: str, *wanted: str) -> Job:
    """The job at the address once its status or stage is one of those. Fails at once when it ends otherwise."""
    return await _until(partial(_job_at, client, address), wanted)


async def _until(look: Callable[[], Awaitable[Job]], wanted: Collection[str]) -> Job:
    async def seen() -> Job:
        job = await look()
        assert {job["status"], job["stage"]} & {*wanted, *FINAL}, f"{job['stage']}: {job['progressMessage']}"
        return job

    job = await eventually(seen)
    assert {job["status"], job["stage"]} & set(wanted), f"{job['status']}: {job['errorMessage']}"
    return job


async def _job_at(client: httpx.AsyncClient, address: str) -> Job:
    response = await client.get(address)
    assert response.status_code == 200, response.text
    job: Job = response.json()
    return job


@dataclass(frozen=True, kw_only=True)
class Service:
    """One API and (unless a test takes it away) one worker, on a database and a task queue of their own."""

    settings: Settings
    origin: str
    servers: Servers
    sessions: Sessions
    temporal: Client
    client: httpx.AsyncClient
    """As the user whose name is next."""
    user_name: str = "ann"

    async def user(
        self, name: str, *, credits: int = PLENTY, scope: Scope = Scope.USER, key_budget_cents: int | None = None
    ) -> httpx.AsyncClient:
        """A client with a new key of that user, who gets so many cents more. To be closed by the caller."""
        pepper = self.settings.api_key_pepper.get_secret_value().encode()
        async with self.sessions.begin() as session:
            if credits:
                await top_up(session, await find_or_create_user(session, name), credits)
            key = await create_key(session, user=name, scope=scope, pepper=pepper, budget_cents=key_budget_cents)
        return httpx.AsyncClient(
            base_url=self.origin, headers={"authorization": f"Bearer {key}"}, timeout=PATIENCE, verify=tls_context()
        )

    @asynccontextmanager
    async def for_user(self, purpose: str) -> AsyncIterator[Self]:
        """The same service, whose client is a user who has done nothing yet."""
        name = f"{purpose} {uuid4()}"
        async with await self.user(name) as client:
            yield replace(self, client=client, user_name=name)

    async def create(self, prompt: str = "a lighthouse in the rain", **words: Any) -> str:
        """A video job's id."""
        response = await self.client.post("/api/generate/video", json={"prompt": prompt, "quality": "fast", **words})
        assert response.status_code == 202, response.text
        return str(response.json()["jobId"])

    async def job(self, job_id: str) -> Job:
        return await _job_at(self.client, f"/api/jobs/{job_id}")

    async def until(self, job_id: str, *wanted: str) -> Job:
        """The job, by our id or the user's, once its status or stage is one of those. Fails at once when it ends
        otherwise.

        The API is asked once the row is there, for its answer about a living job, which asks the workflow, costs ten
        times the CPU. What the workflow alone knows is seen within half a second.
        """
        own = parse_uuid(job_id)
        is_named = col(GenerationJob.id) == own if own else col(GenerationJob.external_id) == job_id
        row = select(GenerationJob.status, GenerationJob.stage).where(is_named)
        asked_at = time.monotonic()

        async def look() -> Job:
            nonlocal asked_at
            async with one_statement(self.sessions) as session:
                at = (await session.execute(row)).first()
            is_there = at is not None and not {*at}.isdisjoint({*wanted, *FINAL})
            assert is_there or time.monotonic() - asked_at > 0.5, f"its row is at {at}"
            asked_at = time.monotonic()
            return await self.job(job_id)

        return await _until(look, wanted)

    async def until_accepted(self, job_id: str) -> Job:
        """The job once the provider has it."""
        return await self.until(job_id, *AT_THE_PROVIDER)

    async def end_newest_at_provider(self) -> None:
        """The job that was made last, by a page for example, ends once the provider has it."""
        newest = select(GenerationJob).order_by(col(GenerationJob.created_at).desc()).limit(1)

        async def accepted() -> UUID | None:
            async with self.sessions() as session:
                job = (await session.scalars(newest)).one()
            return job.id if job.provider_request_id else None

        await self.servers.end_at_provider(str(await eventually(accepted)))

    async def webhook_is_awaited(self, job_id: str) -> None:
        """Returns once the job's run has begun to wait: a webhook that comes earlier costs fewer events."""

        async def is_awaited() -> bool:
            return any(
                event.HasField("timer_started_event_attributes")
                for event in (await self.run(job_id).fetch_history()).events
            )

        await eventually(is_awaited)

    async def trail(self, job_id: str) -> list[str]:
        """The timeline's lines, as operators read them."""
        job = await self.job(job_id)
        of_job = select(JobEvent.detail).where(col(JobEvent.job_id) == UUID(job["id"])).order_by(col(JobEvent.id))
        async with self.sessions() as session:
            return list(await session.scalars(of_job))

    async def simulated(self, job_id: str) -> dict[str, Any]:
        """What the simulator counted for the job; of one that it took no POST of, just that."""
        return (await self.servers.simulated_jobs()).get(job_id, {"accepted": 0})

    async def deliveries(self, job_id: str, *, count: int) -> list[dict[str, Any]]:
        """The simulator's webhooks of the job with our answers, once it has sent so many."""

        async def sent() -> list[dict[str, Any]]:
            deliveries: list[dict[str, Any]] = (await self.simulated(job_id))["webhooks"]
            assert len(deliveries) >= count
            return deliveries

        return await eventually(sent)

    def run(self, job_id: str) -> WorkflowHandle[GenerationWorkflow, list[str]]:
        return self.temporal.get_workflow_handle_for(GenerationWorkflow.run, workflow_id(UUID(job_id)))

    async def history_length(self, job_id: str) -> int:
        """The events of the job's run, without those of workflow tasks that a busy worker took or did too late."""
        events = (await self.run(job_id).fetch_history()).events
        late = set[int]()
        for event in events:
            if event.HasField("workflow_task_timed_out_event_attributes"):
                task = event.workflow_task_timed_out_event_attributes
                late |= {event.event_id, task.scheduled_event_id, task.started_event_id}
        return sum(event.event_id not in late for event in events)

    async def closed_as(self, job_id: str) -> str:
        """How Temporal calls the end of the job's run, which comes a moment after the row's."""
        with suppress(WorkflowFailureError):
            await self.run(job_id).result(rpc_timeout=timedelta(seconds=PATIENCE))
        status = (await self.run(job_id).describe()).status
        return status.name if status else "?"

    @property
    def slots(self) -> Slots:
        """As a worker of the service's keeps them."""
        settings = self.settings
        runs = GenerationRuns(self.temporal, settings.task_queue, settings.app_url)
        return Slots(self.sessions, runs, settings.slots)

    def worker(
        self, queues: Collection[TaskQueue] = tuple(TaskQueue), **limits: int
    ) -> AbstractAsyncContextManager[WorkerHealth]:
        return working(self.settings, self.temporal, queues, **limits)


@asynccontextmanager
async def running_service(
    servers: Servers,
    *,
    worker: bool = True,
    lines: Lines | None = None,
    database: Database | None = None,
    port: int = 0,
    timeouts: Timeouts = PATIENT,
    **overrides: Any,
) -> AsyncIterator[Service]:
    """A service with short times, on a fresh database unless one is given; its API alone by `lines` that can be cut.

    `overrides` are fields of Settings.
    """
    if not worker:  # nobody answers a query
        timeouts = replace(timeouts, query=TIMEOUTS.query)
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
        "outgoing_webhook_secret": "another secret for tests",
        "replicate_api_token": "r8_test",
        "replicate_api_base": servers.simulator,
        "replicate_webhook_secret": REPLICATE_WEBHOOK_SECRET,
        "studio_backend_url": f"{servers.simulator}/studio/jobs",
        "webhook_secret": "simulated-webhook-secret",
        "api_key_pepper": "pepper for tests",
        "poll_interval": 0.2,
        "adoption_window": 60,
        "account_pause": 1,
        "max_cached_workflows": os.environ.get("REELAY_MAX_CACHED_WORKFLOWS", "1000"),
        "reconcile_interval": 3600,  # tests start the passes themselves
    }
    settings = Settings.model_validate(values | overrides)
    app = create_app(lines.leading_to(settings) if lines else settings, timeouts)
    limits = ConnectionLimits(head_seconds=PATIENCE, idle_seconds=300)  # the client may be slow
    config = server_config(
        app,
        trusted_proxies=settings.trusted_proxies,
        limits=limits,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    server = ApiServer(app, config)
    engine = make_engine(database.admin_url, connection_seconds=PATIENT.connection)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        with pytest.MonkeyPatch.context() as environment:
            if lines:
                environment.setenv("TEMPORAL_ADDRESS", lines.temporal.address)
            await stack.enter_async_context(listening(server, bound))
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=origin, timeout=PATIENCE, verify=tls_context())
        )
        service = Service(
            settings=settings,
            origin=origin,
            servers=servers,
            sessions=make_sessions(engine),
            temporal=await connect(settings.encryption_keys),
            client=client,
        )
        ann = await service.user("ann")
        client.headers.update(ann.headers)
        await ann.aclose()
        if worker:
            await stack.enter_async_context(service.worker())
        yield service

"""Each background task is made to raise, and meets a row that it cannot read: the others notice nothing of it."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from api.events.changes import CHANGED, open_changes
from api.webhooks.redelivery import BATCH
from reelay.background import TaskSupervisor
from reelay.db.deliveries import put_into_inbox
from reelay.db.generations import PROGRESS_CHANNEL, UNSTARTED_PAGE
from reelay.db.tables import WebhookDelivery
from reelay.domain.generation import ProviderName
from reelay.domain.reconciliation import Reconciled
from tests.eventually import PATIENCE, eventually
from tests.integration.api.streams import opened
from tests.integration.service.reconciling import reconciliation_of
from tests.running import Service, running_service
from tests.servers import Servers
from tests.tcp_lines import open_line
from workflows.client import connect
from workflows.schedule import keeping_schedule

HOUR = timedelta(hours=1)
OF_A_NEWER_VERSION = "provider-of-a-newer-version"

READS = {
    "change_listener": "job_events",
    "stream_revalidation": "api_keys",
    "inbox": "webhook_deliveries",
    "unstarted_generations": "generation_jobs",
    "gauges": "provider_accounts",
}
"""A table that each of the API's tasks reads."""


@asynccontextmanager
async def without_table(service: Service, table: str) -> AsyncIterator[None]:
    """As after a migration that went wrong."""
    async with service.sessions.begin() as session:
        await session.execute(text(f"alter table {table} rename to {table}_of_before"))
    yield
    async with service.sessions.begin() as session:
        await session.execute(text(f"alter table {table}_of_before rename to {table}"))


async def failures_of(service: Service, task: str) -> float:
    scraped = (await service.client.get("/metrics")).text
    found = re.search(rf'^reelay_background_task_failures_total{{task="{task}"}} (\S+)$', scraped, re.MULTILINE)
    assert found, scraped
    return float(found[1])


@pytest.mark.fault("O17")
@pytest.mark.parametrize("task", READS)
async def test_a_task_that_raises_is_not_ready_until_it_has_recovered(servers: Servers, task: str) -> None:
    async with running_service(servers, worker=False) as service, AsyncExitStack() as stack:
        await service.client.get("/readyz")
        assert await failures_of(service, task) == 0
        if task == "stream_revalidation":  # of no stream there is nothing to ask
            await stack.enter_async_context(opened(service.client, "/api/events"))

        async def is_named() -> bool:
            answer = await service.client.get("/readyz")
            return answer.status_code == 503 and answer.json()["parts"][task].startswith("failed: ")

        async def is_ready() -> bool:
            return (await service.client.get("/readyz")).status_code == 200

        with capture_logs() as lines:
            async with without_table(service, READS[task]):
                await eventually(is_named)
            await eventually(is_ready)
        assert await failures_of(service, task) >= 1
        logged = [line for line in lines if line["event"] == "background_task_failed" and line["task"] == task]
        assert logged[0]["exc_info"]


@pytest.mark.fault("O17")
async def test_the_schedules_keeper_recovers_when_temporal_does(servers: Servers) -> None:
    counted: Counter[str] = Counter()
    name = "reconciliation_schedule"

    def count(task: str, failures: int) -> None:
        counted[task] += failures

    tasks = TaskSupervisor(count)
    async with open_line(servers.temporal.port) as line:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("TEMPORAL_ADDRESS", line.address)
            client = await connect()

        async def failing() -> bool:
            return counted[name] > 0

        async def well() -> bool:
            return tasks.states[name] == "ok"

        queue = f"schedule-{uuid4()}"
        with line.cut():
            keeping = keeping_schedule(tasks, client, queue, HOUR)
            await keeping.__aenter__()
            await eventually(failing)
        await eventually(well)
        await keeping.__aexit__(None, None, None)
    await (await connect()).get_schedule_handle(f"reconciliation-{queue}").delete()


@pytest.fixture(scope="module")
async def waiting_service(servers: Servers) -> AsyncIterator[Service]:
    """It waits for webhooks as long as a test lasts."""
    async with running_service(servers, webhook_patience=60) as running:
        yield running


async def copies(service: Service, job_id: str, *, count: int = 1, **columns: Any) -> list[str]:
    """Rows like the job's as they were when it was committed, an hour ago unless `columns` say otherwise."""
    names = ("user_id", "job_type", "provider", "model", "endpoint", "input_params", "arguments", "timing", "tariff")
    ago = datetime.now(UTC) - HOUR
    values = {"origin": "reelay", "created_at": ago, "stage_at": ago} | columns
    copied = [name for name in names if name not in values]
    statement = (
        f"insert into generation_jobs (id, {', '.join((*copied, *values))})"
        f" select gen_random_uuid(), {', '.join((*copied, *(f':{name}' for name in values)))}"
        " from generation_jobs, generate_series(1, :count) where id = :like returning id"
    )
    async with service.sessions.begin() as session:
        rows = await session.scalars(text(statement), values | {"count": count, "like": UUID(job_id)})
        return [str(row) for row in rows]


async def forget_poison(service: Service) -> None:
    async with service.sessions.begin() as session:
        await session.execute(text("delete from generation_jobs where provider = :name"), {"name": OF_A_NEWER_VERSION})


async def completed(service: Service) -> str:
    job_id = await service.create()
    await service.until(job_id, "completed")
    return job_id


@pytest.mark.fault("O18")
async def test_rows_of_a_newer_version_keep_no_other_from_being_started(waiting_service: Service) -> None:
    """Not even as many of them, all older, as are read at once."""
    service = waiting_service
    control = await completed(service)
    with capture_logs() as lines:
        poison = await copies(
            service, control, count=UNSTARTED_PAGE, provider=OF_A_NEWER_VERSION, created_at=datetime.now(UTC) - 2 * HOUR
        )
        (neighbour,) = await copies(service, control)
        await service.until(neighbour, "completed")
    failed = [line["job_id"] for line in lines if line["event"] == "unstarted_generation_failed"]
    assert sorted(failed) == sorted(poison)
    assert (await service.client.get("/readyz")).json()["parts"]["unstarted_generations"] == "ok"
    await forget_poison(service)


@pytest.mark.fault("O18")
async def test_deliveries_that_cannot_be_read_keep_no_other_from_its_workflow(waiting_service: Service) -> None:
    """Not even as many of them, all older, as are read at once."""
    service = waiting_service
    job_id = await service.create("told by the inbox [sim: webhook=lost]")
    job = await service.until_accepted(job_id)
    arrived = datetime.now(UTC) - HOUR

    def delivery(received_at: datetime, **values: Any) -> WebhookDelivery:
        return WebhookDelivery(
            provider=ProviderName.FAL,
            job_id=UUID(job_id),
            verdict="deferred",
            status_code=200,
            verified=True,
            body=b"",
            received_at=received_at,
            **values,
        )

    poison = [delivery(arrived) for _ in range(BATCH + 1)]
    whole = delivery(arrived + HOUR, attempt=1, request_id=job["falRequestId"])
    with capture_logs() as lines:
        async with service.sessions.begin() as session:
            for each in (*poison, whole):
                await put_into_inbox(session, each)
        await service.until(job_id, "completed")
    failed = {line["delivery_id"] for line in lines if line["event"] == "delivery_not_redelivered"}
    assert failed == {str(each.id) for each in poison}
    async with service.sessions.begin() as session:
        await session.execute(text("delete from webhook_deliveries where attempt is null"))


@pytest.mark.fault("O18")
async def test_rows_of_a_newer_version_keep_no_other_from_being_reconciled(waiting_service: Service) -> None:
    service = waiting_service
    control = await completed(service)
    lost = await service.create("stopped [sim: latency=10m]")
    await service.until_accepted(lost)
    await service.run(lost).terminate()
    young = datetime.now(UTC) + HOUR  # too young for the API, which starts such rows after a while
    (unstarted,) = await copies(service, control, provider=OF_A_NEWER_VERSION, created_at=young)
    (external,) = await copies(
        service,
        control,
        provider=OF_A_NEWER_VERSION,
        origin="external",
        fal_request_id=str(uuid4()),
        created_at=young,
    )

    with capture_logs() as lines, pytest.raises(ApplicationError, match=r"^2 rows could not be handled") as raised:
        await ActivityEnvironment().run(reconciliation_of(service).reconcile, timedelta(0))
    assert raised.value.non_retryable
    failed = [line["job_id"] for line in lines if line["event"] == "row_not_reconciled"]
    assert sorted(failed) == sorted([unstarted, external])
    await service.until(lost, "canceled")
    await forget_poison(service)


async def test_a_reconciliation_whose_worker_died_goes_on_after_its_last_page(servers: Servers) -> None:
    async with running_service(servers, webhook_patience=60) as service:
        jobs = sorted([await service.create("a while [sim: latency=10m]") for _ in range(3)])
        for job_id in jobs:
            await service.until_accepted(job_id)
        heard: list[tuple[object, ...]] = []
        environment = ActivityEnvironment()
        environment.on_heartbeat = lambda *details: heard.append(details)
        environment.info = replace(environment.info, heartbeat_details=[jobs[0], {"checked": 40, "left": 40}])

        found = await environment.run(reconciliation_of(service).reconcile, timedelta(0))

        assert found == Reconciled(checked=42, left=42)
        assert heard[-1] == (jobs[2], {"checked": 42, "left": 42})


@pytest.mark.fault("O18")
async def test_stages_of_a_newer_version_keep_no_gauge_from_its_figure(servers: Servers) -> None:
    database = await servers.postgres.copy()
    async with running_service(servers, worker=False, database=database) as service:
        control = await service.create()
        await copies(service, control, stage="stage-of-a-newer-version")
    async with running_service(servers, worker=False, database=database) as service:

        async def is_refreshed() -> bool:
            return 'reelay_generations_active{stage="reserving"} 1.0' in (await service.client.get("/metrics")).text

        await eventually(is_refreshed)


@pytest.mark.fault("O18")
async def test_a_notification_that_cannot_be_read_keeps_no_other_from_its_reader(waiting_service: Service) -> None:
    service, job_id = waiting_service, uuid4()

    async def notify(channel: str, payload: str) -> None:
        async with service.sessions.begin() as session:
            await session.execute(
                text("select pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload}
            )

    tasks = TaskSupervisor(lambda *_: None)
    async with open_changes(tasks, service.settings.service_url) as changes:
        await changes.settled_event()
        with capture_logs() as lines, changes.subscribe(job_id) as changed:
            await notify(CHANGED, "of a newer version")
            await notify(PROGRESS_CHANNEL, "of a newer version")
            await notify(CHANGED, str(job_id))
            await asyncio.wait_for(changed.wait(), PATIENCE)
    ignored = {line["channel"] for line in lines if line["event"] == "notification_ignored"}
    assert ignored == {CHANGED, PROGRESS_CHANNEL}

"""Deletion of jobs and users: nothing of them is left anywhere but in the books, whatever dies meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from reelay import operators
from reelay.db.audit_log import Actor
from reelay.db.ledger_audit import audit_ledger
from reelay.domain.housekeeping import Pruned
from tests.eventually import eventually
from tests.integration.service.holding import HoldingServer, holding_server
from tests.integration.service.killed_worker import kill, worker_process
from tests.lock_waits import LOCK_WAIT
from tests.running import Service, running_service
from tests.servers import Servers
from workflows.housekeeping import HousekeepingWorkflow
from workflows.runs import prune_now

OPERATOR = Actor(None, "test")
DAYS = 10
LONG_AGO = "update generation_jobs set completed_at = completed_at - interval '11 days' where id = :id"


async def prune(service: Service) -> Pruned:
    return await prune_now(service.temporal, service.settings.task_queue)


async def completed(service: Service, **words: Any) -> str:
    job_id = await service.create(**words)
    await service.until(job_id, "completed")
    return job_id


def files_of(service: Service, job_id: str) -> list[str]:
    return sorted(path.name for path in archive(service).glob(f"*/{job_id}/*"))


def archive(service: Service) -> Path:
    return service.settings.data_dir / "archive"


async def value(service: Service, statement: str, **parameters: Any) -> Any:
    async with service.sessions() as session:
        return await session.scalar(text(statement), parameters)


async def change(service: Service, statement: str, **parameters: Any) -> None:
    async with service.sessions.begin() as session:
        await session.execute(text(statement), parameters)


async def delete(service: Service, job_id: str) -> int:
    return (await service.client.delete(f"/api/jobs/{job_id}")).status_code


async def test_a_deleted_job_is_gone_with_its_files_and_stays_in_the_books(service: Service) -> None:
    key = {"idempotency-key": str(uuid4())}
    body = {"prompt": "a secret", "quality": "fast"}
    job_id = (await service.client.post("/api/generate/video", json=body, headers=key)).json()["jobId"]
    await service.until(job_id, "completed")
    balance = (await service.client.get("/api/credits")).json()
    assert files_of(service, job_id)

    assert await delete(service, job_id) == 204
    assert files_of(service, job_id) == []
    for path in ("", "/history", "/events"):
        assert (await service.client.get(f"/api/jobs/{job_id}{path}")).status_code == 404
    assert (await service.client.get("/api/jobs")).json()["data"] == []
    assert await value(service, "select count(*) from webhook_deliveries where job_id = :id", id=job_id) == 0
    assert await value(service, "select count(*) from erasures where prefix like '%' || :id", id=job_id) == 0

    assert (await service.client.get("/api/credits")).json() == balance
    assert await value(service, "select count(*) from credit_entries where job_id = :id", id=job_id) == 2
    assert await value(service, "select charged_cents > 0 from deleted_jobs where id = :id", id=job_id)

    assert await delete(service, job_id) == 204
    again = await service.client.post("/api/generate/video", json=body, headers=key)
    assert (again.status_code, again.json()["code"]) == (409, "CONFLICT")
    assert (await service.simulated(job_id))["accepted"] == 1


async def test_a_job_is_its_owners_to_delete_and_only_when_it_has_ended(service: Service) -> None:
    job_id = await service.create("a while [sim: latency=10m]")
    await service.until_accepted(job_id)
    assert await delete(service, job_id) == 409
    await service.servers.end_at_provider(job_id)
    await service.until(job_id, "completed")
    async with await service.user("somebody else") as other:
        assert (await other.delete(f"/api/jobs/{job_id}")).status_code == 404
    assert await delete(service, str(uuid4())) == 404
    assert await delete(service, job_id) == 204


async def test_many_deletions_of_one_job_at_once_are_one(service: Service) -> None:
    job_id = await completed(service)
    assert set(await asyncio.gather(*(delete(service, job_id) for _ in range(8)))) == {204}
    assert await value(service, "select count(*) from deleted_jobs where id = :id", id=job_id) == 1


async def test_a_clip_forgets_the_file_of_a_deleted_job_and_keeps_the_others(service: Service) -> None:
    campaign = (await service.client.post("/api/campaigns", json={"name": "spring"})).json()
    path = f"/api/campaigns/{campaign['id']}/clips"
    clip = (await service.client.post(path, json={"title": "one"})).json()
    video = await completed(service, clipId=clip["id"])
    frame = await service.client.post("/api/generate/first-frame", json={"prompt": "a boat", "clipId": clip["id"]})
    await service.until(frame.json()["jobId"], "completed")

    assert await delete(service, video) == 204
    left = (await service.client.get(f"/api/clips/{clip['id']}")).json()
    assert left["video"] == {}
    assert left["firstFrame"]["image_url"]


async def test_a_deletion_makes_no_room_in_the_months_budget(service: Service) -> None:
    job_id = await completed(service)
    cost = (await service.job(job_id))["actualCostCents"]
    async with service.sessions.begin() as session:
        await operators.set_budget(session, OPERATOR, service.user_name, cost)
    assert await delete(service, job_id) == 204
    refused = await service.client.post("/api/generate/video", json={"prompt": "a boat", "quality": "fast"})
    assert refused.status_code == 402
    assert refused.json()["spentThisMonthCents"] == cost


@pytest.fixture(scope="module")
async def provider(servers: Servers) -> AsyncIterator[HoldingServer]:
    """fal's platform API, by a server that keeps a call as long as the test wants."""
    async with holding_server(f"{servers.simulator}/v1") as server:
        yield server


@asynccontextmanager
async def keeping(servers: Servers, provider: HoldingServer, **overrides: Any) -> AsyncIterator[Service]:
    async with running_service(
        servers,
        worker=False,
        webhook_patience=0.5,
        fal_admin_key="admin:secret",
        fal_platform_base=provider.url,
        **overrides,
    ) as service:
        yield service


async def test_what_is_too_old_is_deleted_and_no_more(servers: Servers, provider: HoldingServer) -> None:
    async with keeping(servers, provider, retention_days_jobs=DAYS) as service, service.worker():
        old, young = await completed(service), await completed(service)
        running = await service.create("a while [sim: latency=10m]")
        await service.until_accepted(running)
        await change(service, LONG_AGO, id=old)

        assert await prune(service) == Pruned(jobs=1, erased=1)
        assert await prune(service) == Pruned()
        assert (files_of(service, old), bool(files_of(service, young))) == ([], True)
        (request,) = (await service.simulated(old))["requests"]
        assert (await servers.simulated_request(request))["payloads_deleted"]
        (kept,) = (await service.simulated(young))["requests"]
        assert not (await servers.simulated_request(kept))["payloads_deleted"]
        jobs = (await service.client.get("/api/jobs")).json()["data"]
        assert {job["id"] for job in jobs} == {young, running}
        await servers.end_at_provider(running)
        await service.until(running, "completed")


@pytest.mark.fault("O35")
async def test_a_provider_that_does_not_delete_keeps_nothing_else_from_being_deleted(
    servers: Servers, provider: HoldingServer
) -> None:
    async with keeping(servers, provider, retention_days_jobs=DAYS) as service, service.worker():
        old, deleted = await completed(service), await completed(service)
        requests = [(await service.simulated(job_id))["requests"][0] for job_id in (old, deleted)]
        await change(service, LONG_AGO, id=old)

        with provider.failing():
            assert await delete(service, deleted) == 204
            assert await prune(service) == Pruned(jobs=1, not_erased=2)
            assert await prune(service) == Pruned()  # not before the pause is over
        assert [files_of(service, job_id) for job_id in (old, deleted)] == [[], []]
        assert (await service.client.get("/api/jobs")).json()["data"] == []
        assert await value(service, "select bool_and(prefix is null and trouble like '%503%') from erasures")

        await make_due(service)
        assert await prune(service) == Pruned(erased=2)
        assert [(await servers.simulated_request(each))["payloads_deleted"] for each in requests] == [True, True]
        assert await value(service, "select count(*) from erasures") == 0


async def test_a_batch_goes_with_the_last_of_its_jobs(servers: Servers, provider: HoldingServer) -> None:
    async with keeping(servers, provider, retention_days_jobs=DAYS) as service, service.worker():
        job = {"model": "veo3.1-fast", "input": {"prompt": "a harbour"}}
        batch = (await service.client.post("/api/batches", json={"jobs": [job, job]})).json()
        for job_id in batch["jobIds"]:
            await service.until(job_id, "completed")
        await change(service, "update batches set created_at = created_at - interval '11 days'")
        for job_id, left in zip(batch["jobIds"], (200, 404), strict=True):
            await change(service, LONG_AGO, id=job_id)
            assert (await prune(service)).jobs == 1
            assert (await service.client.get(f"/api/batches/{batch['batchId']}")).status_code == left


async def test_files_and_timelines_have_times_of_their_own(servers: Servers, provider: HoldingServer) -> None:
    limits = {"retention_days_media": DAYS, "retention_days_events": DAYS}
    async with keeping(servers, provider, **limits) as service, service.worker():
        old, young = await completed(service), await completed(service)
        for column, table in (("created_at", "video_files"), ("at", "job_events")):
            await change(
                service, f"update {table} set {column} = {column} - interval '11 days' where job_id = :id", id=old
            )
        pruned = await prune(service)
        assert (pruned.jobs, pruned.media, pruned.erased) == (0, 1, 1)
        assert pruned.events > 1
        job = await service.job(old)
        assert (job["status"], job["resultUrl"], job["files"]) == ("completed", None, [])
        assert (await service.client.get(f"/api/jobs/{old}/history")).json()["data"] == []
        assert (files_of(service, old), bool(files_of(service, young))) == ([], True)
        assert (await service.job(young))["resultUrl"]


@pytest.mark.fault("O33")
async def test_a_deletion_goes_on_wherever_its_worker_was_killed(
    servers: Servers, provider: HoldingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETENTION_DAYS_JOBS", str(DAYS))
    async with keeping(servers, provider, retention_days_jobs=DAYS) as service:
        async with service.worker():
            job_id = await completed(service)
        await change(service, LONG_AGO, id=job_id)
        (request,) = (await service.simulated(job_id))["requests"]

        # The files are deleted, and that is not written down.
        await change(service, WAITS_WITH_NOTE)
        await change(service, WAITS_WITH_NOTE_OF_EACH)
        async with worker_process(service.settings) as first, service.sessions.begin() as session:
            await session.execute(text("select pg_advisory_xact_lock(7)"))
            await begin(service)
            await eventually(lambda: value(service, LOCK_WAIT))
            await kill(first)
        await change(service, "drop trigger waits on erasures")
        assert files_of(service, job_id) == []
        assert await value(service, "select prefix from erasures") is not None

        # It is, and the provider's answer does not come.
        await make_due(service)
        with provider.holding() as held:
            async with worker_process(service.settings) as second:
                await begin(service)
                await asyncio.wait_for(held.wait(), 90)
                await kill(second)
        assert await value(service, "select prefix is null from erasures")
        assert not (await servers.simulated_request(request))["payloads_deleted"]

        await make_due(service)
        async with service.worker():
            assert (await prune(service)).erased == 1
        assert (await servers.simulated_request(request))["payloads_deleted"]
        assert await value(service, "select count(*) from erasures") == 0
        assert files_of(service, job_id) == []


WAITS_WITH_NOTE = """
    create function waits() returns trigger language plpgsql as
    'begin perform pg_advisory_xact_lock(7); return new; end'
"""
WAITS_WITH_NOTE_OF_EACH = """
    create trigger waits before update on erasures for each row
    when (old.prefix is not null and new.prefix is null) execute function waits()
"""


async def begin(service: Service) -> None:
    await service.temporal.start_workflow(
        HousekeepingWorkflow.run, id=f"housekeeping-{uuid4()}", task_queue=service.settings.task_queue
    )


async def make_due(service: Service) -> None:
    await change(service, "update erasures set next_try_at = now()")


USERS_ROWS = """
    select table_name from information_schema.columns join information_schema.tables using (table_schema, table_name)
    where table_schema = 'public' and column_name = 'user_id' and table_type = 'BASE TABLE'
        and table_name <> 'audit_log'
"""
BOOKS = """
    select sum(available_cents + held_cents)::text || ' ' || sum(charged_cents) || ' ' || sum(funding_cents)
    from credit_entries
"""


async def test_a_deleted_user_leaves_the_books_and_no_name(servers: Servers, provider: HoldingServer) -> None:
    async with keeping(servers, provider) as service, service.worker():
        await service.client.post("/api/campaigns", json={"name": "spring"})
        await completed(service)
        running = await service.create("a while [sim: latency=10m]")
        await service.until_accepted(running)
        user = await value(service, "select user_id from generation_jobs where id = :id", id=running)
        async with service.sessions.begin() as session:
            await operators.delete(session, OPERATOR, service.user_name)
            await operators.delete(session, OPERATOR, service.user_name)
        await eventually(lambda: is_refused(service))

        books = await value(service, BOOKS)
        passes: list[Pruned] = []

        async def is_gone() -> bool:
            passes.append(await prune(service))
            return passes[-1].users == 1

        await eventually(is_gone)
        assert sum(each.jobs for each in passes) == 2

        async with service.sessions() as session:
            tables = (await session.scalars(text(USERS_ROWS))).all()
        assert len(tables) > 8
        for table in tables:
            assert await value(service, f"select count(*) from {table} where user_id = :id", id=user) == 0, table
        assert await value(service, "select count(*) from users where id = :id or name = 'ann'", id=user) == 0
        assert await value(service, BOOKS) == books
        assert await value(service, "select count(*) from credit_entries where reference like '%ann%'") == 0
        async with service.sessions.begin() as session:
            assert await audit_ledger(session) == []
        assert [path for path in archive(service).glob(f"{user}/**/*") if path.is_file()] == []
        assert await value(service, "select count(*) from erasures") == 0


async def is_refused(service: Service) -> bool:
    return (await service.client.get("/api/jobs")).status_code == 401

"""Rows and runs that have lost each other find together again, and nothing is bought twice."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer

from reelay.background import TaskSupervisor
from reelay.db.generations import find_anybodys_generation, insert_generation
from reelay.db.tables import GenerationJob
from reelay.domain.generation import JobType, ProviderName
from reelay.domain.reconciliation import Reconciled
from tests.eventually import eventually
from tests.integration.service.reconciling import begin, broken_run, reconcile
from tests.running import Service, running_service
from tests.servers import Database, Servers, temporal_server
from workflows.converter import data_converter
from workflows.ids import reconciliation_id
from workflows.reconciliation import ReconciliationWorkflow
from workflows.runs import GenerationRuns
from workflows.schedule import keeping_schedule

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
async def service(servers: Servers) -> AsyncIterator[Service]:
    """One that has nothing open but what a test leaves open, and waits for webhooks as long as a test lasts."""
    async with running_service(servers, webhook_patience=60) as running:
        yield running


async def set_back(service: Service, job_id: str, *, without_attempts: bool = False) -> None:
    """Make the database forget how the job ended, as one that was restored from a backup has."""
    row = {"id": UUID(job_id)}
    async with service.sessions.begin() as session:
        await session.execute(text("delete from video_files where job_id = :id"), row)
        if without_attempts:
            await session.execute(text("delete from submission_attempts where job_id = :id"), row)
        await session.execute(
            text("update generation_jobs set status = 'pending', stage = 'submitting' where id = :id"), row
        )


async def never_started(service: Service, like: str) -> str:
    """A row as the API commits it before it starts the workflow."""
    async with service.sessions.begin() as session:
        model = await find_anybodys_generation(session, UUID(like))
        assert model is not None
        job = GenerationJob(
            id=uuid4(),
            user_id=model.user_id,
            job_type=JobType(model.job_type),
            provider=ProviderName(model.provider),
            model=model.model,
            endpoint=model.endpoint,
            input_params=model.input_params,
            arguments=model.arguments,
            timing=model.timing,
            created_at=datetime.now(UTC) + HOUR,  # young enough for the API, which starts such rows after ten seconds
        )
        assert await insert_generation(session, job)
    return str(job.id)


async def age(service: Service, job_id: str) -> None:
    """As if nothing had happened to the job for an hour."""
    async with service.sessions.begin() as session:
        aged = text("update generation_jobs set stage_at = now() - interval '1 hour' where id = :id")
        await session.execute(aged, {"id": UUID(job_id)})


async def row(service: Service, job_id: str) -> str:
    async with service.sessions() as session:
        found = await session.execute(text("select job::text from generation_jobs job where id = :id"), {"id": job_id})
    return str(found.scalar_one())


async def reconciliations(service: Service, job_id: str) -> list[str]:
    return [line for line in await service.trail(job_id) if line.startswith("Reconciled: ")]


async def test_what_runs_is_left_alone(service: Service) -> None:
    job_id = await service.create("a while [sim: latency=10m]")
    await service.until_accepted(job_id)

    assert await reconcile(service) == Reconciled(checked=1, left=1)
    await service.servers.end_at_provider(job_id)
    await service.until(job_id, "completed")
    assert await reconciliations(service, job_id) == []
    assert await reconcile(service) == Reconciled()


async def test_row_that_was_never_started_is_started(service: Service) -> None:
    control = await service.create()
    await service.until(control, "completed")
    job_id = await never_started(service, like=control)

    assert await reconcile(service) == Reconciled(checked=1, started=1)
    await service.until(job_id, "completed")
    assert await reconciliations(service, job_id) == ["Reconciled: it had no workflow; starting it"]
    assert (await service.simulated(job_id))["accepted"] == 1


async def test_row_that_is_younger_than_the_grace_period_is_nobodys_business(service: Service) -> None:
    control = await service.create()
    await service.until(control, "completed")
    job_id = await never_started(service, like=control)

    assert await reconcile(service, grace=HOUR) == Reconciled()
    assert await reconcile(service) == Reconciled(checked=1, started=1)
    await service.until(job_id, "completed")


async def test_run_that_was_terminated_by_hand_is_withdrawn_and_canceled(service: Service) -> None:
    job_id = await service.create("stopped [sim: latency=10m]")
    await service.until_accepted(job_id)
    await service.run(job_id).terminate("enough of it")

    assert await reconcile(service) == Reconciled(checked=1, ended=1)
    job = await service.until(job_id, "canceled")
    assert job["actualCostCents"] == 0
    assert (await service.trail(job_id))[-2:] == [
        "Reconciled: its workflow was terminated without ending the job",
        "Canceled by an operator",
    ]
    counted = await service.simulated(job_id)
    assert (counted["accepted"], counted["cancel_calls"]) == (1, 1)

    assert await reconcile(service) == Reconciled()
    fresh = await service.create()
    await service.until(fresh, "completed")


async def test_run_that_was_terminated_while_its_submission_is_uncertain_is_not_sent_again(service: Service) -> None:
    job_id = await service.create("lost [sim: submit=drop, webhook=lost, listing=lost]")
    await service.until(job_id, "uncertain")
    await service.run(job_id).terminate()

    assert await reconcile(service) == Reconciled(checked=1, ended=1)
    await service.until(job_id, "canceled")
    counted = await service.simulated(job_id)
    assert (counted["accepted"], counted["cancel_calls"]) == (1, 0)


async def test_several_reconcilers_at_once_repair_once(service: Service) -> None:
    control = await service.create()
    job_id = await service.create("stopped [sim: latency=10m]")
    await service.until(control, "completed")
    unstarted = await never_started(service, like=control)
    await service.until_accepted(job_id)
    await service.run(job_id).terminate()
    for each in (job_id, unstarted):
        await age(service, each)

    # What one of them has claimed is young again to the others.
    found = await asyncio.gather(*(reconcile(service, grace=HOUR / 2) for _ in range(4)))
    assert (sum(each.started for each in found), sum(each.ended for each in found)) == (1, 1)
    await service.until(unstarted, "completed")
    for each in (job_id, unstarted):
        assert len(await reconciliations(service, each)) == 1
        assert (await service.simulated(each))["accepted"] == 1
    assert (await service.simulated(job_id))["cancel_calls"] == 1


@pytest.mark.fault("D20")
async def test_completed_run_whose_end_the_database_lost_is_followed_again(service: Service) -> None:
    job_id = await service.create()
    before = await service.until(job_id, "completed")
    await set_back(service, job_id)

    assert await reconcile(service) == Reconciled(checked=1, resumed=1)
    after = await service.until(job_id, "completed")
    assert [file["sha256"] for file in after["files"]] == [file["sha256"] for file in before["files"]]
    assert (await service.simulated(job_id))["accepted"] == 1


async def test_completed_run_whose_attempt_the_database_lost_is_not_sent_again(service: Service) -> None:
    job_id = await service.create()
    await service.until(job_id, "completed")
    await set_back(service, job_id, without_attempts=True)

    assert await reconcile(service) == Reconciled(checked=1, ended=1)
    assert (await service.job(job_id))["errorCode"] == "unknown_outcome"
    assert (await service.simulated(job_id))["accepted"] == 1
    fresh = await service.create()
    await service.until(fresh, "completed")


async def test_failed_run_tells_why_when_the_database_lost_it(service: Service) -> None:
    job_id = await service.create("bad [sim: fail=422]")
    before = await service.until(job_id, "failed")
    await service.closed_as(job_id)
    await set_back(service, job_id)

    assert await reconcile(service) == Reconciled(checked=1, ended=1)
    after = await service.job(job_id)
    assert (after["errorCode"], after["errorMessage"]) == (before["errorCode"], before["errorMessage"])


async def test_open_run_that_should_be_over_is_counted_and_left(service: Service) -> None:
    job_id = await service.create("old [sim: latency=10m]")
    await service.until_accepted(job_id)
    async with service.sessions.begin() as session:
        aged = text("update generation_jobs set submitted_at = now() - interval '30 days' where id = :id")
        await session.execute(aged, {"id": UUID(job_id)})

    assert await reconcile(service) == Reconciled(checked=1, left=1, overdue=1)
    await service.client.post(f"/api/jobs/{job_id}/cancel")
    await service.until(job_id, "canceled")


async def test_run_whose_code_raises_is_counted_and_left(servers: Servers) -> None:
    async with running_service(servers, worker=False) as service:
        runs = GenerationRuns(service.temporal, service.settings.task_queue, None)
        async with broken_run(service, runs) as job_id:
            assert await reconcile(service) == Reconciled(checked=1, left=1, failing=1)
        await service.run(job_id).terminate()
        async with service.worker():
            fresh = await service.create()
            await service.until(fresh, "completed")


@pytest.mark.fault("O2")
async def test_temporal_with_an_empty_database_resumes_what_was_open(servers: Servers, database: Database) -> None:
    async with running_service(servers, database=database, webhook_patience=60) as service:
        finished = await service.create()
        await service.until(finished, "completed")
        before = await row(service, finished), await service.trail(finished)
        waiting = await service.create("waiting [sim: latency=10m]")
        uncertain = await service.create("lost [sim: submit=drop, webhook=lost, listing=lost]")
        unstarted = await never_started(service, like=finished)
        await service.until_accepted(waiting)
        await service.until(uncertain, "uncertain")
        async with service.sessions.begin() as session:  # whoever resumes it need not wait for long
            hasty = """update generation_jobs set timing = timing || '{"adoption_window": "PT2S"}' where id = :id"""
            await session.execute(text(hasty), {"id": UUID(uncertain)})

    folder = servers.folder / uuid4().hex
    folder.mkdir()
    async with temporal_server(folder) as empty:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("TEMPORAL_ADDRESS", empty.address)
            async with running_service(
                servers, database=database, webhook_patience=60, data_dir=service.settings.data_dir
            ) as successor:
                assert await reconcile(successor) == Reconciled(checked=3, started=1, resumed=2)
                await servers.end_at_provider(waiting)
                assert (await successor.until(waiting, "completed"))["files"]
                assert (await successor.until(uncertain, "failed"))["errorCode"] == "unknown_outcome"
                await successor.until(unstarted, "completed")
                for job_id in (waiting, uncertain, unstarted):
                    assert len(await reconciliations(successor, job_id)) == 1
                    assert (await successor.simulated(job_id))["accepted"] == 1
                assert (await row(successor, finished), await successor.trail(finished)) == before
                fresh = await successor.create()
                await successor.until(fresh, "completed")


@pytest.fixture
async def database(servers: Servers) -> Database:
    return await servers.postgres.copy()


async def test_pass_replays(service: Service) -> None:
    handle = await begin(service)
    await handle.result()
    replayer = Replayer(workflows=[ReconciliationWorkflow], data_converter=data_converter)

    await replayer.replay_workflow(await handle.fetch_history())


async def test_schedule_fires_and_comes_back_when_temporal_loses_it(servers: Servers) -> None:
    async with running_service(servers, reconcile_interval=1) as service:
        schedule_id = reconciliation_id(service.settings.task_queue)
        schedule = service.temporal.get_schedule_handle(schedule_id)
        control = await service.create()
        await service.until(control, "completed")
        job_id = await never_started(service, like=control)
        await age(service, job_id)
        await service.until(job_id, "completed")
        assert await reconciliations(service, job_id) == ["Reconciled: it had no workflow; starting it"]

        assert (await schedule.describe()).info.num_actions >= 1
        await schedule.delete()

        async def is_back() -> bool:
            return await exists(service, schedule_id)

        await eventually(is_back)
    await schedule.delete()


async def exists(service: Service, schedule_id: str) -> bool:
    """The list of schedules has one for a while after it is gone."""
    try:
        await service.temporal.get_schedule_handle(schedule_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True


async def test_worker_with_another_interval_changes_the_schedule_and_leaves_it_paused(service: Service) -> None:
    queue = f"schedule-{uuid4()}"
    schedule = service.temporal.get_schedule_handle(reconciliation_id(queue))

    async def every(interval: timedelta) -> None:
        async def is_so() -> bool:
            return await exists(service, schedule.id) and await interval_of() == interval

        async with keeping_schedule(TaskSupervisor(lambda *_: None), service.temporal, queue, interval):
            await eventually(is_so)

    async def interval_of() -> timedelta:
        (interval,) = (await schedule.describe()).schedule.spec.intervals
        return interval.every

    await every(HOUR)
    await schedule.pause(note="looking into something")
    await every(2 * HOUR)

    state = (await schedule.describe()).schedule.state
    assert (state.paused, state.note) == (True, "looking into something")
    await schedule.delete()

"""Canceling at every stage: the provider is told as far as it has something of ours, and the end stays the end."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlmodel import select
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.final_pushes import StoredFinalPushes
from activities.inputs import Attempt
from activities.submission import SubmissionActivities
from reelay.db.deliveries import put_into_inbox
from reelay.db.generations import generation_of
from reelay.db.tables import GenerationJob, SubmissionAttempt
from reelay.domain.generation import Submission
from reelay.domain.reconciliation import RunState
from reelay.providers.provider import Provider, SubmissionRequest
from reelay.providers.registry import open_providers
from tests.eventually import eventually
from tests.integration.service.test_adoption import webhook_of
from tests.lock_waits import waits_for_a_lock
from tests.running import Service, running_service
from tests.servers import Servers
from tests.tcp_lines import Lines, open_line
from workflows.runs import GenerationRuns


async def canceled(service: Service, job_id: str) -> None:
    await canceled_row(service, job_id)
    assert await service.closed_as(job_id) == "CANCELED"


async def canceled_row(service: Service, job_id: str) -> None:
    response = await service.client.post(f"/api/jobs/{job_id}/cancel")
    assert response.status_code == 202, response.text
    job = await service.until(job_id, "canceled")
    assert job["actualCostCents"] == 0
    assert (await service.trail(job_id))[-1] == "Canceled"


async def test_cancel_while_submitting_lets_the_post_end_and_withdraws_it(patient_service: Service) -> None:
    job_id = await patient_service.create("slow [sim: submit=slow:2s, latency=10m]")
    await patient_service.until(job_id, "submitting")
    await canceled(patient_service, job_id)

    counted = await patient_service.simulated(job_id)
    assert (counted["accepted"], counted["cancel_calls"]) == (1, 1)


class Held:
    """A provider whose answer to the POST arrives when it is let go."""

    def __init__(self, provider: Provider) -> None:
        self.has_answered, self.let_go = asyncio.Event(), asyncio.Event()
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def submit(self, request: SubmissionRequest) -> Submission:
        submission = await self._provider.submit(request)
        self.has_answered.set()
        await self.let_go.wait()
        return submission


BREAK_WAITING = text("""
    select pg_terminate_backend(pid) from pg_stat_activity where pg_backend_pid() = any (pg_blocking_pids(pid))
""")
"""The connections that wait for this one's locks."""


@pytest.mark.parametrize("breaks", [False, True], ids=["written", "outage"])
async def test_cancel_while_the_acceptance_is_written_down_still_tells_what_was_accepted(
    servers: Servers, *, breaks: bool
) -> None:
    async with running_service(servers, worker=False) as service:
        job_id = await service.create("long [sim: latency=10m]")
        generation = generation_of(await row_of(service, job_id))
        environment = ActivityEnvironment()
        async with open_providers(service.settings, StoredFinalPushes(service.sessions)) as providers:
            held = providers[generation.provider] = Held(providers[generation.provider])
            submission = SubmissionActivities(service.settings, service.sessions, providers, service.slots)
            submitting = asyncio.create_task(
                environment.run(submission.submit, Attempt(generation=generation, number=1))
            )
            await held.has_answered.wait()
            async with service.sessions.begin() as session:
                attempt = select(SubmissionAttempt).where(SubmissionAttempt.job_id == UUID(job_id))
                (await session.scalars(attempt.with_for_update())).one()
                held.let_go.set()
                await eventually(partial(waits_for_a_lock, service.sessions))
                environment.cancel()
                if breaks:
                    await session.execute(BREAK_WAITING)
            accepted = await submitting

        assert [accepted.request_id] == (await service.simulated(job_id))["requests"]


async def test_cancel_while_waiting_for_the_webhook(patient_service: Service) -> None:
    job_id = await patient_service.create("long [sim: latency=10m]")
    await patient_service.until_accepted(job_id)
    await canceled(patient_service, job_id)

    assert (await patient_service.simulated(job_id))["cancel_calls"] == 1


@pytest.mark.fault("S8")
async def test_cancel_while_polling(service: Service) -> None:
    job_id = await service.create("long [sim: latency=10m, webhook=lost]")
    await service.until_accepted(job_id)

    async def is_polled() -> bool:
        return bool((await service.simulated(job_id))["status_calls"])

    await eventually(is_polled)
    await canceled(service, job_id)

    assert (await service.simulated(job_id))["cancel_calls"] == 1


@pytest.mark.fault("S15")
async def test_cancel_of_a_lost_submission_withdraws_the_request_that_a_webhook_in_the_inbox_names(
    patient_service: Service,
) -> None:
    service = patient_service
    job_id = await service.create("cut off [sim: submit=drop, webhook=lost, listing=lost, latency=10m]")
    await service.until(job_id, "uncertain")
    webhook = await webhook_of(service, job_id)
    async with service.sessions.begin() as session:
        await put_into_inbox(session, webhook, due_in=timedelta(hours=1))
    await canceled(service, job_id)

    assert (await service.job(job_id))["falRequestId"] == webhook.request_id
    assert (await service.simulated(job_id))["cancel_calls"] == 1


@pytest.mark.fault("D7")
async def test_cancel_while_archiving_leaves_no_file(patient_service: Service) -> None:
    job_id = await patient_service.create("dripping [sim: media=slow:10m]")
    await patient_service.until(job_id, "archiving")
    await canceled(patient_service, job_id)

    archive = patient_service.settings.data_dir / "archive"
    assert not [path for path in archive.rglob("*") if path.is_file() and job_id in str(path)]


async def test_cancel_while_nothing_was_bought_yet(patient_service: Service) -> None:
    """A provider that takes nothing must not hold the cancellation up."""
    job_id = await patient_service.create("throttled [sim: submit=429:50]")
    await patient_service.until(job_id, "submitting")
    await canceled_row(patient_service, job_id)

    # Its run fails as canceled, should it find out by its next attempt.
    assert await patient_service.closed_as(job_id) in ("CANCELED", "FAILED")
    assert (await patient_service.simulated(job_id))["accepted"] == 0


@pytest.mark.fault("S8")
async def test_cancel_twice_and_after_the_end_changes_nothing(patient_service: Service) -> None:
    job_id = await patient_service.create()
    await patient_service.until(job_id, "completed")
    for _ in range(2):
        response = await patient_service.client.post(f"/api/jobs/{job_id}/cancel")
        assert response.status_code == 202
        assert response.json()["status"] == "completed"


@pytest.mark.fault("W13")
async def test_webhook_after_the_cancellation_does_not_wake_the_job(service: Service) -> None:
    job_id = await service.create("stubborn [sim: latency=10m, cancel=ignored]")
    request_id = (await service.until_accepted(job_id))["falRequestId"]

    async def has_left_the_queue() -> bool:  # in which it could still be canceled
        return bool((await service.servers.simulated_request(request_id))["status"] == "IN_PROGRESS")

    await eventually(has_left_the_queue)
    await canceled(service, job_id)
    await service.servers.end_at_provider(job_id)
    (delivery,) = await service.deliveries(job_id, count=1)

    assert delivery["status_code"] == 200
    assert (await service.job(job_id))["status"] == "canceled"
    assert await service.closed_as(job_id) == "CANCELED"


async def test_canceled_job_can_be_retried_as_a_new_one(patient_service: Service) -> None:
    job_id = await patient_service.create("long [sim: latency=10m]", duration=4)
    await canceled(patient_service, job_id)
    retried = await patient_service.client.post(f"/api/jobs/{job_id}/retry")

    assert retried.status_code == 202
    assert retried.json()["jobId"] != job_id
    await canceled(patient_service, retried.json()["jobId"])


@pytest.fixture
async def idle(servers: Servers) -> AsyncIterator[Service]:
    """Without a worker."""
    async with running_service(servers, worker=False, webhook_patience=60) as running:
        yield running


def runs_of(service: Service) -> GenerationRuns:
    return GenerationRuns(service.temporal, service.settings.task_queue, None)


async def row_of(service: Service, job_id: str) -> GenerationJob:
    async with service.sessions() as session:
        return await session.get_one(GenerationJob, UUID(job_id))


async def held_cents(service: Service) -> int:
    cents: int = (await service.client.get("/api/credits")).json()["heldCents"]
    return cents


async def is_never_bought(service: Service, job_id: str) -> None:
    """Also once a worker has done all there is to do: a job that is created now is done after it."""
    async with service.worker():
        await service.until(await service.create("a fresh one"), "completed")
        if (await runs_of(service).describe(UUID(job_id))).state is not RunState.UNKNOWN:
            assert await service.closed_as(job_id) in ("CANCELED", "FAILED")
    assert (await service.simulated(job_id))["accepted"] == 0
    assert (await service.job(job_id))["status"] == "canceled"


@pytest.mark.fault("S12")
async def test_cancel_while_no_worker_is_there_is_done_at_once(idle: Service) -> None:
    job_id = await idle.create()
    assert await held_cents(idle) > 0
    await canceled_row(idle, job_id)

    assert await held_cents(idle) == 0
    await is_never_bought(idle, job_id)


@pytest.mark.fault("S12")
async def test_job_that_is_started_after_its_cancellation_is_not_bought(servers: Servers) -> None:
    """By an API that had read its row before, for instance."""
    async with (
        open_line(servers.temporal.port) as temporal,
        open_line(servers.postgres.server.port) as postgres,
        running_service(servers, worker=False, lines=Lines(temporal, postgres)) as service,
    ):
        with temporal.cut():
            job_id = await service.create()
            row = await row_of(service, job_id)
            await canceled_row(service, job_id)
        assert (await runs_of(service).describe(row.id)).state is RunState.UNKNOWN
        await runs_of(service).start(row)
        await is_never_bought(service, job_id)


@pytest.mark.fault("S12")
async def test_submission_that_is_tried_again_after_its_worker_died_hears_of_the_cancellation(idle: Service) -> None:
    """Temporal hands it to the next worker, whether or not its run has dealt with the cancellation."""
    job_id = await idle.create()
    generation = generation_of(await row_of(idle, job_id))
    await canceled_row(idle, job_id)
    async with open_providers(idle.settings, StoredFinalPushes(idle.sessions)) as providers:
        submission = SubmissionActivities(idle.settings, idle.sessions, providers, idle.slots)
        with pytest.raises(ApplicationError) as failed:
            await ActivityEnvironment().run(submission.submit, Attempt(generation=generation, number=1))

    assert (failed.value.type, failed.value.non_retryable) == ("canceled", True)
    await is_never_bought(idle, job_id)

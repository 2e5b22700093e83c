"""The answer to the paid POST is lost: by the network, or with the worker, killed at each point around the POST."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Worker

from activities.final_pushes import StoredFinalPushes
from activities.inputs import Attempt
from activities.submission import SubmissionActivities
from reelay.db.deliveries import put_into_inbox
from reelay.db.generations import generation_of
from reelay.db.tables import GenerationJob, WebhookDelivery
from reelay.domain.generation import ProviderName, UncertainSubmitPolicy
from reelay.domain.verdict import Verdict
from reelay.providers.registry import open_providers
from tests.eventually import eventually
from tests.integration.service.gate import HELD, Gate, gate
from tests.integration.service.killed_worker import accepted, ended, kill, unrecordable, worker_process
from tests.running import Job, Service, running_service
from tests.servers import Servers
from tests.tcp_lines import open_line
from workflows.generation import GenerationWorkflow

RESUBMIT = UncertainSubmitPolicy.RESUBMIT


@pytest.fixture(scope="module")
async def resubmitting(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(
        servers, webhook_patience=0.5, adoption_window=2, uncertain_submit_policy=RESUBMIT
    ) as running:
        yield running


async def completes(service: Service, job_id: str, *, posts: int = 1) -> Job:
    job = await service.until(job_id, "completed")
    counted = await service.simulated(job_id)
    assert (counted["accepted"], counted["billed"]) == (posts, posts)
    return job


async def test_submission_that_no_worker_began_in_time_was_not_sent(servers: Servers) -> None:
    async with running_service(servers, worker=False, uncertain_submit_policy=RESUBMIT) as service:
        job_id = await service.create("nobody begins it", maxWaitSeconds=1)
        queue = service.settings.task_queue
        async with Worker(service.temporal, task_queue=queue, workflows=[GenerationWorkflow]):  # without activities

            async def has_timed_out() -> bool:
                events = (await service.run(job_id).fetch_history()).events
                return any(event.HasField("activity_task_timed_out_event_attributes") for event in events)

            await eventually(has_timed_out)
        async with service.worker():
            job = await service.until(job_id, "failed")
            assert (job["errorCode"], job["creditsDeducted"]) == ("wait_expired", 0)
            assert not [line for line in await service.trail(job_id) if "internal error" in line]
            assert (await service.simulated(job_id))["accepted"] == 0
            await completes(service, await service.create("a fresh one"))


async def test_try_that_comes_after_the_search_sends_nothing(servers: Servers) -> None:
    async with running_service(servers, worker=False) as service:
        job_id = await service.create("a try that hung until its time was over")
        async with service.sessions() as session:
            attempt = Attempt(generation=generation_of(await session.get_one(GenerationJob, UUID(job_id))), number=1)
        async with open_providers(service.settings, StoredFinalPushes(service.sessions)) as providers:
            submission = SubmissionActivities(service.settings, service.sessions, providers, service.slots)
            for act in (submission.find, submission.submit):
                with pytest.raises(ApplicationError) as failed:
                    await ActivityEnvironment().run(act, attempt)
                assert (failed.value.type, failed.value.non_retryable) == ("wait_expired", True)

        assert (await service.simulated(job_id))["accepted"] == 0


async def adopted_by(service: Service, job_id: str) -> list[str]:
    """The roads by which requests were adopted, from the timeline."""
    return [line.split()[2].strip(":") for line in await service.trail(job_id) if line.startswith("Adopted by")]


async def test_without_a_loss_nothing_is_adopted(service: Service) -> None:
    """The control."""
    job_id = await service.create("nothing is lost")
    assert (await completes(service, job_id))["attempts"] == 1
    assert await adopted_by(service, job_id) == []


@pytest.mark.fault("P4")
async def test_lost_answer_is_adopted_by_its_webhook(patient_service: Service) -> None:
    job_id = await patient_service.create("cut off, called back [sim: submit=drop, listing=lost]")
    job = await completes(patient_service, job_id)

    assert job["falRequestId"]
    assert await adopted_by(patient_service, job_id) == ["its"]


@pytest.mark.fault("P4")
async def test_webhook_that_waits_in_the_inbox_keeps_a_second_submission_from_being_bought(servers: Servers) -> None:
    """Temporal was away when it came, and by its return the adoption window is over."""
    to_fal = urlsplit(servers.simulator)
    assert to_fal.port
    async with (
        open_line(to_fal.port) as line,
        running_service(
            servers,
            webhook_patience=0.5,
            adoption_window=2,
            uncertain_submit_policy=RESUBMIT,
            fal_queue_base=f"http://{line.address}",
        ) as service,
    ):
        job_id = await service.create("called back in vain [sim: submit=slow:10m, webhook=lost, listing=lost]")
        await accepted(service, job_id)
        async with service.sessions.begin() as session:
            await put_into_inbox(session, await webhook_of(service, job_id), due_in=timedelta(hours=1))
        line.reset()  # with the submission's answer

        await completes(service, job_id)
        assert await adopted_by(service, job_id) == ["its"]
        await completes(service, await service.create("a fresh one after the outage"))


async def webhook_of(service: Service, job_id: str) -> WebhookDelivery:
    (request_id,) = (await service.simulated(job_id))["requests"]
    return WebhookDelivery(
        id=uuid4(),
        provider=ProviderName.FAL,
        verdict=Verdict.DEFERRED,
        status_code=Verdict.DEFERRED.status,
        headers={},
        body=b"{}",
        verified=True,
        received_at=datetime.now(UTC),
        job_id=UUID(job_id),
        attempt=1,
        request_id=request_id,
    )


@pytest.mark.fault("P4")
@pytest.mark.parametrize("listing", ["", ", listing=late:1s"])
async def test_lost_answer_is_adopted_by_listing(service: Service, listing: str) -> None:
    job_id = await service.create(f"cut off, never called back [sim: submit=drop, webhook=lost{listing}]")
    job = await completes(service, job_id)

    assert job["falRequestId"] == (await service.simulated(job_id))["requests"][0]
    assert await adopted_by(service, job_id) == ["listing"]


@pytest.mark.fault("P4")
async def test_what_neither_calls_nor_is_listed_ends_as_unknown_outcome(unwaiting_service: Service) -> None:
    listings = ("lost", "no-input", "late:10m")
    jobs = [
        await unwaiting_service.create(f"gone [sim: submit=drop, webhook=lost, listing={listing}]")
        for listing in listings
    ]
    for job_id in jobs:
        job = await unwaiting_service.until(job_id, "failed")

        assert (job["errorCode"], job["attempts"]) == ("unknown_outcome", 1)
        assert (await unwaiting_service.simulated(job_id))["accepted"] == 1
    await completes(unwaiting_service, await unwaiting_service.create("a fresh one after the losses"))


async def test_of_two_alike_neither_is_adopted_by_listing(unwaiting_service: Service) -> None:
    """Either request could be either job's."""
    prompt = "twins [sim: submit=drop, webhook=lost]"
    twins = await asyncio.gather(*(unwaiting_service.create(prompt) for _ in range(2)))

    for job_id in twins:
        job = await unwaiting_service.until(job_id, "failed")
        assert job["errorCode"] == "unknown_outcome"
        assert (await unwaiting_service.simulated(job_id))["accepted"] == 1
    await completes(unwaiting_service, await unwaiting_service.create("an only child"))


@pytest.mark.fault("P15")
async def test_a_request_that_has_its_job_is_not_adopted_by_another(service: Service) -> None:
    prompt = "the same words twice [sim: submit=drop, webhook=lost]"
    first = await service.create(prompt)
    owned = (await completes(service, first))["falRequestId"]
    second = await service.create(prompt)

    assert (await completes(service, second))["falRequestId"] != owned


@pytest.mark.fault("P4")
async def test_policy_resubmits_once(resubmitting: Service) -> None:
    job_id = await resubmitting.create("gone once [sim: submit=drop, webhook=lost, listing=lost]")
    job = await completes(resubmitting, job_id, posts=2)

    assert job["attempts"] == 2
    assert job["falRequestId"] == (await resubmitting.simulated(job_id))["requests"][1]


async def test_policy_does_not_resubmit_what_is_found(servers: Servers) -> None:
    async with running_service(servers, webhook_patience=60, uncertain_submit_policy=RESUBMIT) as service:
        job_id = await service.create("found in time [sim: submit=drop, webhook=lost]")

        assert (await completes(service, job_id))["attempts"] == 1


async def test_policy_does_not_resubmit_twice(resubmitting: Service) -> None:
    job_id = await resubmitting.create("gone twice [sim: submit=drop:2, webhook=lost, listing=lost]")
    job = await resubmitting.until(job_id, "failed")

    assert (job["errorCode"], job["attempts"]) == ("unknown_outcome", 2)
    assert (await resubmitting.simulated(job_id))["accepted"] == 2
    await completes(resubmitting, await resubmitting.create("a fresh one after two losses"))


async def test_first_request_that_ends_after_all_is_used_and_the_second_withdrawn(resubmitting: Service) -> None:
    job_id = await resubmitting.create("late after all [sim: submit=drop, latency=10m, listing=lost]")

    async def both_are_accepted() -> bool:
        return any(line.startswith("Accepted by fal") for line in await resubmitting.trail(job_id))

    await eventually(both_are_accepted)
    await resubmitting.servers.end_at_provider(job_id)
    job = await resubmitting.until(job_id, "completed")

    counted = await resubmitting.simulated(job_id)
    assert (counted["accepted"], counted["cancel_calls"]) == (2, 1)
    assert job["falRequestId"] == counted["requests"][0]
    assert any("overtook attempt 2" in line for line in await resubmitting.trail(job_id))


@dataclass(frozen=True)
class Aftermath:
    """A service whose worker was killed while submissions were at every point around their POST, and lives again."""

    service: Service
    jobs: dict[str, str]
    """Ids, by where the kill fell."""

    async def end_of(self, point: str) -> Job:
        return await ended(self.service, self.jobs[point])

    async def posts(self, point: str) -> tuple[int, int]:
        """Accepted and billed by the simulator."""
        counted = await self.service.simulated(self.jobs[point])
        return counted["accepted"], counted.get("billed", 0)


async def kill_around_the_post(stack: AsyncExitStack, servers: Servers, policy: UncertainSubmitPolicy) -> Aftermath:
    way = await stack.enter_async_context(gate(servers.simulator))
    database = await servers.postgres.copy()
    service = await stack.enter_async_context(
        running_service(
            servers,
            database=database,
            worker=False,
            webhook_patience=0.5,
            fal_queue_base=way.origin,
            uncertain_submit_policy=policy,
        )
    )
    # An API of its own takes the job that nothing is ever heard of: its adoption window is soon over.
    unwaiting = await stack.enter_async_context(
        running_service(
            servers,
            database=database,
            worker=False,
            task_queue=service.settings.task_queue,
            app_url=service.origin,
            adoption_window=2,
            uncertain_submit_policy=policy,
        )
    )
    async with worker_process(service.settings) as doomed:
        jobs = await jobs_at_every_point(service, unwaiting, way, policy)
        async with unrecordable(service, jobs["after the answer"]):
            await kill(doomed)
    await stack.enter_async_context(service.worker())
    return Aftermath(service, jobs)


async def jobs_at_every_point(
    service: Service, unwaiting: Service, way: Gate, policy: UncertainSubmitPolicy
) -> dict[str, str]:
    control = await service.create(f"control, {policy}")
    await completes(service, control)
    jobs = {
        "before it arrived": await unwaiting.create(f"{HELD}, {policy}"),
        # Not listed: the search begins beside the adoption, and either may be first.
        "before the answer": await service.create(f"called, {policy} [sim: submit=slow:60s, listing=lost]"),
        "before the answer, no webhook": await service.create(f"mute, {policy} [sim: submit=slow:60s, webhook=lost]"),
    }
    await way.holds.wait()
    for point in ("before the answer", "before the answer, no webhook"):
        await accepted(service, jobs[point])
    last = jobs["after the answer"] = await service.create(f"answered, {policy} [sim: submit=slow:2s, webhook=lost]")
    await accepted(service, last)
    return jobs


@pytest.fixture(scope="module")
async def aftermaths(servers: Servers) -> AsyncIterator[dict[UncertainSubmitPolicy, Aftermath]]:
    async with AsyncExitStack() as stack:
        killed = [kill_around_the_post(stack, servers, policy) for policy in UncertainSubmitPolicy]
        yield dict(zip(UncertainSubmitPolicy, await asyncio.gather(*killed), strict=True))


@pytest.mark.fault("P2")
async def test_killed_before_the_post_arrived_is_never_sent_again_by_itself(
    aftermaths: dict[UncertainSubmitPolicy, Aftermath],
) -> None:
    aftermath = aftermaths[UncertainSubmitPolicy.FAIL]
    job = await aftermath.end_of("before it arrived")

    assert (job["errorCode"], job["attempts"]) == ("unknown_outcome", 1)
    assert await aftermath.posts("before it arrived") == (0, 0)
    await completes(aftermath.service, await aftermath.service.create("a fresh one after the kill"))


@pytest.mark.fault("P2")
async def test_killed_before_the_post_arrived_is_sent_again_by_policy(
    aftermaths: dict[UncertainSubmitPolicy, Aftermath],
) -> None:
    aftermath = aftermaths[RESUBMIT]
    job = await aftermath.end_of("before it arrived")

    assert (job["status"], job["attempts"]) == ("completed", 2)
    assert await aftermath.posts("before it arrived") == (1, 1)
    await completes(aftermath.service, await aftermath.service.create("a fresh one after the kill, resubmit"))


@pytest.mark.fault("P1")
@pytest.mark.parametrize("policy", UncertainSubmitPolicy)
@pytest.mark.parametrize(
    ("point", "roads"),
    [
        ("before the answer", ["its"]),
        ("before the answer, no webhook", ["listing"]),
        ("after the answer", []),  # the one statement that records it is with Postgres, which carries it out
    ],
)
async def test_killed_after_the_post_was_accepted_is_paid_once(
    aftermaths: dict[UncertainSubmitPolicy, Aftermath], policy: UncertainSubmitPolicy, point: str, roads: list[str]
) -> None:
    aftermath = aftermaths[policy]
    job = await aftermath.end_of(point)

    assert (job["status"], job["attempts"]) == ("completed", 1), job["errorMessage"]
    assert await aftermath.posts(point) == (1, 1)
    assert await adopted_by(aftermath.service, aftermath.jobs[point]) == roads

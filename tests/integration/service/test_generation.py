"""A generation from POST to archived clip, in the happy order and in the unhappy ones."""

import asyncio
from hashlib import sha256
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import av
import pytest

from reelay.db.tables import GenerationJob
from tests.eventually import eventually
from tests.running import Service, running_service
from tests.servers import Servers
from tests.unit.providers.scripted_server import json_answer, scripted_server
from workflows.runs import GenerationRuns


async def test_video_goes_from_post_to_archive_and_clip(patient_service: Service) -> None:
    campaign = (await patient_service.client.post("/api/campaigns", json={"name": "Autumn"})).json()
    clips = f"/api/campaigns/{campaign['id']}/clips"
    clip = (await patient_service.client.post(clips, json={"title": "Harbour"})).json()

    job_id = await patient_service.create(clipId=clip["id"], campaignId=campaign["id"], metadata={"nodeId": "n1"})
    job = await patient_service.until(job_id, "completed")

    assert job["progress"] == 100
    assert job["source"] == "database"
    assert job["metadata"] == {"nodeId": "n1"}
    assert job["actualCostCents"] == job["estimatedCostCents"] == 90
    (file,) = job["files"]
    assert job["resultUrl"] == file["fileUrl"]
    media = (await patient_service.client.get(file["fileUrl"])).content
    assert sha256(media).hexdigest() == file["sha256"]
    with av.open(BytesIO(media)) as container:
        assert container.streams.video[0].width == file["width"]
    poster = await patient_service.client.get(file["posterUrl"])
    assert poster.headers["content-type"] == "image/jpeg"

    clip = (await patient_service.client.get(f"/api/clips/{clip['id']}")).json()
    assert clip["status"] == "video_ready"
    assert clip["video"]["raw_url"] == job["resultUrl"]
    assert clip["video"]["generated_at"]
    assert [line.split(",")[0] for line in await patient_service.trail(job_id)] == [
        "Created",
        "Submitting to fal",
        "Accepted by fal",
        "Copying the media into the archive",
        "Completed",
    ]
    counted = await patient_service.simulated(job_id)
    assert (counted["accepted"], counted["status_calls"], counted["result_calls"]) == (1, 0, 1)


async def test_happy_path_by_webhook_costs_29_events_and_6_actions(patient_service: Service) -> None:
    job_id = await patient_service.create("a calm day [sim: latency=10m]")
    await patient_service.webhook_is_awaited(job_id)
    await patient_service.servers.end_at_provider(job_id)
    await patient_service.until(job_id, "completed")
    assert await patient_service.closed_as(job_id) == "COMPLETED"
    history = await patient_service.run(job_id).fetch_history()
    names = [event.WhichOneof("attributes") or "" for event in history.events]
    billed = ("workflow_execution_started", "workflow_execution_signaled", "activity_task_scheduled", "timer_started")
    actions = [name for name in names if name.startswith(billed)]

    assert await patient_service.history_length(job_id) == 29
    assert len(actions) == 6, actions


@pytest.mark.fault("O13")
async def test_polling_adds_no_history(service: Service) -> None:
    often = await service.create("a slow one [sim: webhook=lost, latency=10m]")
    seldom = await service.create("a quick one [sim: webhook=lost]")
    await service.until(seldom, "completed")
    asked_seldom = (await service.simulated(seldom))["status_calls"]

    async def is_asked_often() -> bool:
        return bool((await service.simulated(often))["status_calls"] > asked_seldom + 3)

    await eventually(is_asked_often)
    await service.servers.end_at_provider(often)
    lengths = []
    for job_id in (often, seldom):
        await service.until(job_id, "completed")
        assert await service.closed_as(job_id) == "COMPLETED"
        lengths.append(len((await service.run(job_id).fetch_history()).events))
    assert lengths[0] == lengths[1]


@pytest.mark.fault("W11")
async def test_lost_webhook_is_replaced_by_polling(service: Service) -> None:
    job_id = await service.create("fog [sim: webhook=lost]")
    await service.until(job_id, "completed")

    counted = await service.simulated(job_id)
    assert (counted["accepted"], counted["deliveries"]) == (1, 0)


async def test_without_a_public_url_it_polls_from_the_start(servers: Servers) -> None:
    async with running_service(servers, app_url=None, webhook_patience=60) as service:
        job_id = await service.create()
        job = await service.until(job_id, "completed")

        assert job["files"]
        assert (await servers.simulated_request(job["falRequestId"]))["webhook_url"] is None


@pytest.mark.fault("W9")
async def test_webhook_before_the_submissions_answer_is_not_lost(patient_service: Service) -> None:
    job_id = await patient_service.create("too early [sim: submit=slow:2s, webhook=early]")
    await patient_service.until(job_id, "completed")

    counted = await patient_service.simulated(job_id)
    assert (counted["accepted"], counted["status_calls"]) == (1, 0)
    history = await patient_service.run(job_id).fetch_history()
    names = [event.WhichOneof("attributes") for event in history.events]
    signaled = names.index("workflow_execution_signaled_event_attributes")
    assert signaled < names.index("activity_task_completed_event_attributes")


@pytest.mark.fault("W4", "O13")
async def test_a_hundred_webhooks_at_once_have_one_effect(patient_service: Service) -> None:
    job_id = await patient_service.create("again and again [sim: webhook=dup:100]")
    await patient_service.until(job_id, "completed")

    counted = await patient_service.simulated(job_id)
    assert (counted["accepted"], counted["downloads"]) == (1, 1)
    assert (await patient_service.trail(job_id)).count("Completed") == 1
    answers = [delivery["status_code"] for delivery in await patient_service.deliveries(job_id, count=100)]
    assert answers == [200] * 100


async def test_post_is_answered_before_the_provider_accepts(servers: Servers) -> None:
    may_accept = asyncio.Event()
    async with scripted_server() as fal:

        async def always(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await may_accept.wait()
            await json_answer(200, {"status": "IN_QUEUE", "request_id": str(uuid4())})(reader, writer)

        fal.always = always
        async with running_service(servers, fal_queue_base=fal.url, webhook_patience=60) as service:
            job_id = await service.create()
            assert (await service.job(job_id))["status"] == "pending"
            may_accept.set()
            await service.until_accepted(job_id)
            await service.client.post(f"/api/jobs/{job_id}/cancel")
            await service.until(job_id, "canceled")
    assert [seen.method for seen in fal.seen].count("POST") == 1


async def test_provider_that_refuses_the_input_while_running_fails_the_job(patient_service: Service) -> None:
    job_id = await patient_service.create("bad [sim: fail=422]")
    job = await patient_service.until(job_id, "failed")

    assert job["errorCode"] == "provider_rejected"
    assert job["errorMessage"]
    assert job["progress"] == 0
    assert job["actualCostCents"] == 0
    assert await patient_service.closed_as(job_id) == "FAILED"
    assert (await patient_service.trail(job_id))[-1] == job["errorMessage"]
    fresh = await patient_service.create()
    await patient_service.until(fresh, "completed")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("fail=content_policy", "content_policy_violation"),
        ("fail=500", "provider_error"),
        ("fail=504", "provider_error"),
    ],
)
async def test_providers_verdicts_have_their_own_codes(patient_service: Service, fault: str, code: str) -> None:
    job_id = await patient_service.create(f"bad [sim: {fault}]")

    assert (await patient_service.until(job_id, "failed"))["errorCode"] == code


async def test_completed_without_media_is_not_success_until_a_later_look(service: Service) -> None:
    job_id = await service.create("empty at first [sim: webhook=no-media:2s]")
    job = await service.until(job_id, "completed")

    assert job["files"]
    assert any("no media yet" in line for line in await service.trail(job_id))


async def test_finished_generation_is_not_started_again(patient_service: Service) -> None:
    job_id = await patient_service.create("once and for all")
    await patient_service.until(job_id, "completed")
    await patient_service.closed_as(job_id)
    first = await patient_service.run(job_id).describe()
    async with patient_service.sessions() as session:
        row = await session.get_one(GenerationJob, UUID(job_id))
    settings = patient_service.settings
    await GenerationRuns(patient_service.temporal, settings.task_queue, settings.app_url).start(row)

    assert (await patient_service.run(job_id).describe()).run_id == first.run_id


@pytest.mark.fault("P7")
async def test_throttled_submission_waits_and_is_sent_once(patient_service: Service) -> None:
    job_id = await patient_service.create("busy [sim: submit=429]")
    await patient_service.until(job_id, "completed")

    assert (await patient_service.simulated(job_id))["accepted"] == 1
    assert any("Not accepted" in line for line in await patient_service.trail(job_id))


@pytest.mark.fault("S5")
async def test_deadline_looks_once_more_then_withdraws(servers: Servers) -> None:
    async with running_service(servers, webhook_patience=0.5, generation_deadline=2) as service:
        job_id = await service.create("endless [sim: latency=300s]")
        job = await service.until(job_id, "failed")

        assert job["errorCode"] == "deadline_exceeded"
        assert (await service.simulated(job_id))["cancel_calls"] == 1


async def follows_its_queue(servers: Servers, ahead: int, polled: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Status, message, and what it waits for, of a job at its acceptance, and once fal was asked."""
    async with scripted_server() as fal:

        async def always(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            posted = fal.seen[-1].method == "POST"
            accepted = {"status": "IN_QUEUE", "request_id": str(uuid4()), "queue_position": ahead}
            await json_answer(200 if posted else 202, accepted if posted else polled)(reader, writer)

        fal.always = always
        async with running_service(servers, fal_queue_base=fal.url, webhook_patience=60) as service:
            job_id = await service.create()
            accepted = await service.until_accepted(job_id)
            await service.client.post(f"/api/jobs/{job_id}/poll")

            async def is_asked_twice() -> bool:
                await service.client.post(f"/api/jobs/{job_id}/poll")
                return sum(seen.method == "GET" for seen in fal.seen) >= 2

            await eventually(is_asked_twice)
            asked = await service.job(job_id)
            await service.client.post(f"/api/jobs/{job_id}/cancel")
            await service.until(job_id, "canceled")
    facts = ("status", "progressMessage", "waitingFor", "queuePosition")
    return [tuple(job[fact] for fact in facts) for job in (accepted, asked)]


async def test_job_behind_others_is_submitted_until_the_provider_works_on_it(servers: Servers) -> None:
    seen = await follows_its_queue(servers, 2, {"status": "IN_PROGRESS"})

    assert seen == [
        ("submitted", "Queued at fal, 2 ahead", "queue", 2),
        ("in_progress", "Generating at fal", None, None),
    ]


async def test_place_in_the_queue_is_a_fact_of_the_job(servers: Servers) -> None:
    seen = await follows_its_queue(servers, 2, {"status": "IN_QUEUE", "queue_position": 1})

    assert seen == [
        ("submitted", "Queued at fal, 2 ahead", "queue", 2),
        ("submitted", "Queued at fal, 1 ahead", "queue", 1),
    ]


async def test_job_with_nobody_ahead_is_in_progress_and_stays_so(servers: Servers) -> None:
    seen = await follows_its_queue(servers, 0, {"status": "IN_QUEUE", "queue_position": 1})

    assert seen == [("in_progress", "Generating at fal", None, None)] * 2


async def test_manual_poll_finds_a_result_at_once(patient_service: Service) -> None:
    job_id = await patient_service.create("quiet [sim: webhook=lost]")
    job = await patient_service.until_accepted(job_id)

    async def has_ended_unheard() -> bool:
        return bool((await patient_service.servers.simulated_request(job["falRequestId"]))["webhook_settled"])

    await eventually(has_ended_unheard)
    assert (await patient_service.job(job_id))["stage"] == "generating"

    assert (await patient_service.client.post(f"/api/jobs/{job_id}/poll")).status_code == 202
    await patient_service.until(job_id, "completed")

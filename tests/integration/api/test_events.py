"""A job's stream: the job first, then each change, then the end."""

import asyncio
from contextlib import AsyncExitStack

import httpx

from tests.integration.api.shared import problem
from tests.integration.api.streams import Event, opened
from tests.running import Service


async def stream(service: Service, job_id: str, *, after: int | None = None, **query: str) -> list[Event]:
    """All events until the server ends the stream."""
    async with opened(service.client, f"/api/jobs/{job_id}/events", after=after, **query) as events:
        return await events.until_end()


def numbers(events: list[Event]) -> list[int]:
    """The ids, of those that have one."""
    return [event.id for event in events if event.id is not None]


async def test_stream_begins_with_the_job_and_ends_with_its_end(patient_service: Service) -> None:
    job_id = await patient_service.create("watched [sim: latency=1s]")
    events = await stream(patient_service, job_id)

    assert {event.name for event in events} == {"job.updated"}
    assert events[-1].job == await patient_service.job(job_id)
    assert events[-1].status == "completed"
    assert not any(event.status == "completed" for event in events[:-1])
    assert len(numbers(events)) == len(events)
    assert numbers(events) == sorted(set(numbers(events)))
    progress = [event.job["progress"] for event in events]
    assert progress == sorted(progress)


async def test_stream_resumes_without_a_repeat(patient_service: Service) -> None:
    job_id = await patient_service.create("watched again")
    events = await stream(patient_service, job_id)
    first, *_, last = numbers(events)

    assert numbers(await stream(patient_service, job_id, after=first)) == [last]
    assert numbers(await stream(patient_service, job_id, lastEventId=str(first))) == [last]
    assert await stream(patient_service, job_id, after=last) == []


async def test_stream_of_a_finished_job_is_its_end(patient_service: Service) -> None:
    job_id = await patient_service.create("watched too late")
    await patient_service.until(job_id, "completed")
    (event,) = await stream(patient_service, job_id)

    assert event.status == "completed"


async def test_estimate_moves_between_the_changes_for_who_asks(patient_service: Service) -> None:
    job_id = await patient_service.create("expected for long [sim: latency=10m]")
    await patient_service.until_accepted(job_id)
    async with opened(patient_service.client, f"/api/jobs/{job_id}/events", progress="true") as events:
        seen = [await events.next()]
        while seen[-1] and seen[-1].name != "job.progress":
            seen.append(await events.next())
        moved, before = seen[-1], seen[-2]
    await patient_service.client.post(f"/api/jobs/{job_id}/cancel")

    assert moved
    assert before
    assert moved.id is None
    assert moved.job["id"] == job_id
    assert before.job["progress"] < moved.job["progress"] < 75
    assert 0 < moved.job["secondsLeft"] < before.job["secondsLeft"]


async def test_bytes_on_their_way_into_the_archive_move_the_progress(patient_service: Service) -> None:
    job_id = await patient_service.create("a long way home [sim: media=slow:7s]")
    path = f"/api/jobs/{job_id}/events"
    async with (
        opened(patient_service.client, "/api/events", progress="true") as of_all,
        opened(patient_service.client, path, progress="true") as of_one,
        opened(patient_service.client, path) as of_changes,
    ):
        everything = await of_all.until_status(job_id, "completed")
        watched, changes = await of_one.until_end(), await of_changes.until_end()

    for seen in (watched, [event for event in everything if event.job["id"] == job_id]):
        moves = [event.job["progress"] for event in seen if event.name == "job.progress"]
        copying = [percent for percent in moves if percent > 75]
        assert copying, moves
        assert copying == sorted(set(copying))
        assert copying[-1] <= 95
        assert all(event.id is None for event in seen if event.name == "job.progress")
    assert {event.name for event in changes} == {"job.updated"}
    history = (await patient_service.client.get(f"/api/jobs/{job_id}/history")).json()["data"]
    assert sum(line["stage"] == "archiving" for line in history) == 1


async def test_all_jobs_of_the_caller_and_nobody_elses(patient_service: Service, bob: httpx.AsyncClient) -> None:
    before = await patient_service.create("there already")
    await patient_service.until(before, "completed")
    async with opened(patient_service.client, "/api/events") as events:
        snapshot = await events.until_status(before, "completed")
        accepted = await bob.post("/api/generate/voice", json={"text": "bob's"})
        async with opened(bob, f"/api/jobs/{accepted.json()['jobId']}/events") as bobs_events:
            await bobs_events.until_end()
        mine = await patient_service.create("mine")
        changes = await events.until_status(mine, "completed")

    assert len({event.job["id"] for event in snapshot}) == len(snapshot)
    everything = numbers([*snapshot, *changes])
    assert everything == sorted(set(everything))
    assert {event.job["id"] for event in changes} == {mine}
    assert {event.name for event in changes} == {"job.updated"}
    async with opened(bob, "/api/events") as bobs_events:
        assert [event.job["id"] for event in await bobs_events.until_status(accepted.json()["jobId"], "completed")]


async def test_resuming_all_jobs_sends_what_changed_since(patient_service: Service) -> None:
    known = await patient_service.create("known")
    async with opened(patient_service.client, "/api/events") as events:
        *_, last = await events.until_status(known, "completed")
    meanwhile = [await patient_service.create(f"meanwhile {number}") for number in range(3)]
    for job_id in meanwhile:
        await patient_service.until(job_id, "completed")
    async with opened(patient_service.client, "/api/events", after=last.id) as events:
        resumed = [await events.next() for _ in meanwhile]
        fresh = await patient_service.create("fresh")
        assert {event.job["id"] for event in await events.until_status(fresh, "completed")} == {fresh}

    assert {event.job["id"] for event in resumed if event} == set(meanwhile)
    assert all(event and event.id and last.id and event.id > last.id for event in resumed)


async def test_number_that_is_no_event_is_refused(patient_service: Service) -> None:
    for number in ("-1", "x", str(2**63)):
        response = await patient_service.client.get("/api/events", headers={"last-event-id": number})
        problem(response, 422, "INVALID_PARAMS")


async def test_many_readers_of_one_job_see_the_same(patient_service: Service) -> None:
    job_id = await patient_service.create("watched by many [sim: latency=1s]")
    streams = await asyncio.gather(*(stream(patient_service, job_id) for _ in range(5)))

    assert len({tuple(numbers(events)[-2:]) for events in streams}) == 1


async def test_many_readers_of_all_jobs_see_the_same(patient_service: Service) -> None:
    async with AsyncExitStack() as opening:
        streams = [await opening.enter_async_context(opened(patient_service.client, "/api/events")) for _ in range(5)]
        job_id = await patient_service.create("watched from everywhere")
        seen = [numbers(await each.until_status(job_id, "completed")) for each in streams]

    assert len({events[-1] for events in seen}) == 1
    assert all(events == sorted(set(events)) for events in seen)

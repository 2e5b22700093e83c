"""A job's stream: the job first, then each change, then the end."""

import json
from dataclasses import dataclass
from typing import Any

from tests.running import Service


@dataclass(frozen=True)
class Event:
    id: int
    name: str
    job: dict[str, Any]


async def stream(service: Service, job_id: str, *, after: int | None = None) -> list[Event]:
    """All events until the server ends the stream."""
    headers = {} if after is None else {"last-event-id": str(after)}
    events, fields = [], {}
    async with service.client.stream("GET", f"/api/jobs/{job_id}/events", headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
            elif fields:
                events.append(Event(int(fields["id"]), fields["event"], json.loads(fields["data"])))
                fields = {}
    return events


async def test_stream_begins_with_the_job_and_ends_with_its_end(patient_service: Service) -> None:
    job_id = await patient_service.create("watched [sim: latency=1s]")
    events = await stream(patient_service, job_id)

    assert {event.name for event in events} == {"job.updated"}
    assert events[-1].job == await patient_service.job(job_id)
    assert events[-1].job["status"] == "completed"
    assert not any(event.job["status"] == "completed" for event in events[:-1])
    ids = [event.id for event in events]
    assert ids == sorted(set(ids))
    progress = [event.job["progress"] for event in events]
    assert progress == sorted(progress)


async def test_stream_resumes_without_a_repeat(patient_service: Service) -> None:
    job_id = await patient_service.create("watched again")
    events = await stream(patient_service, job_id)
    resumed = await stream(patient_service, job_id, after=events[0].id)

    assert [event.id for event in resumed] == [events[-1].id]
    assert await stream(patient_service, job_id, after=events[-1].id) == []


async def test_stream_of_a_finished_job_is_its_end(patient_service: Service) -> None:
    job_id = await patient_service.create("watched too late")
    await patient_service.until(job_id, "completed")
    (event,) = await stream(patient_service, job_id)

    assert event.job["status"] == "completed"

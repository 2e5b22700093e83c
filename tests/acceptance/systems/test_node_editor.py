"""The node editor, as its document tells it: immediate return, then a poll every few seconds by the request's id."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import update
from sqlmodel import col
from structlog.testing import capture_logs
from temporalio.client import Client, Interceptor, OutboundInterceptor, QueryWorkflowInput

from api.app import create_app
from api.services import services_of
from reelay.db.tables import GenerationJob
from tests.eventually import PATIENCE, eventually
from tests.running import PATIENT, Service, until
from workflows.runs import STATUS_FRESH_SECONDS, GenerationRuns

NODE = {"nodeId": "node-1", "projectId": "project-9", "position": {"x": 1, "y": [2, None]}}


@dataclass
class CountedQueries(Interceptor):
    """How often the engine was asked."""

    asked: int = 0

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return CountingQueries(next, self)


class CountingQueries(OutboundInterceptor):
    def __init__(self, next: OutboundInterceptor, count: CountedQueries) -> None:
        super().__init__(next)
        self._count = count

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:
        self._count.asked += 1
        return await super().query_workflow(input)


@asynccontextmanager
async def api_of(service: Service, counted: CountedQueries) -> AsyncIterator[httpx.AsyncClient]:
    """A second API process of the service, as it were, whose queries are counted."""
    ours = service.temporal
    client = Client(ours.service_client, data_converter=ours.data_converter, interceptors=[counted])
    app = create_app(service.settings, PATIENT)
    async with app.router.lifespan_context(app):
        app.state.services = replace(
            services_of(app), runs=GenerationRuns(client, service.settings.task_queue, None, PATIENT)
        )
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url=service.origin,
            headers=service.client.headers,
            timeout=PATIENCE,
        ) as reader:
            yield reader


async def test_a_node_from_its_post_to_its_video(patient_service: Service, caller: httpx.AsyncClient) -> None:
    """Created at once, polled by the provider's id with what the editor knows already, done."""
    words = {"prompt": "a dancer [sim: latency=10m]", "duration": 5, "aspectRatio": "9:16"}
    created = await caller.post("/api/generate/video", json=words | {"model": "kling-2.5-turbo-pro", "metadata": NODE})
    assert created.status_code == 202
    job_id, address = created.json()["jobId"], created.json()["statusUrl"]

    job = await until(caller, address, "in_progress")
    assert (job["model"], job["metadata"]) == ("kling-2.5-turbo-pro", NODE)
    by_request = f"/api/fal-jobs/{job['falRequestId']}"
    assert (await caller.get(by_request)).json()["id"] == job_id

    seen: list[dict[str, Any]] = []
    unchanged, etag = 0, ""

    async def is_completed() -> bool:
        nonlocal unchanged, etag
        polled = await caller.get(by_request, headers={"if-none-match": etag} if etag else {})
        if polled.status_code == 304:
            unchanged += 1
            if unchanged == 5:
                await patient_service.servers.end_at_provider(job_id)
        else:
            seen.append(polled.json())
        etag = polled.headers["etag"]
        return bool(seen[-1]["status"] == "completed")

    await eventually(is_completed)

    assert unchanged >= 5
    assert {(each["id"], each["status"]) for each in seen} == {(job_id, "pending"), (job_id, "completed")}
    assert seen[-1]["resultUrl"] == seen[-1]["files"][0]["fileUrl"] == seen[-1]["result"]["video"]["url"]


ACTION = {
    "modelId": "fal-ai/kling-video/v2.5-turbo/pro/text-to-video",
    "prompt": "A cat playing piano",
    "images": [],
    "duration": 5,
    "aspectRatio": "16:9",
    "nodeId": "node-123",
    "projectId": "project-456",
}
"""What the editor's action is called with."""


async def use_fal_job(client: httpx.AsyncClient, request_id: str) -> tuple[list[dict[str, Any]], str | None]:
    """The editor's hook: every job that it saw until one was completed or failed, and what it told `onFailed`."""
    seen: list[dict[str, Any]] = []

    async def is_over() -> bool:
        polled = await client.get(f"/api/fal-jobs/{request_id}")
        assert polled.status_code == 200
        seen.append(polled.json())
        return seen[-1]["status"] in ("completed", "failed")

    await eventually(is_over)
    return seen, seen[-1]["error"] if seen[-1]["status"] == "failed" else None


async def test_the_editors_action_and_hook_make_a_video(caller: httpx.AsyncClient) -> None:
    body = ACTION | {"prompt": "A cat playing piano [sim: latency=1s]"}
    result = (await caller.post("/api/jobs", json=body)).json()
    assert "error" not in result
    assert result["nodeData"].keys() == {"status", "requestId", "updatedAt"}
    assert result["nodeData"]["status"] == "pending"
    assert result["nodeData"]["requestId"] == result["requestId"] == result["jobId"]
    datetime.fromisoformat(result["nodeData"]["updatedAt"])

    seen, failure = await use_fal_job(caller, result["nodeData"]["requestId"])
    assert failure is None
    assert {job["status"] for job in seen[:-1]} == {"pending"}
    assert all(job["result"] is job["error"] is None for job in seen[:-1])
    assert {(job["requestId"], job["nodeId"], job["projectId"]) for job in seen} == {
        (result["requestId"], "node-123", "project-456")
    }
    done = seen[-1]
    assert done["input"] == {word: body[word] for word in ("prompt", "images", "duration", "aspectRatio")}
    assert done["metadata"] == {"nodeId": "node-123", "projectId": "project-456"}
    video = await caller.get(done["result"]["video"]["url"])
    assert (video.status_code, video.headers["content-type"]) == (200, "video/mp4")


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/api/generate/voice", {"text": "Hello."}, "audio"),
        ("/api/generate/ambient", {"prompt": "rain", "duration": 2}, "audio"),
        ("/api/generate/first-frame", {"prompt": "a hill", "numImages": 2}, "images"),
        ("/api/generate/transcribe", {"audioUrl": "https://example.com/talk.mp3"}, "text"),
    ],
)
async def test_each_kind_of_result_is_where_the_provider_has_it_with_our_addresses(
    caller: httpx.AsyncClient, path: str, body: dict[str, Any], kind: str
) -> None:
    created = (await caller.post(path, json=body)).json()
    (*_, done), _ = await use_fal_job(caller, created["requestId"])

    files = [{"url": file["fileUrl"]} for file in done["files"]]
    shapes = {"audio": {"audio": files[0]}, "images": {"images": files}, "text": done["resultData"]}
    assert done["result"] == shapes[kind]
    assert len(files) == {"audio": 1, "images": 2, "text": 3}[kind]


async def test_a_failure_ends_the_polling_with_its_text(caller: httpx.AsyncClient) -> None:
    created = (await caller.post("/api/jobs", json=ACTION | {"prompt": "[sim: fail=content_policy]"})).json()
    (*_, failed), told = await use_fal_job(caller, created["requestId"])
    job = (await caller.get(created["statusUrl"])).json()

    assert told == job["errorMessage"]
    assert (failed["result"], job["status"]) == (None, "failed")


async def test_a_cancellation_ends_the_polling_too(caller: httpx.AsyncClient) -> None:
    created = (await caller.post("/api/jobs", json=ACTION | {"prompt": "[sim: latency=10m]"})).json()
    await caller.post(f"{created['statusUrl']}/cancel")
    (*_, canceled), told = await use_fal_job(caller, created["requestId"])

    assert told
    assert (canceled["status"], canceled["result"]) == ("failed", None)
    assert (await caller.get(created["statusUrl"])).json()["status"] == "canceled"


async def test_an_id_of_ours_goes_before_the_same_id_of_a_provider(
    patient_service: Service, caller: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    ours = (await caller.post("/api/jobs", json=ACTION | {"prompt": "[sim: latency=10m]"})).json()["jobId"]
    other = (await caller.post("/api/jobs", json=ACTION)).json()["jobId"]
    strangers = (await stranger.post("/api/jobs", json=ACTION)).json()["jobId"]
    for client, job_id in ((caller, other), (stranger, strangers)):
        await until(client, f"/api/jobs/{job_id}", "completed")
    await until(caller, f"/api/jobs/{ours}", "submitted", "in_progress")
    async with patient_service.sessions.begin() as session:
        of_other = update(GenerationJob).where(col(GenerationJob.id) == UUID(other))
        await session.execute(of_other.values(provider_request_id=ours, provider="replicate"))

    assert (await caller.get(f"/api/fal-jobs/{ours}")).json()["id"] == ours
    for nobodys in (strangers, "nothing"):
        unknown = await caller.get(f"/api/fal-jobs/{nobodys}")
        assert (unknown.status_code, unknown.json()["error"]) == (404, "Job not found")
    await caller.post(f"/api/jobs/{ours}/cancel")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"nodeId": "node-1", "metadata": {"nodeId": "node-2"}}, "nodeId"),
        ({"projectId": "x" * 201}, "projectId"),
        ({"images": ["https://example.com/a.png", "https://example.com/b.png"]}, "images"),
    ],
)
async def test_what_contradicts_itself_is_refused(caller: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    refused = await caller.post("/api/jobs", json=ACTION | {"modelId": "veo3.1", "duration": 4} | body)
    assert [error["field"] for error in refused.json()["errors"]] == [field]


async def test_images_of_the_action_are_the_first_frame(patient_service: Service) -> None:
    body = ACTION | {"modelId": "kling-2.5-turbo-pro", "images": ["https://example.com/a.png"]}
    del body["aspectRatio"]
    job = await patient_service.until(
        (await patient_service.client.post("/api/jobs", json=body)).json()["jobId"], "completed"
    )
    asked = await patient_service.servers.simulated_request(job["falRequestId"])
    assert asked["endpoint"].endswith("/image-to-video")
    assert asked["input"]["image_url"] == "https://example.com/a.png"


async def test_a_repeated_action_gets_the_first_answer_again(caller: httpx.AsyncClient) -> None:
    headers = {"idempotency-key": "node-123"}
    first, again = [await caller.post("/api/jobs", json=ACTION, headers=headers) for _ in range(2)]
    assert (again.status_code, again.content) == (202, first.content)


async def test_a_created_job_is_logged_once(caller: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        for _ in range(2):
            created = await caller.post("/api/jobs", json=ACTION, headers={"idempotency-key": "logged"})
    (line,) = [line for line in lines if line["event"] == "job_created"]
    assert line == {
        "event": "job_created",
        "log_level": "info",
        "job_id": created.json()["jobId"],
        "model": "kling-2.5-turbo-pro",
        "provider": "fal",
        "estimated_cost_cents": 35,
        "route": "/api/jobs",
    }


async def test_what_the_editor_knows_is_echoed_everywhere(caller: httpx.AsyncClient) -> None:
    created = await caller.post("/api/generate/video", json={"prompt": "a dancer", "metadata": NODE})
    address = created.json()["statusUrl"]
    done = await until(caller, address, "completed")
    (listed,) = (await caller.get("/api/jobs")).json()["data"]
    (video,) = (await caller.get("/api/videos/user")).json()["data"]
    told = (await caller.get(f"{address}/events")).text

    assert [each["metadata"] for each in (created.json(), done, listed, video)] == [NODE] * 4
    assert '"nodeId":"node-1"' in told


async def test_unchanged_job_is_not_sent_again(caller: httpx.AsyncClient) -> None:
    created = await caller.post("/api/generate/video", json={"prompt": "a dancer"})
    address = created.json()["statusUrl"]
    await until(caller, address, "completed")
    first = await caller.get(address)
    etag = first.headers["etag"]

    for known in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        again = await caller.get(address, headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert (await caller.get(address, headers={"if-none-match": '"other"'})).json() == first.json()
    assert first.headers["cache-control"] == "no-store"


async def test_living_jobs_say_when_to_come_back(caller: httpx.AsyncClient) -> None:
    created = await caller.post("/api/generate/video", json={"prompt": "a dancer [sim: latency=10m]"})
    address = created.json()["statusUrl"]
    living = await caller.get(address)
    known = await caller.get(address, headers={"if-none-match": "*"})
    await caller.post(f"{address}/cancel")
    await until(caller, address, "canceled")

    assert int(living.headers["retry-after"]) >= 1
    assert known.headers["retry-after"] == living.headers["retry-after"]
    assert "retry-after" not in (await caller.get(address)).headers


@pytest.mark.parametrize("etag", ["", "W/", "é".encode().decode("latin-1"), "x" * 5000, ",,,"])
async def test_odd_tags_are_no_match(caller: httpx.AsyncClient, etag: str) -> None:
    created = await caller.post("/api/generate/video", json={"prompt": "a dancer [sim: latency=10m]"})
    address = created.json()["statusUrl"]

    assert (await caller.get(address, headers=[(b"if-none-match", etag.encode("latin-1"))])).status_code == 200
    await caller.post(f"{address}/cancel")


async def test_fifty_readers_cost_the_engine_one_query_a_second(patient_service: Service) -> None:
    counted = CountedQueries()
    job_id = await patient_service.create("watched by many [sim: latency=10m]")
    request_id = (await patient_service.until_accepted(job_id))["falRequestId"]
    async with api_of(patient_service, counted) as reader:
        began = time.monotonic()
        for _ in range(6):
            answers = await asyncio.gather(*(reader.get(f"/api/fal-jobs/{request_id}") for _ in range(50)))
            assert {answer.json()["source"] for answer in answers} == {"workflow"}
        lasted = time.monotonic() - began

    assert 1 <= counted.asked <= lasted / STATUS_FRESH_SECONDS + 1
    await patient_service.client.post(f"/api/jobs/{job_id}/cancel")


async def test_finished_job_costs_the_engine_nothing(patient_service: Service) -> None:
    counted = CountedQueries()
    job_id = await patient_service.create()
    await patient_service.until(job_id, "completed")
    async with api_of(patient_service, counted) as reader:
        for _ in range(3):
            assert (await reader.get(f"/api/jobs/{job_id}")).json()["source"] == "database"

    assert counted.asked == 0

"""The node editor, as its document tells it: immediate return, then a poll every few seconds by the request's id."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from temporalio.client import Client, Interceptor, OutboundInterceptor, QueryWorkflowInput

from api.app import create_app
from api.live import FRESH_SECONDS, LiveStatus
from api.services import services_of
from tests.running import Service
from tests.systems.reading import until

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
    app = create_app(service.settings)
    async with app.router.lifespan_context(app):
        app.state.services = replace(services_of(app), live=LiveStatus(client))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=service.origin, headers=service.client.headers
        ) as reader:
            yield reader


async def test_a_node_from_its_post_to_its_video(patient_service: Service, caller: httpx.AsyncClient) -> None:
    """Created at once, polled by the request's id with what the editor knows already, done."""
    words = {"prompt": "a dancer [sim: latency=2s]", "duration": 5, "aspectRatio": "9:16"}
    created = await caller.post("/api/generate/video", json=words | {"model": "kling-2.5-turbo-pro", "metadata": NODE})
    assert created.status_code == 202
    job_id, address = created.json()["jobId"], created.json()["statusUrl"]

    job = await until(caller, address, "submitted", "in_progress")
    assert (job["model"], job["metadata"]) == ("kling-2.5-turbo-pro", NODE)
    by_request = f"/api/fal-jobs/{job['falRequestId']}"
    assert (await caller.get(by_request)).json()["id"] == job_id

    seen: list[dict[str, Any]] = []
    unchanged, etag = 0, ""
    async with asyncio.timeout(20):
        while not seen or seen[-1]["status"] != "completed":
            polled = await caller.get(by_request, headers={"if-none-match": etag} if etag else {})
            unchanged += polled.status_code == 304
            if polled.status_code == 200:
                seen.append(polled.json())
            etag = polled.headers["etag"]
            await asyncio.sleep(0.05)

    assert unchanged > len(seen)
    assert {(each["id"], each["status"]) for each in seen} <= {
        (job_id, "submitted"),
        (job_id, "in_progress"),
        (job_id, "completed"),
    }
    assert seen[-1]["resultUrl"] == seen[-1]["files"][0]["fileUrl"]


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
    assert first.headers["cache-control"] == "private, no-cache"


async def test_living_jobs_say_when_to_come_back(caller: httpx.AsyncClient) -> None:
    created = await caller.post("/api/generate/video", json={"prompt": "a dancer [sim: latency=60s]"})
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
    created = await caller.post("/api/generate/video", json={"prompt": "a dancer [sim: latency=60s]"})
    address = created.json()["statusUrl"]

    assert (await caller.get(address, headers=[(b"if-none-match", etag.encode("latin-1"))])).status_code == 200
    await caller.post(f"{address}/cancel")


async def test_fifty_readers_cost_the_engine_one_query_a_second(patient_service: Service) -> None:
    counted = CountedQueries()
    job_id = await patient_service.create("watched by many [sim: latency=60s]")
    request_id = (await patient_service.until(job_id, "submitted"))["falRequestId"]
    async with api_of(patient_service, counted) as reader:
        began = time.monotonic()
        for _ in range(6):
            answers = await asyncio.gather(*(reader.get(f"/api/fal-jobs/{request_id}") for _ in range(50)))
            assert {answer.json()["source"] for answer in answers} == {"workflow"}
        lasted = time.monotonic() - began

    assert 1 <= counted.asked <= lasted / FRESH_SECONDS + 1
    await patient_service.client.post(f"/api/jobs/{job_id}/cancel")


async def test_finished_job_costs_the_engine_nothing(patient_service: Service) -> None:
    counted = CountedQueries()
    job_id = await patient_service.create()
    await patient_service.until(job_id, "completed")
    async with api_of(patient_service, counted) as reader:
        for _ in range(3):
            assert (await reader.get(f"/api/jobs/{job_id}")).json()["source"] == "database"

    assert counted.asked == 0

"""What one caller may hold and keep: streams, rows, bytes; and what is answered to whoever asks without a key."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from tests.eventually import eventually
from tests.integration.api.shared import problem, wrong_fields
from tests.integration.api.test_problems import database_away
from tests.running import Service, running_service
from tests.servers import Database, Servers

STREAMS = "/api/events"
LIMITS: dict[str, Any] = {
    "event_streams_per_user": 2,
    "event_streams_per_address": 3,
    "campaigns_per_user": 2,
    "clips_per_user": 3,
}


@pytest.fixture(scope="module")
async def database(servers: Servers) -> Database:
    return await servers.postgres.copy()


@pytest.fixture(scope="module")
async def generous(servers: Servers, database: Database) -> AsyncIterator[Service]:
    async with running_service(servers, database=database) as service:
        yield service


@pytest.fixture(scope="module")
async def strict(servers: Servers, database: Database, generous: Service) -> AsyncIterator[Service]:
    """Another process of the same service, with small limits."""
    async with running_service(servers, worker=False, database=database, **LIMITS) as service:
        yield service


def refused_for_streams(answer: httpx.Response) -> bool:
    problem(answer, 429, "RATE_LIMITED")
    return int(answer.headers["retry-after"]) >= 1


async def opens_again(client: httpx.AsyncClient) -> bool:
    async with client.stream("GET", STREAMS) as response:
        return response.status_code == 200


async def hold_open(client: httpx.AsyncClient, streams: AsyncExitStack) -> bool:
    """Whether it was let in. That another one was closed, the server hears a moment later."""
    response = await client.send(client.build_request("GET", STREAMS), stream=True)
    if response.status_code != 200:
        await response.aclose()
        return False
    streams.push_async_callback(response.aclose)
    return True


async def test_no_more_than_so_many_streams_of_one_user_are_open(strict: Service) -> None:
    async with await strict.user("gil") as gil, await strict.user("bob") as bob:
        async with AsyncExitStack() as streams:
            for _ in range(2):
                await eventually(partial(hold_open, gil, streams))
            assert refused_for_streams(await gil.get(STREAMS))
            await eventually(partial(opens_again, bob))
        await eventually(partial(opens_again, gil))


async def test_no_more_than_so_many_streams_of_one_address_are_open(strict: Service) -> None:
    async with await strict.user("dan") as dan, await strict.user("eve") as eve, AsyncExitStack() as streams:
        for client in (dan, dan, eve):
            await eventually(partial(hold_open, client, streams))
        assert refused_for_streams(await eve.get(STREAMS))


async def test_no_more_than_so_many_campaigns_and_clips(strict: Service) -> None:
    async with await strict.user("fay") as fay:
        key = {"idempotency-key": "the first"}
        first = await fay.post("/api/campaigns", json={"name": "1"}, headers=key)
        assert (await fay.post("/api/campaigns", json={"name": "2"})).status_code == 201
        problem(await fay.post("/api/campaigns", json={"name": "3"}), 409, "CONFLICT")
        assert (await fay.post("/api/campaigns", json={"name": "1"}, headers=key)).json() == first.json()
        assert len((await fay.get("/api/campaigns")).json()["data"]) == 2

        campaign = f"/api/campaigns/{first.json()['id']}"
        clips = [await fay.post(f"{campaign}/clips", json={"title": str(number)}) for number in range(4)]
        assert [clip.status_code for clip in clips] == [201, 201, 201, 409]
        await fay.delete(f"/api/clips/{clips[0].json()['id']}")
        assert (await fay.post(f"{campaign}/clips", json={"title": "instead"})).status_code == 201
        await fay.delete(campaign)
        assert (await fay.post("/api/campaigns", json={"name": "3"})).status_code == 201


async def test_with_the_storage_full_nothing_new_is_made_and_nothing_is_lost(
    servers: Servers, generous: Service, database: Database
) -> None:
    under_way = await generous.create("under way [sim: latency=10m]")
    key = {"idempotency-key": "before it was full"}
    repeated = {"prompt": "a harbour", "quality": "fast"}
    done = (await generous.client.post("/api/generate/video", json=repeated, headers=key)).json()
    await generous.until(done["jobId"], "completed")
    await generous.until_accepted(under_way)
    async with running_service(servers, worker=False, database=database, storage_per_user_bytes=1) as full:
        before = (await full.client.get("/api/credits")).json()
        refused = problem(await full.client.post("/api/generate/video", json=repeated), 409, "CONFLICT")
        assert " of 1 bytes" in refused["detail"]
        again = await full.client.post("/api/generate/video", json=repeated, headers=key)
        assert (again.status_code, again.json()["jobId"]) == (202, done["jobId"])
        async with await full.user("somebody else") as other:
            assert (await other.post("/api/generate/video", json=repeated)).status_code == 202
        assert (await full.client.get("/api/credits")).json() == before
    await servers.end_at_provider(under_way)
    assert (await generous.until(under_way, "completed"))["files"]


@pytest.mark.parametrize(
    "value",
    [[1e308] * 100, [1e-300] * 100, {"deep": [{"er": -1e300}] * 100}, "é" * 17_000, [None] * 3000],
    ids=["large", "small", "deep", "text", "many"],
)
async def test_metadata_is_measured_as_it_is_stored(patient_service: Service, value: Any) -> None:
    for path, body in (("/api/generate/video", {"prompt": "x"}), ("/api/campaigns", {"name": "x"})):
        refused = await patient_service.client.post(path, json={**body, "metadata": {"a": value}})
        assert wrong_fields(refused) == ["metadata"]


async def test_what_is_stored_is_no_longer_than_the_limit(patient_service: Service) -> None:
    metadata: dict[str, list[Any] | str] = {"a": [1e308] * 50, "b": "é" * 500, "c": [1.5, True, None, 2**80]}
    created = await patient_service.client.post("/api/campaigns", json={"name": "x", "metadata": metadata})
    assert [float(number) for number in created.json()["metadata"]["a"]] == metadata["a"]
    assert len(created.text) < 17_000


async def test_all_who_ask_at_once_share_one_readiness(servers: Servers) -> None:
    async with running_service(servers, worker=False) as service, database_away(service):
        with capture_logs() as lines:
            answers = await asyncio.gather(*(service.client.get("/readyz") for _ in range(60)))
    assert {answer.status_code for answer in answers} == {503}
    found_out = [line for line in lines if (line["event"], line.get("part")) == ("part_not_ready", "postgres")]
    assert 1 <= len(found_out) < 20  # a second's worth of answers each, and sixty without


@pytest.mark.parametrize(
    "path", ["/api/credits", "/api/jobs", "/api/nothing", "/api/models", "/readyz", "/openapi.json"]
)
async def test_answers_are_not_kept_and_not_guessed_at(patient_service: Service, path: str) -> None:
    answer = await patient_service.client.get(path)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_jobs_answer_is_not_kept_either(patient_service: Service) -> None:
    job_id = await patient_service.create()
    answer = await patient_service.client.get(f"/api/jobs/{job_id}")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["etag"]


async def test_the_documentations_files_may_be_kept(patient_service: Service) -> None:
    answer = await patient_service.client.get("/docs/assets/swagger-ui.css")
    assert "cache-control" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_documentation_runs_no_script_but_its_own(patient_service: Service) -> None:
    answer = await patient_service.client.get("/docs")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self' 'sha256-" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]


@pytest.mark.parametrize("path", ["/api/jobs/", "/api/campaigns/", "/docs/", "/web"])
async def test_a_slash_too_many_leads_nowhere(patient_service: Service, path: str) -> None:
    answer = await patient_service.client.get(path, headers={"host": "evil.example"})
    assert answer.status_code == 404
    assert "location" not in answer.headers

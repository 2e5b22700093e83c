"""Many jobs by one request: all of them or none, and one place that tells what became of them."""

import csv
import io
from typing import Any
from uuid import uuid4

import httpx

from tests.eventually import eventually
from tests.integration.api.shared import wrong_fields
from tests.running import Service

JOB = {"model": "veo3.1-fast", "input": {"prompt": "a harbour"}}
LONG = {"model": "veo3.1-fast", "input": {"prompt": "a harbour [sim: latency=10m]"}}


async def create(client: httpx.AsyncClient, *jobs: dict[str, Any], **words: Any) -> dict[str, Any]:
    response = await client.post("/api/batches", json={"jobs": list(jobs), **words})
    assert response.status_code == 202, response.text
    created: dict[str, Any] = response.json()
    assert response.headers["location"] == created["statusUrl"]
    return created


async def read(client: httpx.AsyncClient, batch_id: str) -> dict[str, Any]:
    response = await client.get(f"/api/batches/{batch_id}")
    assert response.status_code == 200, response.text
    batch: dict[str, Any] = response.json()
    return batch


async def test_jobs_of_a_batch_run_and_what_they_made_is_listed_together(service: Service) -> None:
    jobs = [JOB, JOB | {"externalId": f"second {uuid4()}"}, {"model": "nano-banana", "input": {"prompt": "a boat"}}]
    created = await create(service.client, *jobs, metadata={"shoot": 7})
    assert len(created["jobIds"]) == 3
    shown = await service.client.get("/api/jobs", params={"batchId": created["batchId"]})
    assert {job["id"] for job in shown.json()["data"]} == set(created["jobIds"])

    async def is_done() -> dict[str, Any]:
        batch = await read(service.client, created["batchId"])
        assert batch["status"] == "completed"
        return batch

    batch = await eventually(is_done)
    assert (batch["total"], batch["counts"]["completed"], batch["progress"]) == (3, 3, 100)
    assert (batch["metadata"], batch["estimatedCompletionAt"]) == ({"shoot": 7}, None)
    assert batch["estimatedCostCents"] == created["estimatedCostCents"] >= batch["creditsDeducted"] > 0

    listed = (await service.client.get(f"/api/batches/{created['batchId']}/results")).json()["data"]
    assert [each["jobId"] for each in listed] == created["jobIds"]
    assert listed[1]["externalId"] == jobs[1]["externalId"]
    for each in listed:
        assert (await service.client.get(each["files"][0])).status_code == 200
    table = await service.client.get(f"/api/batches/{created['batchId']}/results.csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["job_id"] for row in rows] == created["jobIds"]
    assert {row["status"] for row in rows} == {"completed"}


async def test_a_dry_run_tells_the_price_and_what_would_be_refused_and_leaves_nothing(service: Service) -> None:
    async def dry_run(*jobs: dict[str, Any]) -> httpx.Response:
        return await service.client.post("/api/batches?dryRun=1", json={"jobs": list(jobs)})

    credits = (await service.client.get("/api/credits")).json()
    answer = await dry_run(JOB, JOB)
    price = (await service.client.post("/api/estimate", json=JOB)).json()["estimatedCostCents"]
    assert (answer.status_code, answer.json()) == (200, {"total": 2, "estimatedCostCents": 2 * price})
    assert wrong_fields(await dry_run(JOB, {"model": "no-such-model"})) == ["jobs.1.model"]
    async with await service.user("who has one cent", credits=1) as poor:
        assert (await poor.post("/api/batches?dryRun=1", json={"jobs": [JOB]})).status_code == 402
    assert (await service.client.get("/api/credits")).json() == credits
    assert (await service.client.get("/api/jobs")).json()["data"] == []


async def test_every_wrong_job_is_named_and_none_is_created(service: Service) -> None:
    too_long = {"model": "veo3.1-fast", "input": {"prompt": "a harbour", "duration": 99}}
    wrong = [JOB, {"model": "no-such-model", "input": {}}, too_long]
    response = await service.client.post("/api/batches", json={"jobs": wrong})
    assert (response.status_code, response.json()["code"]) == (422, "INVALID_PARAMS")
    fields = [error["field"] for error in response.json()["errors"]]
    assert any(field.startswith("jobs.1.") for field in fields)
    assert any(field == "jobs.2.duration" for field in fields)
    assert not any(field.startswith("jobs.0") for field in fields)
    for size in (0, 1001):
        refused = await service.client.post("/api/batches", json={"jobs": [JOB] * size})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "jobs")
    assert (await service.client.get("/api/jobs")).json()["data"] == []
    assert (await service.client.get("/api/credits")).json()["heldCents"] == 0


async def test_files_that_jobs_start_from_are_the_callers_own_and_finished(service: Service) -> None:
    def starting_from(reference: str) -> dict[str, Any]:
        return {"model": "veo3.1-fast", "input": {"prompt": "it moves", "firstFrameUrl": reference}}

    frame = {"model": "nano-banana", "input": {"prompt": "a boat"}}
    (frame_id,) = (await create(service.client, frame))["jobIds"]
    await service.until(frame_id, "completed")
    (video_id,) = (await create(service.client, starting_from(f"job:{frame_id}")))["jobIds"]
    await service.until(video_id, "completed")
    running = await service.create("running [sim: latency=10m]")
    before = (await service.client.get("/api/credits")).json()

    jobs = [JOB, starting_from(f"asset:{uuid4()}"), starting_from(f"job:{running}")]
    refused = await service.client.post("/api/batches", json={"jobs": jobs})
    assert refused.status_code == 422, refused.text
    assert [error["field"] for error in refused.json()["errors"]] == ["jobs.1.firstFrameUrl"]
    unfinished = await service.client.post("/api/batches", json={"jobs": [JOB, starting_from(f"job:{running}")]})
    assert (unfinished.status_code, unfinished.json()["code"]) == (409, "CONFLICT")
    assert (await service.client.get("/api/credits")).json() == before


async def test_credits_suffice_for_all_or_none_is_created(service: Service) -> None:
    price = (await service.client.post("/api/estimate", json=JOB)).json()["estimatedCostCents"]
    async with await service.user(f"poor {uuid4()}", credits=2 * price) as poor:
        response = await poor.post("/api/batches", json={"jobs": [JOB] * 3})
        assert (response.status_code, response.json()["code"]) == (402, "INSUFFICIENT_CREDITS")
        assert (await poor.get("/api/jobs")).json()["data"] == []
        assert (await poor.get("/api/credits")).json()["heldCents"] == 0
        assert len((await create(poor, JOB, JOB))["jobIds"]) == 2


async def test_batch_with_a_key_is_created_once(service: Service) -> None:
    headers = {"idempotency-key": str(uuid4())}
    first = await service.client.post("/api/batches", json={"jobs": [LONG, LONG]}, headers=headers)
    again = await service.client.post("/api/batches", json={"jobs": [LONG, LONG]}, headers=headers)
    other = await service.client.post("/api/batches", json={"jobs": [LONG]}, headers=headers)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len((await service.client.get("/api/jobs")).json()["data"]) == 2
    canceled = await service.client.post(f"/api/batches/{first.json()['batchId']}/cancel")
    assert canceled.status_code == 202

    async def is_canceled() -> bool:
        return bool((await read(service.client, first.json()["batchId"]))["counts"]["canceled"] == 2)

    await eventually(is_canceled)
    assert (await service.client.get("/api/credits")).json()["heldCents"] == 0


async def test_batches_of_others_are_not_found(service: Service) -> None:
    created = await create(service.client, LONG)
    async with await service.user(f"stranger {uuid4()}") as stranger:
        for call in ("", "/results", "/results.csv"):
            assert (await stranger.get(f"/api/batches/{created['batchId']}{call}")).status_code == 404
        assert (await stranger.post(f"/api/batches/{created['batchId']}/cancel")).status_code == 404
    assert (await read(service.client, created["batchId"]))["counts"]["canceled"] == 0
    await service.client.post(f"/api/batches/{created['batchId']}/cancel")

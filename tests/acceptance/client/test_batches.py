"""Batches by the clients."""

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest

from reelay_client import AsyncReelay, InvalidInput, Reelay
from tests.acceptance.client.test_client import key_of
from tests.node import run_node
from tests.running import Service

JOB: dict[str, Any] = {"model": "veo3.1-fast", "input": {"prompt": "a harbour"}}
REFUSED: dict[str, Any] = {"model": "veo3.1-fast", "input": {"prompt": "a harbour [sim: fail=422]"}}
CALLS = """
import * as reelay from "reelay-client";

reelay.configureReelay({ baseUrl: process.env.ORIGIN, apiKey: process.env.KEY });
const job = { model: "veo3.1-fast", input: { prompt: "a harbour" } };
const created = await reelay.createBatch([job, job], { metadata: { shoot: 7 }, idempotencyKey: "once" });
const again = await reelay.createBatch([job, job], { metadata: { shoot: 7 }, idempotencyKey: "once" });
let last;
for await (const batch of reelay.watchBatch(created.batchId, { pollInterval: 200 })) last = batch;
const results = await reelay.batchResults(created.batchId);
const canceled = await reelay.cancelBatch(created.batchId);
console.log(JSON.stringify({ created, again, last, results, canceled }));
"""


async def test_the_python_client_creates_a_batch_and_follows_it(service: Service) -> None:
    async with AsyncReelay(service.origin, key_of(service)) as reelay:
        created = await reelay.create_batch([JOB, REFUSED], metadata={"shoot": 7})
        states = [batch async for batch in reelay.watch_batch(created.batch_id, poll_seconds=0.1)]
        results = await reelay.batch_results(created.batch_id)
        with pytest.raises(InvalidInput) as wrong:
            await reelay.create_batch([JOB, {"model": "no-such-model", "input": {}}])

    assert [batch.has_ended for batch in states] == [False] * (len(states) - 1) + [True]
    assert (states[-1].counts["completed"], states[-1].counts["failed"]) == (1, 1)
    assert (states[-1].metadata, states[-1].progress) == ({"shoot": 7}, 100)
    assert [result.job_id for result in results] == created.job_ids
    assert [len(result.files) for result in results] == [1, 0]
    assert results[1].error_code == "provider_rejected"
    assert wrong.value.errors[0]["field"].startswith("jobs.1.")


async def test_so_does_the_one_without_asyncio(service: Service) -> None:
    def cancel() -> tuple[list[UUID], int]:
        with Reelay(service.origin, key_of(service)) as reelay:
            long = JOB | {"input": {"prompt": "a harbour [sim: latency=10m]"}}
            created = reelay.create_batch([long, long], idempotency_key="twice")
            assert reelay.create_batch([long, long], idempotency_key="twice").batch_id == created.batch_id
            assert reelay.batch(created.batch_id).status == "running"
            reelay.cancel_batch(created.batch_id)
            *_, last = reelay.watch_batch(created.batch_id, poll_seconds=0.1)
            assert [result.status for result in reelay.batch_results(created.batch_id)] == ["canceled"] * 2
            return created.job_ids, last.counts["canceled"]

    jobs, canceled = await asyncio.to_thread(cancel)
    assert (len(jobs), canceled) == (2, 2)


async def test_so_does_the_javascript_client(service: Service) -> None:
    variables = {"ORIGIN": service.origin, "KEY": key_of(service)}
    answer = await asyncio.to_thread(run_node, "node", "--input-type=module", "--eval", CALLS, variables=variables)
    said = json.loads(answer)
    assert said["created"] == said["again"]
    assert (said["last"]["status"], said["last"]["counts"]["completed"]) == ("completed", 2)
    assert said["last"]["metadata"] == {"shoot": 7}
    assert [result["jobId"] for result in said["results"]] == said["created"]["jobIds"]
    assert all(len(result["files"]) == 1 for result in said["results"])
    assert said["canceled"] == said["last"]

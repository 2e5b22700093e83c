"""With `PAYLOAD_KEYS` nobody who reads Temporal reads what users asked for, and no run is lost over a key."""

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import pytest
from google.protobuf.json_format import MessageToJson
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    GetWorkflowExecutionHistoryRequest,
)

from reelay.settings import Settings
from tests.eventually import eventually
from tests.running import Service, running_service
from tests.servers import Servers
from workflows.client import connect
from workflows.ids import workflow_id

FIRST, SECOND = (f"{name}:{b64encode(name.encode() * 8).decode()}" for name in ("key1", "key2"))
PROMPT = "zanzibar lighthouse"
SIGNED = "https://media.example.com/first.png?X-Amz-Signature=quagga"


@pytest.fixture(scope="module")
async def encrypted(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, webhook_patience=3, payload_keys=FIRST) as service:
        yield service


async def history(service: Service, job_id: str) -> list[HistoryEvent]:
    """As it is stored."""
    request = GetWorkflowExecutionHistoryRequest(
        namespace=service.temporal.namespace,
        execution=WorkflowExecution(workflow_id=workflow_id(UUID(job_id))),
        maximum_page_size=1000,
    )
    return list((await service.temporal.workflow_service.get_workflow_execution_history(request)).history.events)


async def stored(service: Service, job_id: str) -> bytes:
    """All that Temporal has of the job's run."""
    described = await service.temporal.workflow_service.describe_workflow_execution(
        DescribeWorkflowExecutionRequest(
            namespace=service.temporal.namespace,
            execution=WorkflowExecution(workflow_id=workflow_id(UUID(job_id))),
        )
    )
    return b"\n".join(message.SerializeToString() for message in (described, *await history(service, job_id)))


@asynccontextmanager
async def worker_with(service: Service, keys: str | None) -> AsyncIterator[Service]:
    """Another worker on the service's queue, as if started with these keys."""
    settings = Settings.model_validate(service.settings.model_dump() | {"payload_keys": keys})
    another = replace(service, settings=settings, temporal=await connect(settings.encryption_keys))
    async with another.worker():
        yield another


@pytest.mark.fault("O15")
@pytest.mark.parametrize("directive", ["", "[sim: fail=content_policy]", "[sim: webhook=lost, fail=422]"])
async def test_a_history_holds_neither_prompt_nor_address(encrypted: Service, directive: str) -> None:
    job_id = await encrypted.create(f"{PROMPT} {directive}".strip(), firstFrameUrl=SIGNED)
    job = await encrypted.until(job_id, "failed" if directive else "completed")
    await encrypted.closed_as(job_id)

    found = await stored(encrypted, job_id)
    files = [file["filePath"] for file in job["files"]]
    for word in (PROMPT, "lighthouse", SIGNED, "quagga", job["providerUrl"], job["errorMessage"], *files):
        assert not word or word.encode() not in found, word
    assert b"key1" in found
    assert b"Traceback" not in found


@pytest.mark.fault("O16")
async def test_a_key_is_rotated_while_runs_go_on(servers: Servers) -> None:
    async with running_service(servers, worker=False, webhook_patience=60, payload_keys=FIRST) as service:
        started_before = await service.create(f"{PROMPT} [sim: latency=10m]")
        async with worker_with(service, f"{FIRST},{SECOND}"):
            await service.until_accepted(started_before)
        async with worker_with(service, f"{SECOND},{FIRST}"):
            await service.servers.end_at_provider(started_before)
            await service.until(started_before, "completed")
            await eventually(lambda: ended(service, started_before))
        found = await stored(service, started_before)
    assert b"key1" in found
    assert b"key2" in found


async def ended(service: Service, job_id: str) -> bool:
    return (await history(service, job_id))[-1].HasField("workflow_execution_completed_event_attributes")


async def test_what_was_stored_before_there_were_keys_is_read(servers: Servers) -> None:
    async with running_service(servers, worker=False, webhook_patience=60) as service:
        job_id = await service.create(PROMPT)
        assert PROMPT.encode() in await stored(service, job_id)
        async with worker_with(service, FIRST):
            await service.until(job_id, "completed")


@pytest.mark.fault("O16")
async def test_a_run_waits_for_a_worker_with_the_key(servers: Servers) -> None:
    async with running_service(servers, worker=False, webhook_patience=60, payload_keys=FIRST) as service:
        job_id = await service.create(PROMPT)

        async def refusals() -> list[str]:
            events = await history(service, job_id)
            failures = [event.workflow_task_failed_event_attributes.failure for event in events]
            return [MessageToJson(failure) for failure in failures if failure.message]

        async with worker_with(service, None):
            (refusal,) = await eventually(refusals)
            assert "'key1', which PAYLOAD_KEYS does not have here" in refusal
        assert (await service.job(job_id))["status"] == "pending"
        async with worker_with(service, FIRST):
            await service.until(job_id, "completed")

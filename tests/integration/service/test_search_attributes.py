"""A Temporal namespace in which nobody has created our search attributes."""

from datetime import timedelta
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from lab.devstack.temporal import EmbeddedTemporal
from tests.eventually import eventually
from tests.running import running_service
from tests.servers import Servers
from workflows.search_attributes import (
    SEARCH_ATTRIBUTES,
    creating_command,
    register_search_attributes,
    search_attribute_trouble,
)


@pytest.fixture
async def bare(temporal: EmbeddedTemporal) -> Client:
    """A client of a new namespace."""
    name = f"bare-{uuid4()}"
    retention = Duration(seconds=int(timedelta(days=1).total_seconds()))
    anywhere = await Client.connect(temporal.address)
    await anywhere.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=retention)
    )
    client = await Client.connect(temporal.address, namespace=name)

    async def is_known() -> bool:
        try:
            return await search_attribute_trouble(client) is not None and bool(await client.count_workflows())
        except RPCError:
            return False

    await eventually(is_known)
    return client


async def test_what_is_missing_is_told_with_the_command_that_creates_it(bare: Client) -> None:
    trouble = await search_attribute_trouble(bare)
    assert trouble == f"lacks search attributes: run `{creating_command(bare.namespace)}`"
    for name in SEARCH_ATTRIBUTES:
        assert f"--name {name} --type Keyword" in trouble
    await register_search_attributes(bare)

    async def is_complete() -> bool:
        return await search_attribute_trouble(bare) is None

    await eventually(is_complete)


async def test_without_them_readyz_says_so_and_with_them_off_a_job_completes(
    servers: Servers, bare: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_NAMESPACE", bare.namespace)
    async with running_service(servers, worker=False) as service:
        ready = await service.client.get("/readyz")
        assert ready.status_code == 503
        assert "temporal operator search-attribute create" in ready.json()["parts"]["temporal"]
    async with running_service(servers, search_attributes=False) as service:
        assert (await service.client.get("/readyz")).json()["parts"]["temporal"] == "ok"
        await service.until(await service.create(), "completed")

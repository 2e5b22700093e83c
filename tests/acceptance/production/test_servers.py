"""What docker-compose.yml tells Temporal and Postgres to do, done by real ones."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from subprocess import run
from sys import executable

import asyncpg
import pytest
from google.protobuf.duration_pb2 import Duration
from sqlalchemy.engine import make_url
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from lab.devstack.ports import HOST, free_ports
from lab.devstack.postgres import EmbeddedPostgres
from lab.devstack.processes import running
from lab.devstack.temporal import EmbeddedTemporal
from reelay.cli.secrets import Secrets
from reelay.db.migrate import migrate
from tests.servers import NO_DURABILITY
from tests.unit.production.checks import roles_script
from tests.unit.production.files import Compose, container_environment, filled_in, read_compose, resolved
from workflows.search_attributes import SEARCH_ATTRIBUTES, register_search_attributes

NAMESPACE = "production"
ENV = filled_in()


@pytest.fixture(scope="module")
def compose() -> Compose:
    return read_compose()


@pytest.fixture(scope="module")
def made(compose: Compose, temporal: EmbeddedTemporal) -> str:
    """The namespace, after two runs of the service's own script."""
    service = resolved(compose["services"]["temporal-namespace"], ENV)
    variables = {"TEMPORAL_ADDRESS": temporal.address, "TEMPORAL_NAMESPACE": NAMESPACE}
    assert service["environment"].keys() == variables.keys()
    path = f"{Path(executable).parent}:/usr/bin:/bin"
    for _ in range(2):
        run([*service["entrypoint"], *service["command"]], env={"PATH": path, **variables}, check=True, timeout=60)
    return NAMESPACE


@pytest.fixture
async def client(made: str, temporal: EmbeddedTemporal) -> Client:
    return await Client.connect(temporal.address, namespace=made)


async def test_the_namespace_keeps_closed_runs_for_a_month(client: Client) -> None:
    found = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=NAMESPACE))
    assert found.config.workflow_execution_retention_ttl == Duration(seconds=int(timedelta(days=30).total_seconds()))


async def test_the_search_attributes_can_be_registered_as_soon_as_the_namespace_is_there(client: Client) -> None:
    for _ in range(2):
        await register_search_attributes(client)
    request = ListSearchAttributesRequest(namespace=NAMESPACE)
    found = await client.operator_service.list_search_attributes(request)
    assert set(SEARCH_ATTRIBUTES) == set(found.custom_attributes)


@pytest.fixture
async def address(compose: Compose, tmp_path: Path) -> AsyncIterator[str]:
    """A fresh Postgres after its first start, host:port."""
    (port,) = free_ports(1)
    secrets = Secrets(superuser_password=ENV["POSTGRES_SUPERUSER_PASSWORD"])
    server = EmbeddedPostgres(folder=tmp_path / "postgres", port=port, secrets=secrets, settings=NO_DURABILITY)

    async def first_start() -> None:
        connection = await asyncpg.connect(server.superuser_url)
        for statement in resolved(roles_script(compose), ENV).splitlines():
            await connection.execute(statement)
        await connection.close()

    async with running(replace(server.program(tmp_path / "postgres.log"), complete=first_start)):
        yield f"{HOST}:{port}"


async def test_the_roles_of_a_new_database_can_migrate_and_use_it(compose: Compose, address: str) -> None:
    variables = container_environment(compose, "migrate", ENV)
    names = ("DATABASE_ADMIN_URL", "DATABASE_URL", "DATABASE_SERVICE_URL")
    urls = [variables[name].replace("postgres:5432", address) for name in names]
    await migrate(*urls)
    await migrate(*urls)
    for url in urls[1:]:
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("select count(*) from generation_jobs") == 0
        assert not await connection.fetchval("select bool_or(rolsuper) from pg_roles where rolname like 'reelay%'")
        await connection.close()
    assert make_url(urls[0]).database == "reelay"

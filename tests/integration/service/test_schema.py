"""A process and its database that do not belong together: /readyz says so, and names both revisions."""

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from reelay.db.schema_check import known_revisions, revision_trouble
from tests.running import running_service
from tests.servers import Database, Servers

NEWEST = known_revisions()[0]


async def readiness(servers: Servers, database: Database) -> tuple[int, str, dict[str, str]]:
    """The status, what it says of Postgres, and the revisions."""
    async with running_service(servers, worker=False, database=database) as service:
        answer = await service.client.get("/readyz")
    body = answer.json()
    return answer.status_code, body["parts"]["postgres"], body["schema"]


async def change(database: Database, statement: str) -> Database:
    connection = await asyncpg.connect(database.admin_url)
    await connection.execute(statement)
    await connection.close()
    return database


async def test_ready_with_the_schema_of_this_version(servers: Servers) -> None:
    found = await readiness(servers, await servers.postgres.copy())

    assert found == (200, "ok", {"database": NEWEST, "code": NEWEST})


async def test_ready_with_the_schema_of_a_newer_version(servers: Servers) -> None:
    """A deploy migrates first: the old processes go on until they are replaced."""
    database = await change(await servers.postgres.copy(), "update alembic_version set version_num = 'of-tomorrow'")

    assert await readiness(servers, database) == (200, "ok", {"database": "of-tomorrow", "code": NEWEST})


async def test_not_ready_without_a_schema(servers: Servers) -> None:
    database = await change(await servers.postgres.copy(), "drop table alembic_version")

    found = await readiness(servers, database)

    assert found == (503, "has no schema: run `reelay migrate`", {"database": None, "code": NEWEST})


@pytest.mark.parametrize(
    ("found", "trouble"),
    [
        ("0001", "has the schema 0001, and this version needs 0003: run `reelay migrate`"),
        ("0002", "has the schema 0002, and this version needs 0003: run `reelay migrate`"),
        ("0003", None),
        ("0004", None),
    ],
)
def test_older_schema_is_trouble(found: str, trouble: str | None) -> None:
    assert revision_trouble(found, ("0003", "0002", "0001")) == trouble


async def test_role_that_the_migrations_do_not_know_is_named(servers: Servers) -> None:
    database = await servers.postgres.copy()
    superuser = await asyncpg.connect(servers.postgres.server.superuser_url)
    await superuser.execute("create role renamed login password 'renamed'")
    await superuser.close()
    url = make_url(database.app_url).set(username="renamed", password="renamed")
    renamed = Database(database.admin_url, database.service_url, url.render_as_string(hide_password=False))

    status, word, _ = await readiness(servers, renamed)

    assert (status, "shows no rows to the role renamed of DATABASE_URL" in word) == (503, True)

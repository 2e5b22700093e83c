"""The schema: what the migrations make is what the tables say."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from db.engine import make_engine
from db.migrate import migrate
from db.tables import GenerationJob
from tests.servers import Database, Postgres


@pytest.fixture
async def database(postgres: Postgres) -> Database:
    return await postgres.copy()


async def test_migrations_make_what_the_tables_say(database: Database) -> None:
    engine = make_engine(database.admin_url)
    async with engine.connect() as connection:
        differences = await connection.run_sync(_differences)
    await engine.dispose()

    assert differences == []


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, GenerationJob.metadata))


async def test_migrating_twice_and_at_once_is_harmless(postgres: Postgres) -> None:
    empty = await postgres.copy()
    await asyncio.gather(*(migrate(empty.admin_url, empty.app_url, empty.service_url) for _ in range(3)))

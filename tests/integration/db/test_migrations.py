"""The schema: what the migrations make is what the tables say."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from reelay.db.engine import PostgresUnavailable, make_engine
from reelay.db.migrate import LOCK_KEY, MigrationBlocked, migrate
from reelay.db.schema_check import known_revisions
from reelay.db.tables import GenerationJob
from tests.servers import Database, Postgres

DOCUMENTED = """
    id user_id campaign_id clip_id job_type provider model fal_request_id fal_status_url fal_response_url status stage
    input_params result_url result_data error_code error_message estimated_cost_cents actual_cost_cents credits_deducted
    progress_percent progress_message metadata created_at submitted_at completed_at external_id
"""
COLUMNS = "select column_name from information_schema.columns where table_name = 'generation_jobs'"
INDEXES = "select indexdef from pg_indexes where tablename = 'generation_jobs'"
CHECKS = "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'generation_jobs'::regclass"


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


async def test_the_jobs_table_is_the_documents(database: Database) -> None:
    engine = make_engine(database.admin_url)
    async with engine.connect() as connection:
        columns, indexes, checks = [set(await connection.scalars(text(query))) for query in (COLUMNS, INDEXES, CHECKS)]
    await engine.dispose()

    assert columns >= set(DOCUMENTED.split())
    for indexed in (
        "idx_generation_jobs_user_id ON public.generation_jobs USING btree (user_id",
        "idx_generation_jobs_status ON public.generation_jobs USING btree (status",
        "idx_generation_jobs_fal_request_id ON public.generation_jobs USING btree (fal_request_id)",
        "idx_generation_jobs_campaign_clip ON public.generation_jobs USING btree (campaign_id, clip_id)",
    ):
        assert any(indexed in index for index in indexes), indexed
    assert "CHECK (((progress_percent >= 0) AND (progress_percent <= 100)))" in checks


NEXT = """
from alembic import op

from reelay.db.migrations.scripts import create_index_concurrently, run_script

revision = "throwaway"
down_revision = "{after}"


def upgrade() -> None:
{body}
"""
Migration = Callable[..., list[Path]]
WRITE = "insert into users (name) values ('somebody')"


@pytest.fixture
def migration(tmp_path: Path) -> Migration:
    """A migration of those lines that follows ours, in a folder of its own."""

    def write(*lines: str) -> list[Path]:
        body = "\n".join(f"    {line}" for line in lines)
        (tmp_path / "throwaway.py").write_text(NEXT.format(after=known_revisions()[0], body=body))
        return [tmp_path]

    return write


async def test_migration_may_take_longer_than_statements_and_roles_may(
    postgres: Postgres, database: Database, migration: Migration
) -> None:
    """Longer than the 30 s of other statements. Another process waits as long, and finds nothing to do."""
    superuser = await asyncpg.connect(postgres.server.superuser_url)
    name = make_url(database.admin_url).database
    await superuser.execute(f"alter role reelay_owner in database {name} set statement_timeout = '1s'")
    await superuser.close()
    folders = migration('run_script(op.get_bind(), "select pg_sleep(31); create table late ()")')

    await asyncio.gather(*(migrate(*urls(database), more_versions=folders) for _ in range(2)))

    assert await value(database, "select to_regclass('late') is not null")
    assert await value(database, "select version_num from alembic_version") == "throwaway"


async def test_index_is_made_while_the_table_is_written_to(database: Database, migration: Migration) -> None:
    folders = migration(
        'run_script(op.get_bind(), "create table beside ()")',
        'create_index_concurrently("users_throwaway", "on users (created_at)")',
    )
    async with connected(database) as writer, connected(database) as another:
        transaction = writer.transaction()
        await transaction.start()
        await writer.execute(WRITE)
        # The second waits for the first, which waits for the writer: not for the second's question for the lock.
        migrating = asyncio.gather(*(migrate(*urls(database), more_versions=folders) for _ in range(2)))
        while not await value(database, INDEX_IS_THERE):
            assert not migrating.done(), migrating.result()
            await asyncio.sleep(0.05)
        await another.execute(WRITE.replace("somebody", "somebody else"))
        assert not await value(database, INDEX_IS_VALID)
        await transaction.commit()
        await migrating

    assert await value(database, INDEX_IS_VALID)
    assert await value(database, "select to_regclass('beside') is not null")


async def test_index_that_was_left_unfinished_is_made_anew(database: Database, migration: Migration) -> None:
    folders = migration('create_index_concurrently("users_throwaway", "on users (created_at)")')
    async with connected(database) as writer:
        transaction = writer.transaction()
        await transaction.start()
        await writer.execute(WRITE)
        migrating = asyncio.create_task(migrate(*urls(database), more_versions=folders))
        while not await value(database, INDEX_IS_THERE):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
        assert await value(database, CANCEL_THE_MIGRATION)
        with pytest.raises(PostgresUnavailable, match="canceling statement"):
            await migrating
        await transaction.rollback()
    assert not await value(database, INDEX_IS_VALID)

    await migrate(*urls(database), more_versions=folders)

    assert await value(database, INDEX_IS_VALID)


async def test_migration_that_waits_for_a_table_gives_up_before_others_wait_behind_it(
    database: Database, migration: Migration
) -> None:
    folders = migration(
        'run_script(op.get_bind(), "create table beside (); alter table users add column throwaway int")'
    )
    async with connected(database) as reader:
        transaction = reader.transaction()
        await transaction.start()
        await reader.execute("select * from users")
        with pytest.raises(MigrationBlocked, match="held a lock that the migration needs"):
            await migrate(*urls(database), more_versions=folders)
        await transaction.rollback()
    assert not await value(database, "select to_regclass('beside') is not null")

    await migrate(*urls(database), more_versions=folders)


async def test_process_that_migrates_for_too_long_is_named(database: Database) -> None:
    async with connected(database) as other:
        await other.execute("select pg_advisory_lock($1)", LOCK_KEY)
        with pytest.raises(MigrationBlocked, match="Another process has been migrating this database for 0:00:01"):
            await migrate(*urls(database), patience=timedelta(seconds=1))


async def test_what_one_migration_did_is_undone_when_it_fails(database: Database, migration: Migration) -> None:
    folders = migration('run_script(op.get_bind(), "create table beside ()")', 'run_script(op.get_bind(), "nonsense")')

    with pytest.raises(asyncpg.PostgresSyntaxError):
        await migrate(*urls(database), more_versions=folders)

    assert not await value(database, "select to_regclass('beside') is not null")
    assert await value(database, "select version_num from alembic_version") == known_revisions()[0]


INDEX = "from pg_index where indexrelid = to_regclass('users_throwaway')"
INDEX_IS_THERE = f"select exists (select {INDEX})"
INDEX_IS_VALID = f"select indisvalid {INDEX}"
CANCEL_THE_MIGRATION = """
    select pg_cancel_backend(pid) from pg_stat_activity
    where datname = current_database() and query like 'create index concurrently%'
"""


def urls(database: Database) -> tuple[str, str, str]:
    return database.admin_url, database.app_url, database.service_url


@asynccontextmanager
async def connected(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.admin_url)
    try:
        yield connection
    finally:
        await connection.close()


async def value(database: Database, query: str) -> object:
    async with connected(database) as connection:
        found: object = await connection.fetchval(query)
        return found


async def test_migrating_twice_and_at_once_is_harmless(postgres: Postgres) -> None:
    empty = await postgres.copy()
    await asyncio.gather(*(migrate(empty.admin_url, empty.app_url, empty.service_url) for _ in range(3)))

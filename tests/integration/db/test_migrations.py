"""The schema: what the migrations make is what the tables say."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from reelay.db.engine import make_engine
from reelay.db.migrate import migrate
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


async def test_migrating_twice_and_at_once_is_harmless(postgres: Postgres) -> None:
    empty = await postgres.copy()
    await asyncio.gather(*(migrate(empty.admin_url, empty.app_url, empty.service_url) for _ in range(3)))

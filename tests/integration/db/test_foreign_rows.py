"""Rows that the users' own backends write, in the words of their documents."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.eventually import eventually
from tests.lock_waits import LOCK_WAIT
from tests.servers import Database, Postgres

INSERT = """
    insert into generation_jobs (
        user_id, campaign_id, clip_id, job_type, status, input_params, estimated_cost_cents
    )
    values ($1, $2, $3, 'video_veo31', 'pending', '{"prompt": "a harbour"}', 240)
    returning id
"""


@pytest.fixture(scope="module")
async def database(postgres: Postgres) -> Database:
    return await postgres.copy()


@pytest.fixture
async def backend(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """As the document's service role: it writes every row."""
    connection = await asyncpg.connect(database.service_url)
    yield connection
    await connection.close()


async def new_user(backend: asyncpg.Connection) -> UUID:
    return UUID(str(await backend.fetchval("insert into users (name) values ($1) returning id", f"ann {uuid4()}")))


async def new_clip(backend: asyncpg.Connection, user: UUID) -> tuple[UUID, UUID]:
    campaign = await backend.fetchval("insert into campaigns (user_id, name) values ($1, 'Autumn') returning id", user)
    clip = await backend.fetchval(
        "insert into campaign_clips (user_id, campaign_id) values ($1, $2) returning id", user, campaign
    )
    return campaign, clip


async def test_the_documents_insert_works(backend: asyncpg.Connection) -> None:
    user = await new_user(backend)
    job = await backend.fetchval(INSERT, user, *await new_clip(backend, user))

    row = await backend.fetchrow("select * from generation_jobs where id = $1", job)
    assert row is not None
    assert (row["status"], row["progress_percent"], row["credits_deducted"]) == ("pending", 0, False)
    assert (row["origin"], row["provider"], row["charged_cents"]) == ("external", "fal", 0)


@pytest.mark.parametrize(
    ("column", "value", "constraint"),
    [
        ("status", "done", "valid_status"),
        ("job_type", "bogus", "valid_job_type"),
        ("origin", "nobody", "valid_origin"),
        ("progress_percent", 101, "valid_progress"),
        ("progress_percent", -1, "valid_progress"),
    ],
)
async def test_words_that_nobody_knows_are_refused(
    backend: asyncpg.Connection, column: str, value: object, constraint: str
) -> None:
    job = await backend.fetchval(INSERT, await new_user(backend), None, None)
    with pytest.raises(asyncpg.CheckViolationError, match=constraint):
        await backend.execute(f"update generation_jobs set {column} = $1 where id = $2", value, job)


async def test_an_external_id_is_one_users_own(backend: asyncpg.Connection) -> None:
    ann, bob = await new_user(backend), await new_user(backend)
    for user in (ann, bob):
        job = await backend.fetchval(INSERT, user, None, None)
        await backend.execute("update generation_jobs set external_id = 'cm123abc456' where id = $1", job)
    again = await backend.fetchval(INSERT, ann, None, None)
    with pytest.raises(asyncpg.UniqueViolationError):
        await backend.execute("update generation_jobs set external_id = 'cm123abc456' where id = $1", again)


async def test_a_job_outlives_its_clip_and_its_campaign(backend: asyncpg.Connection) -> None:
    user = await new_user(backend)
    campaign, clip = await new_clip(backend, user)
    job = await backend.fetchval(INSERT, user, campaign, clip)

    await backend.execute("delete from campaign_clips where id = $1", clip)
    row = await backend.fetchrow("select campaign_id, clip_id from generation_jobs where id = $1", job)
    assert row is not None
    assert tuple(row) == (campaign, None)
    await backend.execute("delete from campaigns where id = $1", campaign)
    assert await backend.fetchval("select campaign_id from generation_jobs where id = $1", job) is None


async def test_anothers_clip_cannot_be_named(backend: asyncpg.Connection) -> None:
    _, anns = await new_clip(backend, await new_user(backend))
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await backend.execute(INSERT, await new_user(backend), None, anns)


async def test_a_clip_is_deleted_while_its_job_ends_without_a_deadlock(
    database: Database, backend: asyncpg.Connection
) -> None:
    """The end locks the job, then the clip; the API's deletion does as well."""
    user = await new_user(backend)
    campaign, clip = await new_clip(backend, user)
    job = await backend.fetchval(INSERT, user, campaign, clip)
    app = await asyncpg.connect(database.app_url)
    try:
        async with backend.transaction():
            await backend.execute("update generation_jobs set status = 'completed' where id = $1", job)
            deletion = asyncio.create_task(
                app.execute(
                    f"begin; select set_config('app.user_id', '{user}', true); select detach_from_jobs('{clip}');"
                    f" delete from campaign_clips where id = '{clip}'; commit"
                )
            )
            await eventually(partial(backend.fetchval, LOCK_WAIT))
            await backend.execute("update campaign_clips set status = 'video_ready' where id = $1", clip)
        await deletion
    finally:
        await app.close()

    row = await backend.fetchrow("select status, clip_id from generation_jobs where id = $1", job)
    assert row is not None
    assert tuple(row) == ("completed", None)

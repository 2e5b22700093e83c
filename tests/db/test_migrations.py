"""The schema: what the migrations make is what the tables say, and only its owner sees a row."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from random import Random
from uuid import UUID, uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from db.engine import Sessions, as_user, make_engine, make_sessions
from db.migrate import migrate
from db.tables import OWNED_BY_USER, Campaign, GenerationJob, User
from tests.servers import Database, Postgres


@pytest.fixture
async def database(postgres: Postgres) -> Database:
    return await postgres.copy()


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[Sessions]:
    engine = make_engine(database.admin_url)
    yield make_sessions(engine)
    await engine.dispose()


@pytest.fixture
async def app(database: Database) -> AsyncIterator[Sessions]:
    engine = make_engine(database.app_url, pool_size=1)
    yield make_sessions(engine)
    await engine.dispose()


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
    await asyncio.gather(*(migrate(empty.admin_url, empty.app_url) for _ in range(3)))


async def campaign_of(owner: Sessions, name: str) -> tuple[UUID, UUID]:
    user = User(name=name)
    campaign = Campaign(user_id=user.id, name="theirs")
    async with owner.begin() as session:
        session.add(user)
        await session.flush()
        session.add(campaign)
    return user.id, campaign.id


async def test_a_forgotten_where_shows_nobody_elses_rows(owner: Sessions, app: Sessions) -> None:
    ann, anns = await campaign_of(owner, "ann")
    bob, _ = await campaign_of(owner, "bob")

    async with as_user(app, ann) as session:
        assert (await session.execute(text("select id from campaigns"))).scalars().all() == [anns]
    async with as_user(app, bob) as session:
        assert anns not in (await session.execute(text("select id from campaigns"))).scalars().all()
    async with app.begin() as session:
        assert (await session.execute(text("select id from campaigns"))).scalars().all() == []


@pytest.mark.fault("T6")
async def test_one_connection_for_two_users_never_mixes_them_up(owner: Sessions, app: Sessions) -> None:
    users = [await campaign_of(owner, name) for name in ("carl", "dora")]
    seed = 7
    random = Random(seed)
    for turn in range(200):
        user, campaign = random.choice(users)
        ends_badly = random.choice([None, None, "select 1 / 0", "set local statement_timeout = 1; select pg_sleep(1)"])
        with suppress(DBAPIError):
            async with as_user(app, user) as session:
                found = (await session.execute(text("select id from campaigns"))).scalars().all()
                assert found == [campaign], f"turn {turn} of seed {seed}"
                for statement in ends_badly.split("; ") if ends_badly else ():
                    await session.execute(text(statement))
        if random.random() < 0.1:
            async with app.begin() as session:
                assert (await session.execute(text("select id from campaigns"))).scalars().all() == []


async def test_a_row_for_somebody_else_is_refused(owner: Sessions, app: Sessions) -> None:
    ann, _ = await campaign_of(owner, "ann")
    bob, _ = await campaign_of(owner, "bob")
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with as_user(app, ann) as session:
            session.add(Campaign(id=uuid4(), user_id=bob, name="planted"))


async def test_every_table_of_a_user_forces_row_level_security(owner: Sessions) -> None:
    query = text("select relname from pg_class where relrowsecurity and relforcerowsecurity")
    async with owner() as session:
        assert set((await session.execute(query)).scalars()) == set(OWNED_BY_USER)


async def test_the_apis_role_changes_no_generation(owner: Sessions, app: Sessions) -> None:
    ann, _ = await campaign_of(owner, "ann")
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with as_user(app, ann) as session:
            await session.execute(text("update generation_jobs set status = 'completed'"))

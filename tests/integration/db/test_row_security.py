"""Row-level security at work: whatever a statement forgets or tries, a transaction has its user's rows."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions, as_user, make_engine, make_sessions
from reelay.db.tables import Campaign, User
from tests.servers import Database, Postgres

TURNS = 1_000
SEED = 20_240_229
READ = text("select array_agg(distinct user_id) from campaigns")
# Postgres does not notice at once that nobody waits, and no table of the transaction can be altered until then.
WAIT = text("select pg_sleep(2)")


@pytest.fixture(scope="module")
async def database(postgres: Postgres) -> Database:
    return await postgres.copy()


@pytest.fixture(scope="module")
async def owner(database: Database) -> AsyncIterator[Sessions]:
    engine = make_engine(database.admin_url)
    yield make_sessions(engine)
    await engine.dispose()


@pytest.fixture
async def app(database: Database) -> AsyncIterator[Sessions]:
    """One connection, which everybody has in turn."""
    engine = make_engine(database.app_url, pool_size=1)
    yield make_sessions(engine)
    await engine.dispose()


async def campaign_of(owner: Sessions, name: str) -> tuple[UUID, UUID]:
    user = User(name=f"{name} {uuid4()}")
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


async def test_a_row_for_somebody_else_is_refused(owner: Sessions, app: Sessions) -> None:
    ann, _ = await campaign_of(owner, "ann")
    bob, _ = await campaign_of(owner, "bob")
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with as_user(app, ann) as session:
            session.add(Campaign(id=uuid4(), user_id=bob, name="planted"))


async def test_the_apis_role_changes_no_generation(owner: Sessions, app: Sessions) -> None:
    ann, _ = await campaign_of(owner, "ann")
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with as_user(app, ann) as session:
            await session.execute(text("update generation_jobs set status = 'completed'"))


class Aborted(Exception):
    """The caller gave up in the middle of a transaction."""


async def turn(app: Sessions, user: UUID, luck: float) -> None:
    """One transaction of the user's, which three times in four ends well."""
    async with as_user(app, user) as session:
        assert await session.scalar(READ) == [user]
        if luck < 0.01:
            async with asyncio.timeout(0.001):
                await session.execute(WAIT)
        elif luck < 0.1:
            await session.execute(text("select 1 / 0"))
        elif luck < 0.25:
            raise Aborted


@pytest.mark.fault("T6")
async def test_two_users_in_turn_on_one_connection_never_see_each_other(owner: Sessions, app: Sessions) -> None:
    """A thousand times; a quarter of the transactions are given up, fail, or are cut off in the middle."""
    users = [(await campaign_of(owner, str(number)))[0] for number in range(2)]
    luck, ends = random.Random(SEED), Counter[str]()
    for number in range(TURNS):
        try:
            await turn(app, users[number % 2], luck.random())
        except (*POSTGRES_UNAVAILABLE, DBAPIError, Aborted) as end:
            ends["cut off" if isinstance(end, POSTGRES_UNAVAILABLE) else type(end).__name__] += 1
        if number % 100 == 0:
            async with app.begin() as nobodys:
                assert await nobodys.scalar(READ) is None

    assert min(ends["cut off"], ends["DBAPIError"], ends["Aborted"]) > 5, ends


REFUSED = {
    "to write a row for her": "insert into campaigns (id, user_id, name) values (gen_random_uuid(), :ann, 'x')",
    "to give her a row": "update campaigns set user_id = :ann where id = :bobs",
    "to overwrite hers on conflict": (
        "insert into campaigns (id, user_id, name) values (:anns, :bob, 'x') on conflict (id) do update set name = 'x'"
    ),
    "to hang a row under hers": (
        "insert into campaign_clips (id, user_id, campaign_id, title, position, status)"
        " values (gen_random_uuid(), :bob, :anns, '', 0, 'draft')"
    ),
    "to empty the table": "truncate campaigns",
    "to read keys": "select hash from api_keys",
    "to read users": "select name from users",
    "to lock a row for himself": "select from generation_jobs for update",
    "to read webhooks": "select body from webhook_deliveries",
    "to write in the ledger": "insert into credit_entries (user_id, phase, available_cents) values (:bob, 'top_up', 1)",
}


@pytest.mark.parametrize("attempt", REFUSED)
async def test_he_is_refused(owner: Sessions, app: Sessions, attempt: str) -> None:
    ann, anns = await campaign_of(owner, "ann")
    bob, bobs = await campaign_of(owner, "bob")
    statement = text(REFUSED[attempt])
    values = {"ann": ann, "anns": anns, "bob": bob, "bobs": bobs}
    with pytest.raises(DBAPIError, match=r"row-level security|permission denied|foreign key"):
        async with as_user(app, bob) as session:
            await session.execute(statement, {name: values[name] for name in statement._bindparams})

    async with as_user(app, ann) as session:
        assert await session.scalar(text("select array_agg(name) from campaigns")) == ["theirs"]


async def test_nothing_of_hers_is_changed_or_deleted(owner: Sessions, app: Sessions) -> None:
    ann, anns = await campaign_of(owner, "ann")
    bob, _ = await campaign_of(owner, "bob")
    async with as_user(app, bob) as session:
        for statement in ("update campaigns set name = 'x' where id = :id", "delete from campaigns where id = :id"):
            assert (await session.execute(text(statement + " returning id"), {"id": anns})).all() == []
    async with as_user(app, ann) as session:
        assert await session.scalar(text("select name from campaigns")) == "theirs"


async def test_switching_the_security_off_is_an_error(owner: Sessions, app: Sessions) -> None:
    bob, _ = await campaign_of(owner, "bob")
    async with as_user(app, bob) as session:
        await session.execute(text("set local row_security = off"))
        with pytest.raises(DBAPIError, match="row-level security"):
            await session.execute(READ)


async def test_a_savepoint_that_is_rolled_back_restores_the_identity(owner: Sessions, app: Sessions) -> None:
    ann, _ = await campaign_of(owner, "ann")
    bob, _ = await campaign_of(owner, "bob")
    async with as_user(app, bob) as session:
        inner = await session.begin_nested()
        await session.execute(text("select set_config('app.user_id', :id, true)"), {"id": str(ann)})
        await inner.rollback()
        assert await session.scalar(READ) == [bob]


async def test_the_service_role_has_every_row_and_no_table(database: Database, owner: Sessions) -> None:
    ann, _ = await campaign_of(owner, "ann")
    engine = make_engine(database.service_url, pool_size=1)
    try:
        async with make_sessions(engine)() as session:
            assert ann in (await session.scalar(READ) or [])
            for statement in ("truncate campaigns", "drop table campaigns", "create table mine (id int)"):
                with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
                    async with session.begin_nested():
                        await session.execute(text(statement))
    finally:
        await engine.dispose()


async def test_the_owner_of_the_tables_too_is_under_the_policies(owner: Sessions) -> None:
    """Without its own policy it sees nothing: `force`."""
    await campaign_of(owner, "ann")
    async with owner() as session:
        assert await session.scalar(READ)
        await session.execute(text("drop policy service on campaigns"))
        assert await session.scalar(READ) is None

"""Which errors of the database are outages, worth another try later, and which are mistakes that stay."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from lab.devstack.ports import HOST
from reelay.db.engine import POSTGRES_UNAVAILABLE, PostgresUnavailable, make_engine, make_sessions
from tests.eventually import eventually
from tests.servers import Servers, loopback_socket
from tests.tcp_lines import open_line

RAISE = "do $$ begin raise exception 'as if' using errcode = '{}'; end $$"


@asynccontextmanager
async def session_of(url: str, **limits: int) -> AsyncIterator[AsyncSession]:
    engine = make_engine(url, pool_size=1, **limits)
    try:
        async with make_sessions(engine)() as session:
            yield session
    finally:
        await engine.dispose()


@pytest.fixture(scope="module")
async def url(servers: Servers) -> str:
    return (await servers.postgres.copy()).admin_url


def at_port(url: str, port: int) -> str:
    return make_url(url).set(host=HOST, port=port).render_as_string(hide_password=False)


@pytest.mark.fault("O4")
@pytest.mark.parametrize("state", ["08006", "08P01", "53100", "53300", "57P01", "57P02", "57P03", "57014", "25P03"])
async def test_what_passes_by_itself_is_an_outage(url: str, state: str) -> None:
    with pytest.raises(PostgresUnavailable, match="as if"):
        async with session_of(url) as session:
            await session.execute(text(RAISE.format(state)))


async def test_a_cancellation_stays_one(url: str) -> None:
    """Taken for an outage, it would be waited for and tried again: what it was to end would go on."""
    async with session_of(url) as session:
        pid = await session.scalar(text("select pg_backend_pid()"))
        sleeping = asyncio.create_task(session.execute(text("select pg_sleep(600)")))
        async with session_of(url) as other:

            async def sleeps() -> bool:
                await other.rollback()
                activity = text("select query like '%pg_sleep%' from pg_stat_activity where pid = :pid")
                return bool(await other.scalar(activity, {"pid": pid}))

            await eventually(sleeps)
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping


@pytest.mark.fault("O14")
@pytest.mark.parametrize(
    "statement",
    [
        "select from where",
        "select * from no_such_table",
        "select 1 / 0",
        "insert into credit_entries default values",
        *(RAISE.format(state) for state in ("58030", "XX000", "42501", "40P01", "P0001")),
    ],
)
async def test_what_no_other_try_mends_is_none(url: str, statement: str) -> None:
    with pytest.raises(DBAPIError) as raised:
        async with session_of(url) as session:
            await session.execute(text(statement))
    assert not isinstance(raised.value, POSTGRES_UNAVAILABLE)


@pytest.mark.fault("O14")
async def test_a_wrong_password_is_no_outage(url: str) -> None:
    wrong = make_url(url).set(password="wrong").render_as_string(hide_password=False)
    with pytest.raises(DBAPIError, match="password"):
        async with session_of(wrong) as session:
            await session.execute(text("select 1"))


@pytest.mark.fault("O4")
async def test_a_server_that_is_not_there_is_an_outage(url: str) -> None:
    with loopback_socket() as bound:  # nobody listens
        port = bound.getsockname()[1]
        with pytest.raises(PostgresUnavailable, match="ConnectionRefusedError"):
            async with session_of(at_port(url, port)) as session:
                await session.execute(text("select 1"))


@pytest.mark.fault("O4")
async def test_a_name_that_nobody_knows_is_an_outage(url: str) -> None:
    unknown = make_url(url).set(host="database.invalid").render_as_string(hide_password=False)
    with pytest.raises(PostgresUnavailable, match="gaierror"):
        async with session_of(unknown) as session:
            await session.execute(text("select 1"))


@pytest.mark.fault("O4")
async def test_a_connection_that_is_cut_and_one_that_is_silent_are_outages(url: str) -> None:
    async with open_line(make_url(url).port or 5432) as line:
        by_line = at_port(url, line.port)
        async with session_of(by_line) as session:
            await session.execute(text("select 1"))
            line.reset()
            with pytest.raises(POSTGRES_UNAVAILABLE):
                await session.execute(text("select 1"))
        async with session_of(by_line, statement_seconds=1) as session:
            await session.execute(text("select 1"))
            with line.silent(), pytest.raises(POSTGRES_UNAVAILABLE):
                await session.execute(text("select 1"))


@pytest.mark.fault("O4")
async def test_a_pool_without_a_free_connection_is_an_outage(url: str) -> None:
    engine = make_engine(url, pool_size=1, connection_seconds=1)
    sessions = make_sessions(engine)
    async with sessions() as holder:
        await holder.execute(text("select 1"))
        with pytest.raises(POSTGRES_UNAVAILABLE):
            async with sessions() as waiting:
                await waiting.execute(text("select 1"))
    await engine.dispose()


@pytest.mark.fault("O14")
@pytest.mark.parametrize("error", [FileNotFoundError(2, "no such file"), OSError(28, "no space left on device")])
def test_trouble_with_files_is_no_outage_of_the_database(error: OSError) -> None:
    assert not isinstance(error, POSTGRES_UNAVAILABLE)


@pytest.mark.parametrize("error", [ConnectionRefusedError(), ConnectionResetError(), BrokenPipeError(), TimeoutError()])
def test_broken_connections_and_timeouts_are(error: OSError) -> None:
    assert isinstance(error, POSTGRES_UNAVAILABLE)

"""Connections: one engine per role and process."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

Sessions = async_sessionmaker[AsyncSession]
T = TypeVar("T")

# While it connects, the pool passes on what the driver says as it is; and always what the driver says of itself, when
# the server dies between two messages: "cannot switch to state 12; another operation (2) is in progress".
DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
POSTGRES_UNAVAILABLE = (DBAPIError, PoolTimeoutError, *DRIVER_ERRORS, OSError)

IDLE_SECONDS = 0.5


def make_engine(
    url: str, *, pool_size: int = 10, connection_seconds: int = 5, statement_seconds: int | None = 30
) -> AsyncEngine:
    """An engine for a `postgresql://` URL. After so many seconds without a connection, or an answer, it gives up;
    None: never.

    Idle connections are checked before use: Postgres may have restarted. Those of a busy pool are not: the round
    trip costs 0.8 ms of CPU, three to six times per generation.
    """
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=connection_seconds,
        pool_use_lifo=True,  # in turn, every connection of a pool that was full once would idle
        connect_args={"timeout": connection_seconds, "command_timeout": statement_seconds},
    )
    event.listen(engine.sync_engine, "checkin", _record_checkin)
    event.listen(engine.sync_engine, "checkout", partial(_ping_if_idle, engine.dialect))
    return engine


def _record_checkin(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    record.info["idle_since"] = time.monotonic()


def _ping_if_idle(
    dialect: Dialect, connection: DBAPIConnection, record: ConnectionPoolEntry, proxy: PoolProxiedConnection
) -> None:
    """Raises: DisconnectionError, upon which the pool connects again."""
    idle = time.monotonic() - record.info.get("idle_since", time.monotonic())
    if idle < IDLE_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise DisconnectionError(str(error)) from error


def make_sessions(engine: AsyncEngine) -> Sessions:
    return async_sessionmaker(engine, expire_on_commit=False)


@asynccontextmanager
async def one_statement(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """For work of one statement, which is a transaction by itself: two round trips less than with BEGIN and COMMIT."""
    async with sessions() as session:
        await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        yield session


@asynccontextmanager
async def as_user(sessions: Sessions, user_id: UUID) -> AsyncIterator[AsyncSession]:
    """A transaction in which row-level security shows only this user's rows."""
    async with sessions.begin() as session:
        # Transaction-local: a pooled connection must not carry the identity to its next user.
        await session.execute(text("select set_config('app.user_id', :user_id, true)"), {"user_id": str(user_id)})
        yield session


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The work's result, or TimeoutError, on time: the driver takes 2 s more to close a silent connection."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise TimeoutError(f"Postgres did not answer within {seconds:g} s")
        return task.result()
    finally:
        task.cancel()

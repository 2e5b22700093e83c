"""Connections: one engine per role and process."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

Sessions = async_sessionmaker[AsyncSession]
T = TypeVar("T")

# While it connects, the pool passes on what the driver says as it is.
POSTGRES_AWAY = (DBAPIError, PoolTimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


def make_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """An engine for a `postgresql://` URL. Connections are checked before use: Postgres may have restarted."""
    return create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        connect_args={"timeout": 5, "command_timeout": 30},
    )


def make_sessions(engine: AsyncEngine) -> Sessions:
    return async_sessionmaker(engine, expire_on_commit=False)


@asynccontextmanager
async def as_user(sessions: Sessions, user_id: UUID) -> AsyncIterator[AsyncSession]:
    """A transaction in which row-level security shows only this user's rows."""
    async with sessions.begin() as session:
        # Transaction-local: a pooled connection must not carry the identity to its next user.
        await session.execute(text("select set_config('app.user_id', :user_id, true)"), {"user_id": str(user_id)})
        yield session


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The work's result, or TimeoutError, sharp: to a Postgres that is silent the driver says farewell for 2 s more."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise TimeoutError(f"Postgres did not answer within {seconds:g} s")
        return task.result()
    finally:
        task.cancel()

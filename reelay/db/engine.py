"""Connections: one engine per role and process.

What an engine raises tells an outage from a mistake: `POSTGRES_UNAVAILABLE` is worth another try later, everything else
(a wrong statement, a missing right, a full disk) is not.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import structlog
from sqlalchemy import event, text
from sqlalchemy.engine import URL, Dialect, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from reelay.db.address import PostgresAddress

Sessions = async_sessionmaker[AsyncSession]
T = TypeVar("T")


class PostgresUnavailable(Exception):
    """Postgres cannot be reached, broke the connection off, did not answer in time, or takes no work at the moment."""


# The pool's own, and what passes by the engine's translation: a ping of an idle connection, a driver that a server
# confused by dying between two messages ("cannot switch to state 12; another operation (2) is in progress").
POSTGRES_UNAVAILABLE = (
    PostgresUnavailable,
    PoolTimeoutError,
    asyncpg.InternalClientError,
    ConnectionError,
    TimeoutError,
)
OUTAGE_CLASSES = ("08", "53", "57P")
"""Beginnings of SQLSTATEs: the connection broke; the server is full; it starts, stops or closed the session."""
OUTAGE_STATES = frozenset({"57014", "25P03", "25P04"})
"""What the server's own limits of time ended."""
NOT_ACCEPTING_CONNECTIONS = "55000"

log = structlog.get_logger()

IDLE_SECONDS = 0.5
CACHED_STATEMENTS = 100
"""As the driver has it."""
SESSION = "select pg_backend_pid()"


def make_engine(
    url: str, *, pool_size: int = 10, connection_seconds: int = 5, statement_seconds: int | None = 30
) -> AsyncEngine:
    """An engine for a `postgresql://` URL. After so many seconds without a connection, or an answer, it gives up;
    None: never. Raises: UnusableAddress.

    Idle connections are checked before use: Postgres may have restarted. Those of a busy pool are not: the round
    trip costs 0.8 ms of CPU, three to six times per generation.
    """
    address = PostgresAddress.parse(url)
    connector = Connector(address, connection_seconds, statement_seconds)
    engine = create_async_engine(
        URL.create("postgresql+asyncpg", username=address.user, database=address.database),  # for its readers alone
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=connection_seconds,
        pool_use_lifo=True,  # in turn, every connection of a pool that was full once would idle
        connect_args={
            "async_creator_fn": connector.connect,
            "prepared_statement_name_func": connector.statement_name,
        },
    )
    event.listen(engine.sync_engine, "handle_error", _outage_of)
    event.listen(engine.sync_engine, "checkin", _record_checkin)
    event.listen(engine.sync_engine, "checkout", partial(_ping_if_idle, engine.dialect))
    return engine


class Connector:
    """Opens the connections of one engine, which may lead to a pooler that changes sessions between transactions.

    There a statement that was prepared under a name is unknown to the next session, or is another client's. One without
    a name is sent anew with each execution: the driver does so where its own cache of statements is off.
    """

    def __init__(self, address: PostgresAddress, connection_seconds: int, statement_seconds: int | None) -> None:
        self._address = address
        self._connection_seconds = connection_seconds
        self._statement_seconds = statement_seconds
        self._is_pooled: bool | None = address.is_pooled or None

    async def connect(self, **_as_in_the_url: Any) -> asyncpg.Connection:
        caches = not self._is_pooled
        connection = await self._open(caches=caches)
        try:
            if self._is_pooled is None:
                with naming_outages():
                    self._is_pooled = await leads_to_pooler(connection)
            if not (self._is_pooled and caches):
                return connection
            await connection.close(timeout=self._connection_seconds)
        except BaseException:
            connection.terminate()
            raise
        return await self._open(caches=False)

    async def _open(self, *, caches: bool) -> asyncpg.Connection:
        return await connect_to_postgres(
            self._address,
            timeout=self._connection_seconds,
            command_timeout=self._statement_seconds,
            statement_cache_size=CACHED_STATEMENTS if caches else 0,
        )

    def statement_name(self) -> str | None:
        """None: the driver makes one up."""
        return "" if self._is_pooled else None


async def connect_to_postgres(address: PostgresAddress, *, timeout: float = 10, **options: Any) -> asyncpg.Connection:
    """As `PostgresAddress.connect`. Raises: PostgresUnavailable, and what the server refuses."""
    try:
        return await address.connect(timeout=timeout, **options)
    except OSError as error:
        raise PostgresUnavailable(_described(error)) from error
    except asyncpg.PostgresError as error:
        if _is_outage(error) or error.sqlstate == NOT_ACCEPTING_CONNECTIONS:
            raise PostgresUnavailable(_described(error)) from error
        raise


async def leads_to_pooler(connection: asyncpg.Connection) -> bool:
    """Whether something between us and Postgres answers: it told another process id than the session has."""
    told = connection.get_server_pid()
    # By the simple protocol, which prepares nothing.
    answer: str = await connection.execute(f"select 1 where pg_backend_pid() = {told:d}")
    return answer != "SELECT 1"


async def keeps_sessions(address: PostgresAddress, *, timeout: float) -> bool:
    """Whether a connection has one session for as long as it is open: LISTEN, and locks of a session, need that.

    A transaction pooler gives each transaction a session that is free, and by that two connections the same one.
    """
    first = await connect_to_postgres(address, timeout=timeout, command_timeout=timeout, statement_cache_size=0)
    try:
        if not await leads_to_pooler(first):
            return True
        second = await connect_to_postgres(address, timeout=timeout, command_timeout=timeout, statement_cache_size=0)
        try:
            sessions = [await each.fetchval(SESSION) for _ in range(3) for each in (first, second)]
            return sessions[0] != sessions[1] and sessions == sessions[:2] * 3
        finally:
            await second.close(timeout=2)
    finally:
        await first.close(timeout=2)


@contextmanager
def naming_outages() -> Iterator[None]:
    """For a connection without an engine: what the driver raises of an outage becomes `PostgresUnavailable`."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if _is_outage(error):
            raise PostgresUnavailable(_described(error)) from error
        raise


def _outage_of(context: ExceptionContext) -> PostgresUnavailable | None:
    """What the engine raises instead of the driver's error; None: the error itself."""
    error = context.original_exception
    if not isinstance(error, Exception):
        return None  # a cancellation, by which SQLAlchemy gives the connection up
    if isinstance(error, context.dialect.loaded_dbapi.Error) and error.__cause__:
        error = error.__cause__  # the driver's own
    is_outage = context.is_disconnect or _is_outage(error)
    return PostgresUnavailable(_described(error)) if is_outage else None


def _is_outage(error: BaseException) -> bool:
    if isinstance(error, asyncpg.PostgresError):
        return error.sqlstate in OUTAGE_STATES or (error.sqlstate or "").startswith(OUTAGE_CLASSES)
    # InterfaceError itself is said of a connection that is closed or still busy; its subclasses, of wrong arguments.
    return isinstance(error, POSTGRES_UNAVAILABLE) or type(error) is asyncpg.InterfaceError


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


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
    """For work of one statement, which is a transaction by itself, and for reads that need not be of one moment: two
    round trips less than with BEGIN and COMMIT."""
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
    """The work's result, or TimeoutError, on time: the driver takes 2 s more to close a silent connection.

    What comes of the work after that is logged.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise TimeoutError(f"Postgres did not answer within {seconds:g} s")
        return task.result()
    finally:
        if task.cancel():
            task.add_done_callback(_log_late_error)


def _log_late_error(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.info("late_database_error", error=str(error))

"""Brings a database to the current schema. Safe to run twice, and by two processes at once.

Each migration is a transaction of its own, and may take as long as it needs. It does not wait long for a lock:
whoever else wants the table would wait behind it.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from alembic import command
from alembic.config import Config
from asyncpg import LockNotAvailableError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from reelay.db.address import PostgresAddress
from reelay.db.engine import keeps_sessions, make_engine
from reelay.db.migrations.scripts import run_script
from reelay.db.schema_check import revision_of

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_KEY = 0x5EE1A7  # any number that nobody else locks with
LOCK_NOT_AVAILABLE = LockNotAvailableError.sqlstate
LOCK_PATIENCE = timedelta(minutes=15)
ASK_FOR_LOCK_EVERY = timedelta(seconds=0.5)
CONNECTION_SECONDS = 10
# A role, or a managed server, may have limits of its own.
SESSION = ("set statement_timeout = 0", "set idle_in_transaction_session_timeout = 0", "set lock_timeout = '5s'")

# Every row, and nothing else.
SERVICE_GRANTS = """
grant select, insert, update, delete on all tables in schema public to {role};
grant execute on all functions in schema public to {role};
revoke insert, update, delete on alembic_version from {role};
revoke update, delete on audit_log from {role};
"""
TABLES_WITHOUT_SERVICE_POLICY = text("""
    select quote_ident(tablename) from pg_policies
    where schemaname = 'public' and policyname = 'service' and not cast(:role as name) = any (roles)
""")
# Granted to, it would have to be taken away from again before the API starts: `reelay.db.roles`.
BYPASSES_SECURITY = text("select rolsuper or rolbypassrls from pg_roles where rolname = :role")


class MigrationBlocked(Exception):
    """Something is in the way. The message is for the operator: what it is, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Migrated:
    """The revisions of the schema."""

    before: str | None
    """None: there was none."""
    now: str


async def migrate(
    admin_url: str,
    app_url: str,
    service_url: str | None = None,
    *,
    patience: timedelta = LOCK_PATIENCE,
    more_versions: Iterable[Path] = (),
) -> Migrated:
    """Apply what is missing as the owner, and let the roles of the other URLs use it.

    Such a role is created with its URL's password if it does not exist. Without a `service_url` the owner serves.

    `patience`: how long to wait for another process that migrates.
    `more_versions`: folders of migrations that follow ours.

    Raises: MigrationBlocked, UnusableAddress.
    """
    if not await keeps_sessions(PostgresAddress.parse(admin_url), timeout=CONNECTION_SECONDS):
        raise MigrationBlocked(
            "DATABASE_ADMIN_URL leads to a transaction pooler, which does not keep the lock of a migration. Let it "
            "name a direct connection to Postgres"
        )
    engine = make_engine(admin_url, pool_size=1, statement_seconds=None)
    try:
        async with engine.connect() as connection:
            for setting in SESSION:
                await connection.execute(text(setting))
            await connection.commit()
            await _lock(connection, patience)
            before = await revision_of(connection)
            await connection.commit()
            await _migrate(connection, app_url, service_url, more_versions)
            now = await revision_of(connection)
            assert now
            return Migrated(before=before, now=now)
    except (DBAPIError, LockNotAvailableError) as error:
        if getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise MigrationBlocked(
            "For more than 5 s a transaction held a lock that the migration needs. The migration was undone, those "
            "before it stay. End the transaction (select * from pg_stat_activity order by xact_start), then try again."
        ) from error
    finally:
        await engine.dispose()


async def _migrate(
    connection: AsyncConnection, app_url: str, service_url: str | None, more_versions: Iterable[Path]
) -> None:
    async with connection.begin():
        app_role = await connection.run_sync(_ensure_role, PostgresAddress.parse(app_url), "reelay_app")
        if await connection.scalar(BYPASSES_SECURITY, {"role": app_role}):
            raise MigrationBlocked(
                f"DATABASE_URL: its role {app_role} is a superuser or has BYPASSRLS, and is granted nothing. Let "
                "DATABASE_URL name a role that is neither: where there is none of its name, it is created"
            )
    await connection.run_sync(_upgrade, app_role, more_versions)
    await connection.commit()
    if service_url:
        async with connection.begin():
            service_role = await connection.run_sync(_ensure_role, PostgresAddress.parse(service_url), "reelay_service")
            await connection.run_sync(_grant_service_role, service_role)


async def _lock(connection: AsyncConnection, patience: timedelta) -> None:
    """One process migrates at a time. The lock is the connection's, which keeps it until it is closed.

    It is asked for, not waited for: `create index concurrently` waits for every statement under way, so that a process
    that migrates and one that waits for it in a statement would wait for each other.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience.total_seconds()
    while not await connection.scalar(text("select pg_try_advisory_lock(:key)"), {"key": LOCK_KEY}):
        await connection.commit()
        if loop.time() >= deadline:
            raise MigrationBlocked(
                f"Another process has been migrating this database for {patience}. When it has ended, migrate again; "
                "should it hang, end it (select pid from pg_locks where locktype = 'advisory')."
            )
        await asyncio.sleep(ASK_FOR_LOCK_EVERY.total_seconds())
    await connection.commit()


def alembic_config(more_versions: Iterable[Path] = ()) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(map(str, [MIGRATIONS / "versions", *more_versions])))
    return config


def _upgrade(connection: Connection, app_role: str, more_versions: Iterable[Path]) -> None:
    config = alembic_config(more_versions)
    config.attributes["connection"] = connection
    config.attributes["app_role"] = app_role
    command.upgrade(config, "head")


def _grant_service_role(connection: Connection, role: str) -> None:
    """Each time, so that it has what the newest migration made, and a database of two roles can get the third."""
    quoted = connection.dialect.identifier_preparer.quote(role)
    run_script(connection, SERVICE_GRANTS.format(role=quoted))
    for table in connection.scalars(TABLES_WITHOUT_SERVICE_POLICY, {"role": role}).all():
        connection.exec_driver_sql(f"alter policy service on {table} to current_user, {quoted}")


def _ensure_role(connection: Connection, address: PostgresAddress, default: str) -> str:
    """The name of the address's role. `role.project`, which is for a pooler, is the role's name only if it exists."""
    for role in (address.user, address.role):
        if role and connection.scalar(text("select 1 from pg_roles where rolname = :role"), {"role": role}):
            return role
    role = address.role or default
    # CREATE ROLE takes no parameters; quote_ident and quote_literal are the server's own quoting.
    statement = connection.scalar(
        text("select format('create role %I login password %L', cast(:role as text), cast(:password as text))"),
        {"role": role, "password": address.password or ""},
    )
    connection.exec_driver_sql(str(statement))
    return role

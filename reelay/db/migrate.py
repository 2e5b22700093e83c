"""Brings a database to the current schema. Safe to run twice, and by two processes at once."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url

from reelay.db.engine import make_engine
from reelay.db.migrations.scripts import run_script

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_KEY = 0x5EE1A7  # any number that nobody else locks with


# Every row, and nothing else.
SERVICE_GRANTS = """
grant select, insert, update, delete on all tables in schema public to {role};
grant execute on all functions in schema public to {role};
revoke insert, update, delete on alembic_version from {role};
"""
TABLES_WITHOUT_SERVICE_POLICY = text("""
    select quote_ident(tablename) from pg_policies
    where schemaname = 'public' and policyname = 'service' and not cast(:role as name) = any (roles)
""")


async def migrate(admin_url: str, app_url: str, service_url: str | None = None) -> None:
    """Apply what is missing as the owner, and let the roles of the other URLs use it.

    Such a role is created with its URL's password if it does not exist. Without a `service_url` the owner serves.
    """
    engine = make_engine(admin_url, pool_size=1)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
            app_role = await connection.run_sync(_ensure_role, make_url(app_url), "reelay_app")
            await connection.run_sync(_upgrade, app_role)
            if service_url:
                service_role = await connection.run_sync(_ensure_role, make_url(service_url), "reelay_service")
                await connection.run_sync(_grant_service_role, service_role)
    finally:
        await engine.dispose()


def newest_revision() -> str | None:
    """That of the code's last migration."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config).get_current_head()


def _upgrade(connection: Connection, app_role: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    config.attributes["app_role"] = app_role
    command.upgrade(config, "head")


def _grant_service_role(connection: Connection, role: str) -> None:
    """Each time, so that it has what the newest migration made, and a database of two roles can get the third."""
    quoted = connection.dialect.identifier_preparer.quote(role)
    run_script(connection, SERVICE_GRANTS.format(role=quoted))
    for table in connection.scalars(TABLES_WITHOUT_SERVICE_POLICY, {"role": role}).all():
        connection.exec_driver_sql(f"alter policy service on {table} to current_user, {quoted}")


def _ensure_role(connection: Connection, url: URL, default: str) -> str:
    """The name of the URL's role."""
    role = url.username or default
    if connection.scalar(text("select 1 from pg_roles where rolname = :role"), {"role": role}):
        return role
    # CREATE ROLE takes no parameters; quote_ident and quote_literal are the server's own quoting.
    statement = connection.scalar(
        text("select format('create role %I login password %L', cast(:role as text), cast(:password as text))"),
        {"role": role, "password": str(url.password or "")},
    )
    connection.exec_driver_sql(str(statement))
    return role

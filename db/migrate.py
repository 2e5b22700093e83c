"""Brings a database to the current schema. Safe to run twice, and by two processes at once."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from db.engine import make_engine

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_KEY = 0x5EE1A7  # any number that nobody else locks with


async def migrate(admin_url: str, app_url: str) -> None:
    """Apply what is missing as the owner, and let the role of `app_url` use it.

    The role is created with its URL's password if it does not exist.
    """
    app = make_url(app_url)
    engine = make_engine(admin_url, pool_size=1)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
            await connection.run_sync(_ensure_role, app.username or "reelay_app", str(app.password or ""))
            await connection.run_sync(_upgrade, app.username or "reelay_app")
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


def _ensure_role(connection: Connection, role: str, password: str) -> None:
    if connection.scalar(text("select 1 from pg_roles where rolname = :role"), {"role": role}):
        return
    # CREATE ROLE takes no parameters; quote_ident and quote_literal are the server's own quoting.
    statement = connection.scalar(
        text("select format('create role %I login password %L', cast(:role as text), cast(:password as text))"),
        {"role": role, "password": password},
    )
    connection.exec_driver_sql(str(statement))

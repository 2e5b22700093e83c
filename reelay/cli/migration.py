"""The schema, as an operator brings it up to date from the command line."""

from collections.abc import Mapping

import typer
from temporalio.service import RPCError

from reelay.cli.access import require_usable_addresses
from reelay.cli.data_dir import DataDir
from reelay.cli.environment import user_environment
from reelay.cli.errors import StackError
from reelay.db.engine import POSTGRES_UNAVAILABLE
from reelay.db.migrate import Migrated, MigrationBlocked, migrate
from reelay.temporal_config import UnusableConnection, connection_config
from workflows.client import NotConnected, connect
from workflows.search_attributes import creating_command, register_search_attributes

OFF = frozenset({"off", "false", "no", "0"})


async def migrate_database(data_dir: DataDir) -> None:
    """The schema, and where the environment names a Temporal, the search attributes there. Says what it did."""
    environment = user_environment()
    require_usable_addresses(environment)
    is_off = environment.get("TEMPORAL_SEARCH_ATTRIBUTES", "").lower() in OFF
    registers = "TEMPORAL_ADDRESS" in environment and not is_off
    if registers:
        require_usable_connection()
    urls: tuple[str, str, str | None]
    if admin_url := environment.get("DATABASE_ADMIN_URL"):
        if not (app_url := environment.get("DATABASE_URL")):
            raise StackError("DATABASE_URL is not set: the migrations grant its role what the API needs")
        urls = (admin_url, app_url, environment.get("DATABASE_SERVICE_URL"))
    else:
        stack = data_dir.find_stack()
        urls = (stack.database_admin_url, stack.database_url, stack.database_service_url)
    try:
        migrated = await migrate(*urls)
    except MigrationBlocked as error:
        raise StackError(str(error)) from error
    except POSTGRES_UNAVAILABLE as error:
        raise StackError(f"the database of DATABASE_ADMIN_URL does not answer: {error}") from error
    typer.echo(_said_of(migrated))
    if registers:
        await _register_search_attributes(environment)


def _said_of(migrated: Migrated) -> str:
    if migrated.before is None:
        return f"The database had no schema, and is at revision {migrated.now}."
    if migrated.before == migrated.now:
        return f"The database is at revision {migrated.now}, as it was before."
    return f"The database was at revision {migrated.before}, and is at {migrated.now}."


def require_usable_connection() -> None:
    """Before anything is changed. Raises: StackError."""
    try:
        connection_config()
    except UnusableConnection as error:
        raise StackError(f"invalid configuration: {error}") from error


async def _register_search_attributes(environment: Mapping[str, str]) -> None:
    try:
        client = await connect()
        await register_search_attributes(client)
        typer.echo(f"Temporal has the search attributes, in the namespace {client.namespace}.")
    except NotConnected as error:
        raise StackError(str(error)) from error
    except RPCError as error:
        namespace = environment.get("TEMPORAL_NAMESPACE", "default")
        raise StackError(
            f"Temporal does not take the search attributes ({error}). Let somebody who may create them run "
            f"`{creating_command(namespace)}`, or add them as Keyword in the console of Temporal Cloud. With "
            "TEMPORAL_SEARCH_ATTRIBUTES=off generations start without them"
        ) from error

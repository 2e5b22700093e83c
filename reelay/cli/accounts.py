"""API keys and the schema, as an operator handles them from the command line."""

from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping
from temporalio.service import RPCError

from api.admin.audit_log import AuditEntryView
from reelay import operators
from reelay.cli.access import find_database
from reelay.cli.data_dir import DataDir
from reelay.cli.environment import user_environment
from reelay.cli.errors import StackError
from reelay.db.audit_log import Actor, AuditAction, newest_acts
from reelay.db.keys import list_keys
from reelay.db.migrate import MigrationBlocked, migrate
from reelay.db.tables import Scope
from reelay.db.users import list_users
from workflows.client import connect
from workflows.search_attributes import SEARCH_ATTRIBUTES, register_search_attributes


async def migrate_database(data_dir: DataDir) -> None:
    """The schema, and where the environment names a Temporal, the search attributes there."""
    environment = user_environment()
    urls: tuple[str, str, str | None]
    if admin_url := environment.get("DATABASE_ADMIN_URL"):
        if not (app_url := environment.get("DATABASE_URL")):
            raise StackError("DATABASE_URL is not set: the migrations grant its role what the API needs")
        urls = (admin_url, app_url, environment.get("DATABASE_SERVICE_URL"))
    else:
        stack = data_dir.find_stack()
        urls = (stack.database_admin_url, stack.database_url, stack.database_service_url)
    try:
        await migrate(*urls)
    except MigrationBlocked as error:
        raise StackError(str(error)) from error
    if "TEMPORAL_ADDRESS" in environment:
        await _register_search_attributes()


async def _register_search_attributes() -> None:
    try:
        await register_search_attributes(await connect())
    except (RPCError, RuntimeError) as error:
        names = ", ".join(SEARCH_ATTRIBUTES)
        raise StackError(
            f"Temporal does not take the search attributes ({error}). Without them no generation starts. Where only "
            f"its console may add them (Temporal Cloud), add these as Keyword: {names}"
        ) from error


async def create(data_dir: DataDir, user: str, scope: str, lifetime: timedelta | None = None) -> str:
    """The new key. Nobody can read it again."""
    database = find_database(data_dir)
    if not database.pepper:
        raise StackError("API_KEY_PEPPER is not set: a key stored without it would not open the API that has one")
    async with database.transaction() as session:
        return await operators.issue_key(
            session,
            Actor.at_command_line(),
            user,
            scope=Scope(scope),
            pepper=database.pepper,
            lifetime=lifetime,
        )


async def listing(data_dir: DataDir, user: str | None) -> list[dict[str, Any]]:
    async with find_database(data_dir).transaction() as session:
        return [
            {
                "prefix": key.prefix,
                "user": name,
                "scope": key.scope,
                "createdAt": key.created_at.isoformat(),
                "expiresAt": key.expires_at and key.expires_at.isoformat(),
                "revokedAt": key.revoked_at and key.revoked_at.isoformat(),
            }
            for key, name in await list_keys(session, user)
        ]


async def revoke(data_dir: DataDir, prefix: str) -> None:
    async with find_database(data_dir).transaction() as session:
        await operators.revoke(session, Actor.at_command_line(), prefix)


async def acts(
    data_dir: DataDir, limit: int, *, actor: str | None, subject: str | None, action: str | None
) -> list[dict[str, Any]]:
    if action is not None and action not in set(AuditAction):
        raise StackError(f"there is no action {action}: choose from {', '.join(AuditAction)}")
    wanted = AuditAction(action) if action else None
    async with find_database(data_dir).transaction() as session:
        found = await newest_acts(session, limit=limit, actor=actor, subject=subject, action=wanted)
    return [AuditEntryView.from_row(row).model_dump(mode="json", by_alias=True) for row in found]


async def users(data_dir: DataDir) -> list[dict[str, Any]]:
    async with find_database(data_dir).transaction() as session:
        return [to_json(user) for user in await list_users(session)]


async def user(data_dir: DataDir, name: str) -> dict[str, Any]:
    async with find_database(data_dir).transaction() as session:
        found = await list_users(session, name)
    if not found:
        raise StackError(f"there is no user {name}")
    return to_json(found[0])


async def disable(data_dir: DataDir, name: str) -> None:
    async with find_database(data_dir).transaction() as session:
        await operators.disable(session, Actor.at_command_line(), name)


async def enable(data_dir: DataDir, name: str) -> None:
    async with find_database(data_dir).transaction() as session:
        await operators.enable(session, Actor.at_command_line(), name)


def to_json(user: RowMapping) -> dict[str, Any]:
    return {
        "id": str(user["id"]),
        "name": user["name"],
        "createdAt": user["created_at"].isoformat(),
        "disabledAt": user["disabled_at"] and user["disabled_at"].isoformat(),
        "keys": user["keys"],
        "jobs": user["jobs"],
        "lastJobAt": user["last_job_at"] and user["last_job_at"].isoformat(),
    }

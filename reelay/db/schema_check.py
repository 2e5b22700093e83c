"""Whether a database is as this version needs it."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from reelay.db.roles import user_role_problem

VERSIONS = Path(__file__).parent / "migrations" / "versions"
THERE = text("select to_regclass('public.alembic_version') is not null")
REVISION = text("select version_num from alembic_version")
# Migrations grant to the roles by their names.
SERVED = text("""
    select exists (
        select from pg_policies join pg_roles on rolname = any (roles)
        where schemaname = 'public' and policyname = :policy and pg_has_role(current_user, pg_roles.oid, 'usage')
    )
""")
ROLE = text("select current_user")


@cache
def known_revisions() -> tuple[str, ...]:
    """Those of the code's migrations, the newest first. By the names of their files: Alembic, which a process that
    serves needs for nothing else, takes 0.2 s and 5 MiB to load."""
    return tuple(sorted((path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*.py")), reverse=True))


async def revision_of(database: AsyncSession | AsyncConnection) -> str | None:
    """Of the last migration that the database has seen; None without any."""
    return await database.scalar(REVISION) if await database.scalar(THERE) else None


def revision_trouble(found: str | None, known: Sequence[str]) -> str | None:
    """What is wrong with that revision, for a version that knows these, the newest first.

    One that it does not know is a newer version's, and serves it, too: migrations expand before they contract.
    """
    if found is None:
        return "has no schema: run `reelay migrate`"
    if found in known[1:]:
        return f"has the schema {found}, and this version needs {known[0]}: run `reelay migrate`"
    return None


async def app_role_trouble(session: AsyncSession) -> str | None:
    """Of the role of DATABASE_URL: it could see every user's rows, or without a policy an empty service."""
    return await user_role_problem(session) or await _role_trouble(session, "own_rows", "DATABASE_URL")


async def service_role_trouble(session: AsyncSession) -> str | None:
    return await _role_trouble(session, "service", "DATABASE_SERVICE_URL")


async def _role_trouble(session: AsyncSession, policy: str, variable: str) -> str | None:
    if await session.scalar(SERVED, {"policy": policy}):
        return None
    role = await session.scalar(ROLE)
    return f"shows no rows to the role {role} of {variable}: its migrations granted them to a role of another name"

"""The role for users' requests is under row-level security: it hides other users' rows should a statement forget to."""

import structlog
from sqlalchemy import event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.pool import ConnectionPoolEntry

from reelay.db.engine import POSTGRES_UNAVAILABLE

# Not in force for a superuser, by BYPASSRLS, for the owner of a table without FORCE; `service` policies show every row.
SECURITY_OF_ROLE = """
    select rolname, rolsuper, rolbypassrls,
        array_to_string(array(
            select tablename from pg_policies where schemaname = 'public' and policyname = 'own_rows'
                and not row_security_active(format('%I.%I', schemaname, tablename)::regclass::oid)
            order by tablename
        ), ', '),
        exists (
            select from pg_policies join pg_roles as served on served.rolname = any (roles)
            where schemaname = 'public' and policyname = 'service' and pg_has_role(current_user, served.oid, 'usage')
        )
    from pg_roles where rolname = current_user
"""
ADVICE = (
    "so that a request of one user could be shown the rows of another. Let DATABASE_URL name a role of its own, which "
    "owns no table and is neither a superuser nor has BYPASSRLS: `reelay migrate` creates the one that DATABASE_URL "
    "names, with the password in it, where there is none"
)

log = structlog.get_logger()


class RoleRefused(Exception):
    """Row-level security is not in force for the role of DATABASE_URL. The message says how to make one."""


async def start_with_row_security(engine: AsyncEngine) -> None:
    """From now on the engine has no connection whose role row-level security does not hold for; the first is opened.

    Where Postgres does not answer yet, its first connection is refused later. Raises: RoleRefused.
    """
    event.listen(engine.sync_engine, "connect", _require_row_security)
    try:
        async with engine.connect():
            pass
    except RoleRefused as refused:
        log.error("database_role_refused", reason=str(refused))
        raise
    except POSTGRES_UNAVAILABLE as error:
        log.warning("database_role_not_checked", error=str(error))


def _require_row_security(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute(SECURITY_OF_ROLE)
    (found,) = cursor.fetchall()
    problem = _problem(*found)
    cursor.close()
    connection.rollback()
    if problem:
        connection.close()
        raise RoleRefused(problem)


async def user_role_problem(session: AsyncSession) -> str | None:
    """Why requests of users must not be answered by the session's role."""
    return _problem(*(await session.execute(text(SECURITY_OF_ROLE))).one())


def _problem(role: str, is_superuser: bool, bypasses: bool, unsecured: str, serves: bool) -> str | None:
    if is_superuser:
        reason = "is a superuser"
    elif bypasses:
        reason = "has BYPASSRLS"
    elif serves:
        reason = "is shown every row, as the owner and the service role are"
    elif unsecured:
        reason = f"is not under row-level security in {unsecured}"
    else:
        return None
    return f"DATABASE_URL: its role {role} {reason}, {ADVICE}"

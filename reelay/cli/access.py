"""How the other commands reach the database: by the environment's URLs, else those of the running stack."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from reelay.cli.data_dir import DataDir
from reelay.cli.environment import user_environment
from reelay.cli.errors import StackError
from reelay.cli.secrets import keep_secrets, write_private
from reelay.db.address import PostgresAddress, UnusableAddress
from reelay.db.audit_log import Actor
from reelay.db.credits import AmountRefused
from reelay.db.engine import POSTGRES_UNAVAILABLE, make_engine, make_sessions
from reelay.db.tables import Scope
from reelay.db.users import AmbiguousUser
from reelay.operators import OperatorError, add_credits, issue_key
from reelay.settings import DATABASE_URLS

LOCAL_USER = "local"
LOCAL_CREDITS_CENTS = 10_000_000
"""Enough for what one does on one machine."""


@dataclass(frozen=True)
class Database:
    service_url: str = field(repr=False)
    pepper: bytes = field(repr=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Raises: StackError when the database does not take it, or what an operator asks for is refused."""
        engine = make_engine(self.service_url, pool_size=1)
        try:
            async with make_sessions(engine).begin() as session:
                yield session
        except (OperatorError, AmbiguousUser, AmountRefused) as refusal:
            raise StackError(str(refusal)) from refusal
        except DBAPIError as error:
            raise StackError(f"the database does not take this: {error.orig}") from error
        except POSTGRES_UNAVAILABLE as error:
            raise StackError(f"the database does not answer: {error}") from error
        finally:
            await engine.dispose()


def find_database(data_dir: DataDir) -> Database:
    """Raises: NotRunning, StackError."""
    environment = user_environment()
    require_usable_addresses(environment)
    if url := environment.get("DATABASE_SERVICE_URL") or environment.get("DATABASE_ADMIN_URL"):
        return Database(url, environment.get("API_KEY_PEPPER", "").encode())
    return stack_database(data_dir)


def require_usable_addresses(environment: Mapping[str, str]) -> None:
    """Those of Postgres. Raises: StackError, which names the variable and the parameter."""
    for name in (each.upper() for each in DATABASE_URLS):
        try:
            if name in environment:
                PostgresAddress.parse(environment[name])
        except UnusableAddress as error:
            raise StackError(f"invalid configuration: {name}: {error}") from error


def stack_database(data_dir: DataDir) -> Database:
    """That of the running stack. Raises: NotRunning."""
    stack = data_dir.find_stack()
    pepper = user_environment().get("API_KEY_PEPPER") or keep_secrets(data_dir.secrets_file).api_key_pepper
    return Database(stack.database_service_url, pepper.encode())


async def local_key(data_dir: DataDir) -> str:
    """The key of the stack's own user, made once, with credits, and kept in the data dir."""
    if not data_dir.local_key_file.exists():
        database = stack_database(data_dir)
        async with database.transaction() as session:
            actor = Actor.at_command_line()
            key = await issue_key(session, actor, LOCAL_USER, scope=Scope.USER, pepper=database.pepper)
            await add_credits(session, actor, LOCAL_USER, LOCAL_CREDITS_CENTS, reference="the stack's own user")
        write_private(data_dir.local_key_file, key)
    return data_dir.local_key_file.read_text()

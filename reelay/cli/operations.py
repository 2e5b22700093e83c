"""What operators' commands do: by the admin calls where the environment has an administrator's key, else in the
database. Both do the same and return the same documents.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar
from uuid import UUID

from reelay.cli.api_client import open_admin_api
from reelay.cli.by_api import ByApi
from reelay.cli.data_dir import DataDir
from reelay.cli.environment import user_environment
from reelay.cli.errors import StackError
from reelay.cli.exit_codes import run
from reelay.cli.service import PATIENCE_SECONDS, find_data_dir
from reelay.domain.generation import Priority, ProviderName
from reelay.domain.learned_limit import Learned
from reelay.domain.turns import Place

Document = dict[str, Any]
T = TypeVar("T")


class Operations(Protocol):
    """Users are named by name, id, or e-mail address. Each method raises StackError or ReelayError."""

    async def users(self) -> list[Document]: ...
    async def user(self, name: str) -> Document: ...
    async def create_user(self, name: str, budget_cents: int | None) -> Document: ...
    async def set_budget(self, name: str, cents: int | None) -> Document: ...
    async def disable(self, name: str) -> Document: ...
    async def enable(self, name: str) -> Document: ...
    async def sign_out(self, name: str) -> Document: ...
    async def delete(self, name: str) -> Document: ...
    async def set_slot_weight(self, name: str, weight: float) -> Document: ...
    async def set_highest_priority(self, name: str, priority: Priority) -> Document: ...
    async def slot_limits(self) -> list[Document]: ...
    async def limit_slots(
        self, provider: ProviderName, slots: int | Learned | None, *, endpoint: str | None, per_user: int | None
    ) -> Document: ...
    async def waiting(self, provider: ProviderName, limit: int) -> Document: ...
    async def hold_job(self, job_id: UUID) -> None: ...
    async def release_job(self, job_id: UUID) -> None: ...
    async def move_job(self, job_id: UUID, place: Place) -> None: ...
    async def keys(self, user: str | None) -> list[Document]: ...
    async def create_key(self, user: str, scope: str, lifetime: timedelta | None, budget_cents: int | None) -> str: ...
    async def revoke_key(self, prefix: str) -> Document: ...
    async def credits(self, user: str) -> Document: ...
    async def add_credits(self, user: str, cents: int, reference: str | None) -> Document: ...
    async def adjust_credits(self, user: str, cents: int, reason: str) -> Document: ...
    async def acts(
        self, limit: int, *, actor: str | None, subject: str | None, action: str | None
    ) -> list[Document]: ...


def operate(data_dir: Path | None, work: Callable[[Operations], Awaitable[T]]) -> T:
    """What the work returns; an error ends the process with its exit code."""

    async def worked() -> T:
        async with open_operations(find_data_dir(data_dir)) as operations:
            return await work(operations)

    return run(worked())


@asynccontextmanager
async def open_operations(data_dir: DataDir) -> AsyncIterator[Operations]:
    """Raises: NotRunning."""
    if key := user_environment().get("REELAY_ADMIN_KEY"):
        async with open_admin_api(data_dir, key, patience=PATIENCE_SECONDS) as reelay:
            yield ByApi(reelay)
        return
    # Nobody who brings a key needs the database, whose modules take longer to load than most calls.
    from reelay.cli.access import find_database
    from reelay.cli.by_database import ByDatabase

    database = find_database(data_dir)
    async with database.transaction() as session:
        yield ByDatabase(session, database.pepper)


def parse_cents(cents: str) -> int:
    """Raises: StackError for fractions and words."""
    if not re.fullmatch(r"[+-]?[0-9]{1,30}", cents):
        raise StackError(f"{cents!r} is not a whole number of cents")
    return int(cents)

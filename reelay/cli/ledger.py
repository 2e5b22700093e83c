"""Users' credits, as an operator handles them from the command line."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from reelay.cli.access import find_database
from reelay.cli.data_dir import DataDir
from reelay.cli.errors import StackError
from reelay.db.credits import AmountRefused, adjust, balance_of, limit_month, top_up
from reelay.db.tables import User
from reelay.db.users import find_or_create_user, find_user


async def add(data_dir: DataDir, user: str, cents: str, reference: str | None) -> dict[str, Any]:
    """The user, who is made if there is none, with the new balance. Raises: StackError."""
    async with transaction(data_dir) as session:
        owner = await find_or_create_user(session, user)
        await top_up(session, owner, parse_cents(cents), reference=reference)
        return await balance_json(session, owner)


async def adjust_balance(data_dir: DataDir, user: str, cents: str, reason: str) -> dict[str, Any]:
    async with transaction(data_dir) as session:
        owner = await require_user(session, user)
        await adjust(session, owner, parse_cents(cents), reason=reason)
        return await balance_json(session, owner)


async def show(data_dir: DataDir, user: str) -> dict[str, Any]:
    async with transaction(data_dir) as session:
        return await balance_json(session, await require_user(session, user))


async def limit(data_dir: DataDir, user: str, cents: str) -> None:
    async with transaction(data_dir) as session:
        await limit_month(session, await require_user(session, user), None if cents == "none" else parse_cents(cents))


@asynccontextmanager
async def transaction(data_dir: DataDir) -> AsyncIterator[AsyncSession]:
    """Raises: StackError."""
    try:
        async with find_database(data_dir).transaction() as session:
            yield session
    except AmountRefused as refusal:
        raise StackError(str(refusal)) from refusal


async def require_user(session: AsyncSession, name: str) -> User:
    """Raises: StackError."""
    user = await find_user(session, name)
    if user is None:
        raise StackError(f"there is no user {name}")
    return user


async def balance_json(session: AsyncSession, user: User) -> dict[str, Any]:
    balance = await balance_of(session, user.id)
    return {
        "user": user.name,
        "balanceCents": balance.total,
        "heldCents": balance.held,
        "availableCents": balance.available,
        "monthlyBudgetCents": user.monthly_budget_cents,
    }


def parse_cents(cents: str) -> int:
    """Raises: AmountRefused for fractions and words."""
    if not re.fullmatch(r"[+-]?[0-9]{1,30}", cents):
        raise AmountRefused(f"{cents!r} is not a whole number of cents")
    return int(cents)

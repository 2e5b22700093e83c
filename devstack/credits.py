"""Users' credits, as an operator handles them from the command line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from db.credits import AmountRefused, adjust, balance_of, limit_month, top_up
from db.keys import find_or_create_user
from db.tables import User
from devstack.access import find_database
from devstack.data_dir import DataDir
from devstack.errors import StackError


async def add(data_dir: DataDir, user: str, cents: str, reference: str | None) -> dict[str, Any]:
    async with account(data_dir, user) as (session, owner):
        await top_up(session, owner, whole(cents), reference=reference)
        return await shown(session, owner)


async def correct(data_dir: DataDir, user: str, cents: str, reason: str) -> dict[str, Any]:
    async with account(data_dir, user) as (session, owner):
        await adjust(session, owner, whole(cents), reason=reason)
        return await shown(session, owner)


async def show(data_dir: DataDir, user: str) -> dict[str, Any]:
    async with account(data_dir, user) as (session, owner):
        return await shown(session, owner)


async def limit(data_dir: DataDir, user: str, cents: str) -> None:
    async with account(data_dir, user) as (session, owner):
        await limit_month(session, owner, None if cents == "none" else whole(cents))


@asynccontextmanager
async def account(data_dir: DataDir, user: str) -> AsyncIterator[tuple[AsyncSession, User]]:
    """That of the user, who is made if there is none. Raises: StackError."""
    try:
        async with find_database(data_dir).transaction() as session:
            yield session, await find_or_create_user(session, user)
    except AmountRefused as refusal:
        raise StackError(str(refusal)) from refusal


async def shown(session: AsyncSession, user: User) -> dict[str, Any]:
    balance = await balance_of(session, user.id)
    return {
        "user": user.name,
        "balanceCents": balance.total,
        "heldCents": balance.held,
        "availableCents": balance.available,
    }


def whole(cents: str) -> int:
    """Raises: AmountRefused for fractions and words."""
    try:
        return int(cents)
    except ValueError:
        raise AmountRefused(f"{cents!r} is not a whole number of cents") from None

"""Users' credits, as an operator handles them from the command line."""

import re
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from reelay.cli.access import find_database
from reelay.cli.data_dir import DataDir
from reelay.db.audit_log import Actor
from reelay.db.credits import AmountRefused, balance_of
from reelay.db.tables import User
from reelay.operators import add_credits, adjust_credits, require_user, set_budget


async def add(data_dir: DataDir, user: str, cents: str, reference: str | None) -> dict[str, Any]:
    """The user with the new balance. Raises: StackError."""
    async with find_database(data_dir).transaction() as session:
        actor = Actor.at_command_line()
        owner = await add_credits(session, actor, user, parse_cents(cents), reference=reference)
        return await balance_json(session, owner)


async def adjust_balance(data_dir: DataDir, user: str, cents: str, reason: str) -> dict[str, Any]:
    async with find_database(data_dir).transaction() as session:
        owner = await adjust_credits(session, Actor.at_command_line(), user, parse_cents(cents), reason=reason)
        return await balance_json(session, owner)


async def show(data_dir: DataDir, user: str) -> dict[str, Any]:
    async with find_database(data_dir).transaction() as session:
        return await balance_json(session, await require_user(session, user))


async def limit(data_dir: DataDir, user: str, cents: str) -> None:
    async with find_database(data_dir).transaction() as session:
        await set_budget(session, Actor.at_command_line(), user, None if cents == "none" else parse_cents(cents))


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

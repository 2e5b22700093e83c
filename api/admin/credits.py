"""Operators see and change users' credits."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from api.admin.users import UserName
from api.http.problems import problems
from api.http.wire import Text, Wire
from api.identity.dependencies import AdminCaller, require_admin
from api.services import ServicesDep
from reelay import operators
from reelay.db.credits import balance_of
from reelay.db.tables import User
from reelay.domain.money import MOST_CENTS

router = APIRouter(
    prefix="/api/admin/credits",
    tags=["operators"],
    dependencies=[Depends(require_admin)],
    responses=problems(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT),
)

Reference = Annotated[Text, Field(min_length=1, max_length=200)]


class UserCredits(Wire):
    """What a user has; one credit is one US cent."""

    user: str
    """The user's name."""
    user_id: UUID
    """The user's id."""
    balance_cents: int
    """What there is, the held part included, in US cents."""
    held_cents: int
    """What is held for jobs that have not ended, in US cents."""
    available_cents: int
    """What new jobs can take, in US cents."""
    monthly_budget_cents: int | None
    """The most that the user's jobs of one month may cost, in US cents; null for no limit."""


class CreditsToAdd(Wire):
    """Credits to add."""

    cents: Annotated[int, Field(strict=True, ge=1, le=MOST_CENTS)]
    """How many, in US cents."""
    reference: Reference | None = None
    """For example the payment's id. The same reference adds once."""


class Correction(Wire):
    """A correction of a balance."""

    cents: Annotated[int, Field(strict=True, ge=-MOST_CENTS, le=MOST_CENTS)]
    """By how many US cents: up (50) or down (-50)."""
    reason: Reference
    """Written to the ledger. The same reason corrects once."""


@router.get("/{user}")
async def read_user_credits(user: UserName, services: ServicesDep) -> UserCredits:
    """What the user has."""
    async with services.service_sessions() as session:
        return await view_credits(session, await operators.require_user(session, user))


@router.post("/{user}/add")
async def add_credits(user: UserName, body: CreditsToAdd, admin: AdminCaller, services: ServicesDep) -> UserCredits:
    """Give the user credits."""
    async with services.service_sessions.begin() as session:
        owner = await operators.add_credits(session, admin.actor, user, body.cents, reference=body.reference)
        return await view_credits(session, owner)


@router.post("/{user}/adjust")
async def adjust_credits(user: UserName, body: Correction, admin: AdminCaller, services: ServicesDep) -> UserCredits:
    """Correct the user's balance."""
    async with services.service_sessions.begin() as session:
        owner = await operators.adjust_credits(session, admin.actor, user, body.cents, reason=body.reason)
        return await view_credits(session, owner)


async def view_credits(session: AsyncSession, user: User) -> UserCredits:
    balance = await balance_of(session, user.id)
    return UserCredits(
        user=user.name,
        user_id=user.id,
        balance_cents=balance.total,
        held_cents=balance.held,
        available_cents=balance.available,
        monthly_budget_cents=user.monthly_budget_cents,
    )

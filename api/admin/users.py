"""Operators make users, limit them, shut them out, and see who there is."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, status
from pydantic import Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.pagination import Cursor, Page, PageSize, read_cursor, split_page
from api.http.problems import problems
from api.http.wire import Text, Wire
from api.identity.dependencies import AdminCaller, require_admin
from api.services import ServicesDep
from reelay import operators
from reelay.db.users import find_user, list_users
from reelay.domain.generation import Priority
from reelay.domain.money import MOST_CENTS

router = APIRouter(
    prefix="/api/admin/users",
    tags=["operators"],
    dependencies=[Depends(require_admin)],
    responses=problems(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT),
)

UserName = Annotated[Text, Path(description="The user's name, id, or the e-mail address of their token.")]
UserFilter = Annotated[
    Text | None, Query(alias="user", description="Only this user, by name, id, or the e-mail address of their token.")
]
Budget = Annotated[int, Field(strict=True, ge=0, le=MOST_CENTS)]


class UserView(Wire):
    """A user, as operators see one."""

    id: UUID
    """The user's id: the `sub` of their tokens."""
    name: str
    """The user's name; of one who came with a token, the id."""
    email: str | None
    """The e-mail address that their last token had."""
    created_at: datetime
    """When the user was made."""
    disabled_at: datetime | None
    """Since when all keys and tokens of the user are refused; null while they are accepted."""
    deleted_at: datetime | None
    """Since when all that the user has is being deleted; null of others."""
    monthly_budget_cents: int | None
    """The most that the user's jobs of one month may cost, in US cents; null for no limit."""
    slot_weight: float
    """The user's share of slots at a provider, beside the weights of the others who wait."""
    highest_priority: Priority
    """The highest that the user's new jobs may have."""
    available_cents: int
    """What new jobs can take, in US cents."""
    held_cents: int
    """What is held for jobs that have not ended, in US cents."""
    keys: int
    """How many active API keys the user has."""
    jobs: int
    """How many jobs the user has created."""
    last_job_at: datetime | None
    """When the last of them was created."""

    @classmethod
    def from_row(cls, row: RowMapping) -> Self:
        return cls.model_validate(dict(row))


class UserList(Page):
    """A page of users, newest first."""

    data: list[UserView]
    """The users."""


class NewUser(Wire):
    """A user to make."""

    name: Annotated[Text, Field(min_length=1, max_length=200)]
    """How operators call the user. A UUID is the id, too: the `sub` of tokens of your identity provider."""
    monthly_budget_cents: Budget | None = None
    """The most that the user's jobs of one month may cost, in US cents; null or omitted for no limit."""


class BudgetChange(Wire):
    """A new monthly budget."""

    monthly_budget_cents: Budget | None
    """The most that the user's jobs of one month may cost, in US cents; null for no limit."""


class SlotWeightChange(Wire):
    """A new share of slots."""

    slot_weight: Annotated[float, Field(ge=0.001, le=1000)]
    """The user's share of slots at a provider, beside the weights of the others who wait."""


class PriorityChange(Wire):
    """A new highest priority."""

    highest_priority: Priority
    """The highest that the user's new jobs may have."""


@router.get("")
async def list_all_users(
    services: ServicesDep, user: UserFilter = None, limit: PageSize = 20, after: Cursor = None
) -> UserList:
    """All users with their credits, keys and jobs, newest first."""
    async with services.service_sessions() as session:
        wanted = await find_user(session, user) if user is not None else None
        if user is not None and wanted is None:
            return UserList(data=[], has_more=False, next_cursor=None)
        user_id = wanted.id if wanted else None
        found = await list_users(session, user_id=user_id, limit=limit + 1, before=read_cursor(after))
    page, next_cursor = split_page(found, limit, lambda row: (row["created_at"], row["id"]))
    data = [UserView.from_row(row) for row in page]
    return UserList(data=data, has_more=next_cursor is not None, next_cursor=next_cursor)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_user(body: NewUser, admin: AdminCaller, services: ServicesDep) -> UserView:
    """Make a user, who has no key yet and no credits."""
    async with services.service_sessions.begin() as session:
        made = await operators.create_user(session, admin.actor, body.name, budget_cents=body.monthly_budget_cents)
        return await view_user(session, made.id)


@router.get("/{user}")
async def read_user(user: UserName, services: ServicesDep) -> UserView:
    """One user."""
    async with services.service_sessions() as session:
        return await view_user(session, (await operators.require_user(session, user)).id)


@router.delete("/{user}", status_code=status.HTTP_202_ACCEPTED)
async def delete_user(user: UserName, admin: AdminCaller, services: ServicesDep) -> UserView:
    """Delete a user with all that they have. They are refused at once; the rest goes within minutes. Safe to repeat.

    What they paid stays in the books, under no name.
    """
    async with services.service_sessions.begin() as session:
        deleted = await operators.delete(session, admin.actor, user)
        view = await view_user(session, deleted.id)
    services.callers.forget(deleted.id)
    return view


@router.post("/{user}/budget")
async def set_budget(user: UserName, body: BudgetChange, admin: AdminCaller, services: ServicesDep) -> UserView:
    """Limit what the user's jobs of one month may cost."""
    async with services.service_sessions.begin() as session:
        limited = await operators.set_budget(session, admin.actor, user, body.monthly_budget_cents)
        return await view_user(session, limited.id)


@router.post("/{user}/slot-weight")
async def set_slot_weight(
    user: UserName, body: SlotWeightChange, admin: AdminCaller, services: ServicesDep
) -> UserView:
    """Set the user's share of slots at a provider."""
    async with services.service_sessions.begin() as session:
        weighed = await operators.set_slot_weight(session, admin.actor, user, body.slot_weight)
        return await view_user(session, weighed.id)


@router.post("/{user}/highest-priority")
async def set_highest_priority(
    user: UserName, body: PriorityChange, admin: AdminCaller, services: ServicesDep
) -> UserView:
    """Limit the priority of the user's new jobs."""
    async with services.service_sessions.begin() as session:
        limited = await operators.set_highest_priority(session, admin.actor, user, body.highest_priority)
        return await view_user(session, limited.id)


@router.post("/{user}/disable")
async def disable_user(user: UserName, admin: AdminCaller, services: ServicesDep) -> UserView:
    """Refuse all keys and tokens of the user within seconds. Jobs that run are not stopped."""
    async with services.service_sessions.begin() as session:
        disabled = await operators.disable(session, admin.actor, user)
        view = await view_user(session, disabled.id)
    services.callers.forget(disabled.id)
    return view


@router.post("/{user}/enable")
async def enable_user(user: UserName, admin: AdminCaller, services: ServicesDep) -> UserView:
    """Accept the keys and tokens of the user again."""
    async with services.service_sessions.begin() as session:
        enabled = await operators.enable(session, admin.actor, user)
        return await view_user(session, enabled.id)


@router.post("/{user}/sign-out")
async def sign_user_out(user: UserName, admin: AdminCaller, services: ServicesDep) -> UserView:
    """End the user's sessions, links to media and tokens of event streams within seconds. API keys stay good."""
    async with services.service_sessions.begin() as session:
        signed_out = await operators.sign_out(session, admin.actor, user)
        view = await view_user(session, signed_out.id)
    services.callers.forget(signed_out.id)
    return view


async def view_user(session: AsyncSession, user_id: UUID) -> UserView:
    (row,) = await list_users(session, user_id=user_id)
    return UserView.from_row(row)

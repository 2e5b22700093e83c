"""Operators make, list and revoke API keys."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Path, status
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from api.admin.users import Budget, UserFilter
from api.http.pagination import Cursor, Page, PageSize, read_cursor, split_page
from api.http.problems import problems
from api.http.wire import Text, Wire
from api.identity.dependencies import AdminCaller, require_admin
from api.services import ServicesDep
from reelay import operators
from reelay.db.keys import PREFIX_LENGTH, list_keys
from reelay.db.tables import ApiKey, Scope
from reelay.db.users import find_user
from reelay.domain.keys import LONGEST_LIFETIME

router = APIRouter(
    prefix="/api/admin/keys",
    tags=["operators"],
    dependencies=[Depends(require_admin)],
    responses=problems(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT),
)


class KeyView(Wire):
    """An API key, without its secret part."""

    prefix: str
    """Its first characters, by which it is told from others."""
    user: str
    """The name of its user."""
    user_id: UUID
    """The id of its user."""
    scope: Scope
    """What it opens: `admin` the operators' calls as well."""
    created_at: datetime
    """When it was made."""
    expires_at: datetime | None
    """Until when it is good; null: until it is revoked."""
    revoked_at: datetime | None
    """Since when it is refused; null while it is good."""
    budget_cents: int | None
    """The most that its jobs may cost in all, in US cents; null for no limit."""
    spent_cents: int | None
    """What of the budget is spent or held for jobs under way, in US cents; null without a budget."""
    left_cents: int | None
    """What is left of the budget, in US cents; null without one."""

    @classmethod
    def from_row(cls, row: ApiKey, user: str) -> Self:
        spent = None if row.budget_cents is None else row.spent_cents
        more = {"user": user, "spent_cents": spent, "left_cents": row.left_cents}
        return cls.model_validate(row.model_dump() | more)


class NewKeyView(KeyView):
    """A new API key. Nobody can read it again."""

    key: str
    """The key itself."""


class KeyList(Page):
    """A page of API keys, newest first."""

    data: list[KeyView]
    """The keys."""


class NewKey(Wire):
    """A key to make."""

    user: Annotated[Text, Field(min_length=1, max_length=200)]
    """Whose: a name, an id, or the e-mail address of a token. A user that there is not is made."""
    scope: Scope = Scope.USER
    """What it opens: `admin` the operators' calls as well."""
    expires_in_seconds: Annotated[int, Field(strict=True, ge=1, le=LONGEST_LIFETIME.total_seconds())] | None = None
    """For how long it is good; null or omitted: until it is revoked."""
    budget_cents: Budget | None = None
    """The most that its jobs may cost in all, in US cents; null or omitted: as much as its user may."""


@router.get("")
async def list_all_keys(
    services: ServicesDep, user: UserFilter = None, limit: PageSize = 20, after: Cursor = None
) -> KeyList:
    """API keys by their first characters, newest first."""
    async with services.service_sessions() as session:
        owner = await find_user(session, user) if user is not None else None
        if user is not None and owner is None:
            return KeyList(data=[], has_more=False, next_cursor=None)
        user_id = owner.id if owner else None
        found = await list_keys(session, user_id=user_id, limit=limit + 1, before=read_cursor(after))
    page, next_cursor = split_page(found, limit, lambda row: (row[0].created_at, row[0].id))
    data = [KeyView.from_row(key, name) for key, name in page]
    return KeyList(data=data, has_more=next_cursor is not None, next_cursor=next_cursor)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_key(body: NewKey, admin: AdminCaller, services: ServicesDep) -> NewKeyView:
    """Make an API key. It is shown here and never again."""
    seconds = body.expires_in_seconds
    lifetime = None if seconds is None else timedelta(seconds=seconds)
    async with services.service_sessions.begin() as session:
        key = await operators.issue_key(
            session,
            admin.actor,
            body.user,
            scope=body.scope,
            pepper=services.settings.api_key_pepper.get_secret_value().encode(),
            lifetime=lifetime,
            budget_cents=body.budget_cents,
        )
        view = await view_key(session, key[:PREFIX_LENGTH])
    return NewKeyView(key=key, **view.model_dump())


@router.post("/{prefix}/revoke", responses=problems(HTTPStatus.NOT_FOUND))
async def revoke_key(
    prefix: Annotated[Text, Path(description="The key's first characters.")], admin: AdminCaller, services: ServicesDep
) -> KeyView:
    """Refuse the key within seconds."""
    async with services.service_sessions.begin() as session:
        key = await operators.revoke(session, admin.actor, prefix)
        view = await view_key(session, key.prefix)
    services.callers.forget(view.user_id)
    return view


async def view_key(session: AsyncSession, prefix: str) -> KeyView:
    ((key, user),) = await list_keys(session, prefix=prefix)
    return KeyView.from_row(key, user)

"""What operators did, for operators."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from api.http.pagination import Cursor, Page, PageSize, read_cursor, split_page
from api.http.problems import problems
from api.http.wire import Text, Wire
from api.identity.dependencies import require_admin
from api.services import ServicesDep
from reelay.db.audit_log import AuditAction, newest_acts
from reelay.db.tables import AuditEntry

router = APIRouter(
    prefix="/api/admin/audit-log",
    tags=["operators"],
    dependencies=[Depends(require_admin)],
    responses=problems(HTTPStatus.FORBIDDEN),
)


class AuditEntryView(Wire):
    """One act of an operator. Entries are never changed or removed."""

    id: UUID
    """The entry's id."""
    at: datetime
    """When it was done."""
    actor: str
    """Who did it: the user's name, or `command line`."""
    actor_id: UUID | None
    """That user's id; null at the command line."""
    credential: str
    """The first characters of the actor's API key, `token`, or at the command line the operating system's user."""
    action: AuditAction
    """What was done."""
    subject: str
    """To what: a user's name, a key's prefix, a provider, the id of a job or of a delivery."""
    user_id: UUID | None
    """The user whose it is; null where it is nobody's."""
    details: dict[str, Any]
    """More about it, for example the cents."""

    @classmethod
    def from_row(cls, row: AuditEntry) -> Self:
        return cls.model_validate(row.model_dump())


class AuditLog(Page):
    """A page of the audit log, newest first."""

    data: list[AuditEntryView]
    """The entries."""


@router.get("")
async def list_acts(
    services: ServicesDep,
    actor: Annotated[
        Text | None, Query(description="Only acts of this user, by name or id; `command line` for those made there.")
    ] = None,
    subject: Annotated[
        Text | None,
        Query(description="Only what was done to this: as the entries have it, or all of a user's, by name or id."),
    ] = None,
    action: Annotated[AuditAction | None, Query(description="Only acts of this kind.")] = None,
    limit: PageSize = 20,
    after: Cursor = None,
) -> AuditLog:
    """The audit log: what operators did by these calls and at the command line, newest first."""
    async with services.service_sessions() as session:
        found = await newest_acts(
            session, limit=limit + 1, actor=actor, subject=subject, action=action, before=read_cursor(after)
        )
    page, next_cursor = split_page(found, limit, lambda row: (row.at, row.id))
    data = [AuditEntryView.from_row(row) for row in page]
    return AuditLog(data=data, has_more=next_cursor is not None, next_cursor=next_cursor)

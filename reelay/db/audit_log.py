"""What operators did: an entry per act, written in the act's own transaction, and never changed."""

import os
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self
from uuid import UUID

from sqlalchemy import func, insert, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.tables import AuditEntry, User
from reelay.db.users import is_named
from reelay.domain.identifiers import parse_uuid

COMMAND_LINE = "command line"
TOKEN = "token"
NO_DETAILS: Mapping[str, Any] = MappingProxyType({})


class AuditAction(StrEnum):
    """What an operator did."""

    USER_CREATED = "user.created"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    USER_SIGNED_OUT = "user.signed_out"
    USER_DELETED = "user.deleted"
    BUDGET_SET = "user.budget_set"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    CREDITS_ADDED = "credits.added"
    CREDITS_ADJUSTED = "credits.adjusted"
    JOB_STARTED = "job.started"
    ROWS_IMPORTED = "rows.imported"
    DELIVERY_REPLAYED = "delivery.replayed"
    ACCOUNTS_RESUMED = "accounts.resumed"
    JOB_CANCELED = "job.canceled"
    JOB_RETRIED = "job.retried"
    JOB_POLLED = "job.polled"
    JOB_HELD = "job.held"
    JOB_RELEASED = "job.released"
    JOB_MOVED = "job.moved"
    SLOTS_LIMITED = "slots.limited"
    SLOT_WEIGHT_SET = "user.slot_weight_set"
    HIGHEST_PRIORITY_SET = "user.highest_priority_set"


@dataclass(frozen=True)
class Actor:
    """Who acts."""

    user_id: UUID | None
    """None at the command line."""
    credential: str
    """The first characters of the API key, `TOKEN`, or at the command line the operating system's user."""

    @classmethod
    def at_command_line(cls) -> Self:
        # By the process itself: what the environment calls its user, anybody can set.
        uid = os.getuid()
        try:
            return cls(None, pwd.getpwuid(uid).pw_name)
        except KeyError:  # a container's user without an entry
            return cls(None, f"uid {uid}")


async def record_act(
    session: AsyncSession,
    actor: Actor,
    action: AuditAction,
    subject: str,
    *,
    user_id: UUID | None = None,
    details: Mapping[str, Any] = NO_DETAILS,
) -> None:
    """`user_id`: whose the subject is. An act that reaches beyond Postgres is recorded before it is begun."""
    name = select(col(User.name)).where(col(User.id) == actor.user_id).scalar_subquery()
    await session.execute(
        insert(AuditEntry).values(
            actor_id=actor.user_id,
            actor=func.coalesce(name, COMMAND_LINE),
            credential=actor.credential,
            action=action,
            subject=subject,
            user_id=user_id,
            details=dict(details),
        )
    )


async def newest_acts(
    session: AsyncSession,
    *,
    limit: int,
    actor: str | None = None,
    subject: str | None = None,
    action: AuditAction | None = None,
    before: tuple[datetime, UUID] | None = None,
) -> Sequence[AuditEntry]:
    """Newest first, older than `before` (at, id).

    `actor`: a user's name or id, or `COMMAND_LINE`. `subject`: as the entries have it, or a user by name or id, whose
    all that was done to is found.
    """
    order = (col(AuditEntry.at), col(AuditEntry.id))
    statement = select(AuditEntry).order_by(*(column.desc() for column in order)).limit(limit)
    if actor is not None:
        actor_id = parse_uuid(actor)
        statement = statement.where(
            col(AuditEntry.actor_id) == actor_id if actor_id else col(AuditEntry.actor) == actor
        )
    if subject is not None:
        user_id = parse_uuid(subject)
        users = [user_id] if user_id else select(col(User.id)).where(is_named(subject))
        statement = statement.where(or_(col(AuditEntry.subject) == subject, col(AuditEntry.user_id).in_(users)))
    if action is not None:
        statement = statement.where(col(AuditEntry.action) == action)
    if before:
        statement = statement.where(tuple_(*order) < tuple_(*before))
    return (await session.scalars(statement)).all()

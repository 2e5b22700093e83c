"""Users as an operator sees them, and those who come with a token of the identity provider."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.credits import top_up
from reelay.db.tables import ApiKey, GenerationJob, User
from reelay.domain.identifiers import parse_uuid

STARTING_CREDITS = "starting credits"
"""The reference of their entry."""


@dataclass(frozen=True)
class LetIn:
    signed_out_at: datetime | None
    """What was issued before is refused."""


async def provision_user(session: AsyncSession, user_id: UUID) -> LetIn | None:
    """The user of a verified token, made at first sight and named by the id. None when disabled."""
    row = (await session.execute(text("select * from caller_by_token(:user_id)"), {"user_id": user_id})).first()
    return LetIn(row.signed_out_at) if row else None


async def create_with_starting_credits(session: AsyncSession, user_id: UUID, cents: int) -> None:
    """Make the user of a verified token, with that many credits; nothing where there is the user already."""
    user = User(id=user_id, name=str(user_id))
    new = upsert(User).values(id=user.id, name=user.name).on_conflict_do_nothing().returning(col(User.id))
    if (await session.execute(new)).first() is not None:
        await top_up(session, user, cents, reference=STARTING_CREDITS)


async def find_or_create_user(session: AsyncSession, name: str) -> User:
    """The user of that name. One who is named by a UUID, as those with tokens are, has it as the id, too."""
    given = parse_uuid(name)
    new = User(id=given, name=name) if given else User(name=name)
    await session.execute(upsert(User).values(new.model_dump(exclude_none=True)).on_conflict_do_nothing())
    return (await session.scalars(select(User).where(_named(name)))).one()


async def find_user(session: AsyncSession, name: str) -> User | None:
    """By name or id."""
    return (await session.scalars(select(User).where(_named(name)))).first()


async def list_users(session: AsyncSession, name: str | None = None) -> Sequence[RowMapping]:
    """Users with what they have, the newest first; the one of that name or id, if given."""
    active_keys = (
        select(func.count())
        .where(
            col(ApiKey.user_id) == col(User.id),
            col(ApiKey.revoked_at).is_(None),
            func.coalesce(col(ApiKey.expires_at) > func.now(), True),
        )
        .scalar_subquery()
    )
    of_user = col(GenerationJob.user_id) == col(User.id)
    statement = select(
        col(User.id),
        col(User.name),
        col(User.created_at),
        col(User.disabled_at),
        active_keys.label("keys"),
        select(func.count()).where(of_user).scalar_subquery().label("jobs"),
        select(func.max(GenerationJob.created_at)).where(of_user).scalar_subquery().label("last_job_at"),
    )
    if name is not None:
        statement = statement.where(_named(name))
    return (await session.execute(statement.order_by(col(User.created_at).desc()))).mappings().all()


async def disable_user(session: AsyncSession, name: str) -> User | None:
    """Refuse all of the user's keys and tokens from now on. None when there is no such user."""
    return await _set_disabled(session, name, func.coalesce(col(User.disabled_at), func.now()))


async def enable_user(session: AsyncSession, name: str) -> User | None:
    """Take the user's keys and tokens again. None when there is no such user."""
    return await _set_disabled(session, name, None)


async def _set_disabled(session: AsyncSession, name: str, moment: Any) -> User | None:
    return (await session.scalars(update(User).where(_named(name)).values(disabled_at=moment).returning(User))).first()


def _named(name: str) -> Any:
    given = parse_uuid(name)
    return col(User.id) == given if given else col(User.name) == name

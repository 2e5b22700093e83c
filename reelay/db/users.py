"""Users as an operator sees them, and those who come with a token of the identity provider."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, func, literal_column, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.credits import top_up
from reelay.db.deletion import ANONYMOUS, has_departed
from reelay.db.tables import ApiKey, CreditAccount, GenerationJob, User
from reelay.domain.identifiers import parse_uuid

STARTING_CREDITS = "starting credits"
"""The reference of their entry."""


class AmbiguousUser(Exception):
    """A name of one user is the e-mail address of another, or an address that of two: an id tells them apart."""

    def __init__(self, name: str, ids: Sequence[UUID]) -> None:
        super().__init__(
            f"{name} is more than one user: name the one that you mean by id, {' or '.join(map(str, ids))}"
        )


@dataclass(frozen=True)
class LetIn:
    signed_out_at: datetime | None
    """What was issued before is refused."""


async def provision_user(
    session: AsyncSession, user_id: UUID, email: str | None = None, *, issued_at: datetime
) -> LetIn | None:
    """The user of a verified token, made at first sight and named by the id. None when disabled, or deleted after what
    they show was issued.

    `email`: as the token has it; None keeps the one that is known.
    """
    by_token = text("select * from caller_by_token(:user_id, :email, :issued_at)")
    row = (await session.execute(by_token, {"user_id": user_id, "email": email, "issued_at": issued_at})).first()
    return LetIn(row.signed_out_at) if row else None


async def create_with_starting_credits(
    session: AsyncSession, user_id: UUID, cents: int, *, issued_at: datetime
) -> None:
    """Make the user of a verified token, with that many credits; nothing where there is the user already, or was one
    who was deleted after the token was issued."""
    if await has_departed(session, user_id, issued_at):
        return
    user = User(id=user_id, name=str(user_id))
    new = upsert(User).values(id=user.id, name=user.name).on_conflict_do_nothing().returning(col(User.id))
    if (await session.execute(new)).first() is not None:
        await top_up(session, user, cents, reference=STARTING_CREDITS)


async def find_or_create_user(session: AsyncSession, name: str) -> User:
    """The user of that name. One who is named by a UUID, as those with tokens are, has it as the id, too.

    Raises: AmbiguousUser.
    """
    if found := await find_user(session, name):
        return found
    given = parse_uuid(name)
    new = User(id=given, name=str(given)) if given else User(name=name)
    await session.execute(upsert(User).values(new.model_dump(exclude_none=True)).on_conflict_do_nothing())
    is_the_one = col(User.id) == given if given else col(User.name) == name
    return (await session.scalars(select(User).where(is_the_one))).one()


async def find_user(session: AsyncSession, name: str) -> User | None:
    """By name, id, or the e-mail address of their token. Raises: AmbiguousUser."""
    found = (await session.scalars(select(User).where(is_named(name)).order_by(col(User.created_at)).limit(2))).all()
    if len(found) > 1:
        raise AmbiguousUser(name, [user.id for user in found])
    return found[0] if found else None


async def list_users(
    session: AsyncSession,
    *,
    user_id: UUID | None = None,
    limit: int | None = None,
    before: tuple[datetime, UUID] | None = None,
) -> Sequence[RowMapping]:
    """Users with what they have, the newest first, older than `before` (created_at, id); that one, if given."""
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
    order = (col(User.created_at), col(User.id))
    statement = select(
        col(User.id),
        col(User.name),
        col(User.email),
        col(User.created_at),
        col(User.disabled_at),
        col(User.deleted_at),
        col(User.monthly_budget_cents),
        col(User.slot_weight),
        col(User.highest_priority),
        col(CreditAccount.available_cents),
        col(CreditAccount.held_cents),
        active_keys.label("keys"),
        select(func.count()).where(of_user).scalar_subquery().label("jobs"),
        select(func.max(GenerationJob.created_at)).where(of_user).scalar_subquery().label("last_job_at"),
    ).join(CreditAccount, col(CreditAccount.user_id) == col(User.id))
    if user_id is None:
        statement = statement.where(~col(User.name).startswith(ANONYMOUS))
    else:
        statement = statement.where(col(User.id) == user_id)
    if before:
        statement = statement.where(tuple_(*order) < tuple_(*before))
    statement = statement.order_by(*(column.desc() for column in order)).limit(limit)
    return (await session.execute(statement)).mappings().all()


async def names_of(session: AsyncSession, user_ids: Iterable[UUID]) -> dict[UUID, str]:
    rows = await session.execute(select(col(User.id), col(User.name)).where(col(User.id).in_(user_ids)))
    return {row.id: row.name for row in rows}


async def disable_user(session: AsyncSession, user_id: UUID) -> None:
    """Refuse all of the user's keys and tokens from now on."""
    await _update(session, user_id, disabled_at=func.coalesce(col(User.disabled_at), func.now()))


async def enable_user(session: AsyncSession, user_id: UUID) -> None:
    """Take the user's keys and tokens again."""
    await _update(session, user_id, disabled_at=None)


async def sign_user_out(session: AsyncSession, user_id: UUID) -> None:
    """Refuse the user's tokens until now, and all that was handed out to them and to the user's keys."""
    # As the function `sign_out` does, for the reason that stands there.
    next_second: Any = literal_column("date_trunc('second', now()) + interval '1 second'")
    await _update(session, user_id, signed_out_at=next_second)
    await session.execute(update(ApiKey).where(col(ApiKey.user_id) == user_id).values(signed_out_at=next_second))


async def _update(session: AsyncSession, user_id: UUID, **values: Any) -> None:
    await session.execute(update(User).where(col(User.id) == user_id).values(values))


def is_named(name: str) -> ColumnElement[bool]:
    """By id, name, or e-mail address."""
    if given := parse_uuid(name):
        return col(User.id) == given
    return or_(col(User.name) == name, col(User.email) == name.lower())

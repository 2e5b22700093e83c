"""API keys: made once, kept as a keyed hash, found by it."""

import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

from sqlalchemy import func, insert, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.credits import require_budget
from reelay.db.tables import ApiKey, Scope, User
from reelay.db.users import find_or_create_user

KEY_MARK = "rk_"
PREFIX_LENGTH = 11


async def create_key(
    session: AsyncSession,
    *,
    user: str,
    scope: Scope,
    pepper: bytes,
    lifetime: timedelta | None = None,
    budget_cents: int | None = None,
) -> str:
    """A new key of 256 random bits for the user, who is made if there is none. Nobody can read it again.

    Without a `lifetime` it is good until it is revoked. Its jobs may cost `budget_cents` in all; None for no limit.

    Raises: AmountRefused.
    """
    require_budget(budget_cents)
    owner = await find_or_create_user(session, user)
    key = KEY_MARK + secrets.token_urlsafe(32)
    await session.execute(
        insert(ApiKey).values(
            id=uuid4(),
            user_id=owner.id,
            prefix=key[:PREFIX_LENGTH],
            hash=hash_key(key, pepper),
            scope=scope,
            expires_at=None if lifetime is None else func.now() + lifetime,
            budget_cents=budget_cents,
        )
    )
    return key


async def list_keys(
    session: AsyncSession,
    *,
    user_id: UUID | None = None,
    prefix: str | None = None,
    limit: int | None = None,
    before: tuple[datetime, UUID] | None = None,
) -> Sequence[tuple[ApiKey, str]]:
    """Keys with their users' names, newest first, older than `before` (created_at, id)."""
    order = (col(ApiKey.created_at), col(ApiKey.id))
    statement = select(ApiKey, col(User.name)).join(User, col(User.id) == col(ApiKey.user_id))
    if user_id is not None:
        statement = statement.where(col(ApiKey.user_id) == user_id)
    if prefix is not None:
        statement = statement.where(col(ApiKey.prefix) == prefix)
    if before:
        statement = statement.where(tuple_(*order) < tuple_(*before))
    newest_first = statement.order_by(*(column.desc() for column in order)).limit(limit)
    return [(key, name) for key, name in await session.execute(newest_first)]


async def revoke_key(session: AsyncSession, prefix: str) -> ApiKey | None:
    """Refuse the key from now on. None when no active key has the prefix."""
    statement = (
        update(ApiKey)
        .where(col(ApiKey.prefix) == prefix[:PREFIX_LENGTH], col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=func.now())
        .returning(ApiKey)
    )
    return (await session.scalars(statement)).first()


@dataclass(frozen=True)
class KeyOwner:
    user_id: UUID
    scope: Scope
    signed_out_at: datetime | None
    """What was handed out to the key before is refused."""
    budget_key_id: UUID | None
    """The key's own id, where it has a budget."""


KEY_OWNERS = text("""
    select key_hash, owner.* from unnest(cast(:hashes as bytea[])) as key_hash, caller_by_key(key_hash) as owner
""")


async def find_key_owners(session: AsyncSession, key_hashes: Iterable[bytes]) -> dict[bytes, KeyOwner]:
    """By hash; without those that are unknown, expired or revoked, or a disabled user's."""
    rows = await session.execute(KEY_OWNERS, {"hashes": list(key_hashes)})
    return {row.key_hash: KeyOwner(row.user_id, Scope(row.scope), row.signed_out_at, row.budget_key_id) for row in rows}


async def find_key_owner(session: AsyncSession, key_hash: bytes) -> KeyOwner | None:
    """Whose key has this hash; None for an unknown, expired or revoked one, and for a disabled user's."""
    return (await find_key_owners(session, [key_hash])).get(key_hash)


async def sign_out(session: AsyncSession, user_id: UUID, key_hash: bytes) -> None:
    """Refuse what was handed out to the user's key until now; without a key, to the user, their tokens included."""
    await session.execute(select(func.sign_out(user_id, key_hash)))


def hash_key(key: str, pepper: bytes) -> bytes:
    # The key has 256 random bits: a slow hash would protect nothing more. The pepper keeps a stolen table useless.
    return hmac.new(pepper, key.encode(), sha256).digest()

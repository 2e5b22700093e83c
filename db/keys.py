"""API keys: made once, kept as a keyed hash, found by it."""

import hmac
import secrets
from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import ApiKey, Scope, User

KEY_MARK = "rk_"
PREFIX_LENGTH = 11


async def find_or_create_user(session: AsyncSession, name: str) -> User:
    await session.execute(
        upsert(User)
        .values(User(name=name).model_dump(exclude_none=True))
        .on_conflict_do_nothing(index_elements=["name"])
    )
    return (await session.scalars(select(User).where(col(User.name) == name))).one()


async def find_user(session: AsyncSession, name: str) -> User | None:
    return (await session.scalars(select(User).where(col(User.name) == name))).first()


async def create_key(session: AsyncSession, *, user: str, scope: Scope, pepper: bytes) -> str:
    """A new key of 256 random bits for the user, who is made if there is none. Nobody can read it again."""
    owner = await find_or_create_user(session, user)
    key = KEY_MARK + secrets.token_urlsafe(32)
    session.add(ApiKey(user_id=owner.id, prefix=key[:PREFIX_LENGTH], hash=hash_key(key, pepper), scope=scope))
    await session.flush()
    return key


async def list_keys(session: AsyncSession, user: str | None = None) -> Sequence[tuple[ApiKey, str]]:
    """Keys with their users' names, newest first."""
    statement = select(ApiKey, col(User.name)).join(User, col(User.id) == col(ApiKey.user_id))
    if user:
        statement = statement.where(col(User.name) == user)
    return [(key, name) for key, name in await session.execute(statement.order_by(col(ApiKey.created_at).desc()))]


async def revoke_key(session: AsyncSession, prefix: str) -> bool:
    """Refuse the key from now on. False when no living key begins so."""
    statement = (
        update(ApiKey)
        .where(col(ApiKey.prefix) == prefix[:PREFIX_LENGTH], col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=func.now())
        .returning(col(ApiKey.id))
    )
    return (await session.execute(statement)).first() is not None


async def find_key_owner(session: AsyncSession, key_hash: bytes) -> tuple[UUID, Scope] | None:
    """Whose key has this hash; None for an unknown, expired or revoked one."""
    statement = select(col(ApiKey.user_id), col(ApiKey.scope)).where(
        col(ApiKey.hash) == key_hash,
        col(ApiKey.revoked_at).is_(None),
        or_(col(ApiKey.expires_at).is_(None), col(ApiKey.expires_at) > func.now()),
    )
    row = (await session.execute(statement)).first()
    return (row.user_id, Scope(row.scope)) if row else None


def hash_key(key: str, pepper: bytes) -> bytes:
    # The key has 256 random bits: a slow hash would protect nothing more. The pepper keeps a stolen table useless.
    return hmac.new(pepper, key.encode(), sha256).digest()

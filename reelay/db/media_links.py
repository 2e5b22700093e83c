"""The key by which the database itself makes links to media, for those who read tables."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from reelay.db.tables import MediaLinkKey
from reelay.domain.media_link import link_key

BLOCK_BYTES = 64
"""Of SHA-256, to which HMAC pads its key."""


async def store_media_link_key(session: AsyncSession, *, origin: str, secret: bytes) -> None:
    """Let `media_link` make links at that origin which the API, with that secret, takes for its own."""
    key = link_key(secret).ljust(BLOCK_BYTES, b"\0")
    values = {
        "origin": origin,
        "inner_block": _inverted(key),
        "outer_block": bytes(byte ^ 0x5C for byte in key),
    }
    inserted = upsert(MediaLinkKey).values(only_row=True, **values)
    await session.execute(inserted.on_conflict_do_update(index_elements=["only_row"], set_=values))


async def stored_link_key(session: AsyncSession) -> tuple[str, bytes]:
    """The origin, and the key of `domain.media_link`; both empty until the API has stored them."""
    row = (await session.scalars(select(MediaLinkKey))).first()
    return (row.origin, _inverted(row.inner_block)) if row else ("", b"")


def _inverted(block: bytes) -> bytes:
    """The inner block of the key that is padded, and back."""
    return bytes(byte ^ 0x36 for byte in block)

"""Links to archived media that work without a header: in `<video src>`, in a chat, as the input of another generation.

Whoever has the link reads that one file, until the link expires. It names the user, so that row-level security and the
user's being disabled count as for every other read: docs/decisions/014-media-in-a-browser.md.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from hashlib import sha256
from uuid import UUID

PERIOD_SECONDS = 3600
"""A link is the same for this long, so that players and caches do not reload a file with every answer, and is good
for one to two of these."""
PURPOSE = b"reelay: read media\n"
USER_BYTES = 16


def sign_media_address(secret: bytes, user_id: UUID, address: str, *, now: float) -> str:
    """The user's `media_address` with a signature. `now`: seconds since the epoch."""
    expires = (int(now) // PERIOD_SECONDS + 2) * PERIOD_SECONDS
    signature = urlsafe_b64encode(user_id.bytes + _mac(secret, user_id, address, expires)).decode()
    return f"{address}?expires={expires}&signature={signature}"


def read_media_signature(secret: bytes, signature: str, address: str, expires: int, *, now: float) -> UUID | None:
    """Whose media the link lets its holder read; None when we did not sign it, or it has expired."""
    try:
        whole = urlsafe_b64decode(signature.encode("ascii"))
    except (NotBase64, UnicodeEncodeError):
        return None
    user, mac = whole[:USER_BYTES], whole[USER_BYTES:]
    if len(user) < USER_BYTES:
        return None
    user_id = UUID(bytes=user)
    is_genuine = hmac.compare_digest(mac, _mac(secret, user_id, address, expires))
    return user_id if is_genuine and now < expires else None


def link_key(secret: bytes) -> bytes:
    """The pepper has another use: the purpose keeps the two apart."""
    return hmac.new(secret, PURPOSE, sha256).digest()


def _mac(secret: bytes, user_id: UUID, address: str, expires: int) -> bytes:
    # The database's function `media_link` does the same.
    return hmac.new(link_key(secret), f"{user_id} {expires} {address}".encode(), sha256).digest()

"""Links to archived media that work without a header: in `<video src>`, in a chat, as the input of another generation.

Whoever has the link reads that one file, until the link expires, or what it was handed out for ends: the key, the user,
their session. docs/decisions/014-media-in-a-browser.md.
"""

import hmac
from hashlib import sha256
from struct import Struct
from uuid import UUID

from reelay.domain.access_pass import MAC_BYTES, AccessPass, Holder, from_text, to_text

PERIOD_SECONDS = 3600
"""A link is the same for this long, so that players and caches do not reload a file with every answer, and is good
for one to two of these."""
PURPOSE = b"reelay: read media\n"
FIELDS = Struct(">16sq")  # user, issued; then the key's hash


def sign_media_address(key: bytes, holder: Holder, address: str, *, now: float) -> str:
    """The `media_address` of the holder's user, with a signature. `key`: that of `link_key`.

    `now`: seconds since the epoch.
    """
    period = int(now) // PERIOD_SECONDS * PERIOD_SECONDS
    expires = period + 2 * PERIOD_SECONDS
    fields = FIELDS.pack(holder.user_id.bytes, max(period, holder.signed_out_at)) + holder.key_hash
    return f"{address}?expires={expires}&signature={to_text(fields + _mac(key, fields, expires, address))}"


def read_media_signature(secret: bytes, signature: str, address: str, expires: int, *, now: float) -> AccessPass | None:
    """For whom it was made, who may read the file; None when we did not sign it, or it has expired."""
    whole = from_text(signature)
    fields, mac = whole[:-MAC_BYTES], whole[-MAC_BYTES:]
    if len(fields) < FIELDS.size or not hmac.compare_digest(mac, _mac(link_key(secret), fields, expires, address)):
        return None
    if now >= expires:
        return None
    user_id, issued_at = FIELDS.unpack_from(fields)
    return AccessPass(user_id=UUID(bytes=user_id), key_hash=fields[FIELDS.size :], issued_at=issued_at)


def link_key(secret: bytes) -> bytes:
    """The pepper has another use: the purpose keeps the two apart."""
    return hmac.new(secret, PURPOSE, sha256).digest()


def _mac(key: bytes, fields: bytes, expires: int, address: str) -> bytes:
    # The database's function `media_link` does the same.
    return hmac.new(key, fields + f" {expires} {address}".encode(), sha256).digest()

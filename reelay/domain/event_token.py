"""The token that opens an event stream in a URL: a browser's `EventSource` cannot send the API key in a header.

It lets nobody do anything else, and connect for a minute only. It names what it was asked for with, so that the stream
ends when that is no longer good, and holds nothing that would open anything.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from hashlib import sha256
from struct import Struct
from uuid import UUID

CONNECT_WITHIN_SECONDS = 60
PURPOSE = b"reelay: read events\n"
MAC_BYTES = 32
NEVER_EXPIRES = 2**63 - 1
FIELDS = Struct(">q16sq")  # expires, user, ends; then the key's hash


@dataclass(frozen=True, kw_only=True)
class EventPass:
    """Whose events, and for how long."""

    user_id: UUID
    key_hash: bytes = b""
    """Of the API key that it was asked for with; empty for another provider's token."""
    ends_at: int = NEVER_EXPIRES
    """When that token expires, seconds since the epoch."""


def make_event_token(secret: bytes, event_pass: EventPass, *, now: float) -> str:
    """Opens streams until a minute from `now` (seconds since the epoch). Safe in a URL."""
    expires = int(now) + CONNECT_WITHIN_SECONDS
    payload = FIELDS.pack(expires, event_pass.user_id.bytes, event_pass.ends_at) + event_pass.key_hash
    return urlsafe_b64encode(_mac(secret, payload) + payload).rstrip(b"=").decode()


def read_event_token(secret: bytes, token: str, *, now: float) -> EventPass | None:
    """What it was made for; None when we did not make it, or it has expired."""
    try:
        whole = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except (NotBase64, UnicodeEncodeError):
        return None
    mac, payload = whole[:MAC_BYTES], whole[MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(secret, payload)):
        return None
    expires, user_id, ends_at = FIELDS.unpack_from(payload)
    if now >= expires:
        return None
    return EventPass(user_id=UUID(bytes=user_id), key_hash=payload[FIELDS.size :], ends_at=ends_at)


def _mac(secret: bytes, payload: bytes) -> bytes:
    # The pepper has another use: the purpose keeps the two apart.
    own = hmac.new(secret, PURPOSE, sha256).digest()
    return hmac.new(own, payload, sha256).digest()

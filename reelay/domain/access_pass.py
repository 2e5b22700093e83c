"""What a caller is handed for places that show no credential: links to media, and tokens in a URL or a cookie.

Each names its user and the credential that it was asked for with, and when. It stops with them: when the key is revoked
or expires, the user is disabled, or the caller signs out after it was issued.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from struct import Struct
from uuid import UUID

MAC_BYTES = 32
NEVER_EXPIRES = 2**63 - 1
FIELDS = Struct(">qq16sq")  # expires, issued, user, ends; then the key's hash


class Purpose(Enum):
    """What a token opens, and nothing else."""

    EVENTS = b"reelay: read events\n"
    CODEC = b"reelay: decode payloads\n"
    UPLOADS = b"reelay: upload files\n"


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A user, by the credential that they showed."""

    user_id: UUID
    key_hash: bytes = b""
    """Of the API key; empty for a token of the identity provider."""
    ends_at: int = NEVER_EXPIRES
    """When that token expires. Like all times here, seconds since the epoch."""
    signed_out_at: int = 0
    """What was issued earlier is refused."""


@dataclass(frozen=True, kw_only=True)
class AccessPass:
    """What was handed out."""

    user_id: UUID
    key_hash: bytes = b""
    issued_at: int
    ends_at: int = NEVER_EXPIRES


def make_token(secret: bytes, purpose: Purpose, holder: Holder, *, now: float, lifetime: int) -> str:
    """For that many seconds from `now`. Safe in a URL."""
    issued_at = max(int(now), holder.signed_out_at)
    payload = FIELDS.pack(int(now) + lifetime, issued_at, holder.user_id.bytes, holder.ends_at) + holder.key_hash
    return to_text(_mac(secret, purpose, payload) + payload)


def read_token(secret: bytes, purpose: Purpose, token: str, *, now: float) -> AccessPass | None:
    """What it was made for; None when we did not make it for this purpose, or it has expired."""
    whole = from_text(token)
    mac, payload = whole[:MAC_BYTES], whole[MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(secret, purpose, payload)):
        return None
    expires, issued_at, user_id, ends_at = FIELDS.unpack_from(payload)
    if now >= expires:
        return None
    key_hash = payload[FIELDS.size :]
    return AccessPass(user_id=UUID(bytes=user_id), key_hash=key_hash, issued_at=issued_at, ends_at=ends_at)


def to_text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """Empty for what is no such text."""
    try:
        return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (NotBase64, UnicodeEncodeError):
        return b""


def _mac(secret: bytes, purpose: Purpose, payload: bytes) -> bytes:
    # The pepper has another use: the purpose keeps the two apart.
    own = hmac.new(secret, purpose.value, sha256).digest()
    return hmac.new(own, payload, sha256).digest()

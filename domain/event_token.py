"""The token that opens an event stream in a URL: a browser's `EventSource` cannot send the API key in a header.

It lets nobody do anything else, and connect for a minute only. It names the key it was asked for with, so that the
stream ends when that key is revoked.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from hashlib import sha256

CONNECT_WITHIN_SECONDS = 60
PURPOSE = b"reelay: read events\n"
MAC_BYTES = 32
TIME_BYTES = 8


def make_event_token(secret: bytes, key_hash: bytes, *, now: float) -> str:
    """Opens streams until a minute from `now` (seconds since the epoch). Safe in a URL."""
    expires = int(now + CONNECT_WITHIN_SECONDS).to_bytes(TIME_BYTES)
    return urlsafe_b64encode(_mac(secret, expires + key_hash) + expires + key_hash).rstrip(b"=").decode()


def read_event_token(secret: bytes, token: str, *, now: float) -> bytes | None:
    """The hash of the key that it was made for; None when we did not make it, or it has expired."""
    try:
        whole = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except (NotBase64, UnicodeEncodeError):
        return None
    mac, words = whole[:MAC_BYTES], whole[MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(secret, words)):
        return None
    expires, key_hash = int.from_bytes(words[:TIME_BYTES]), words[TIME_BYTES:]
    return key_hash if now < expires else None


def _mac(secret: bytes, words: bytes) -> bytes:
    # The pepper has another use: the purpose keeps the two apart.
    own = hmac.new(secret, PURPOSE, sha256).digest()
    return hmac.new(own, words, sha256).digest()

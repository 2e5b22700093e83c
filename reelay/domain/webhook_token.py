"""The unguessable token in a webhook URL: it says for which attempt of which generation the call is meant.

Providers do not sign the URL, so this is what ties a genuine webhook to a job, and what lets the webhook of an
accepted submission whose answer was lost find its generation again.
"""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from uuid import UUID


def make_token(secret: bytes, generation_id: UUID, attempt: int) -> str:
    """`<attempt>.<mac>`, safe in a URL."""
    mac = hmac.new(secret, f"{generation_id}:{attempt}".encode(), sha256).digest()
    return f"{attempt}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def read_token(secret: bytes, generation_id: UUID, token: str) -> int | None:
    """The attempt that the token was made for; None when we did not make it for this generation."""
    number, _, _ = token.partition(".")
    if not (number.isascii() and number.isdecimal() and len(number) <= 4):
        return None
    attempt = int(number)
    genuine = make_token(secret, generation_id, attempt)
    return attempt if hmac.compare_digest(genuine.encode(), token.encode(errors="replace")) else None

"""The word by which a browser reads its user's media: an `<img>` or a `<video>` cannot send the API key in a header.

It names the user, lets nobody do anything else, and expires soon: docs/decisions/015.
"""

import hmac
import time
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import jwt

LIFETIME = timedelta(minutes=15)
"""As long as a presigned link to the same files lives."""
PURPOSE = "reelay: read media"
ALGORITHM = "HS256"


def make_media_session(secret: bytes, user_id: UUID, *, now: float | None = None) -> str:
    """`now`: seconds since the epoch."""
    expires = (time.time() if now is None else now) + LIFETIME.total_seconds()
    return jwt.encode({"sub": str(user_id), "aud": PURPOSE, "exp": int(expires)}, _key(secret), ALGORITHM)


def read_media_session(secret: bytes, session: str) -> UUID | None:
    """Whose session it is; None when we did not make it, or it has expired."""
    try:
        claims = jwt.decode(
            session, _key(secret), [ALGORITHM], options={"require": ["sub", "aud", "exp"]}, audience=PURPOSE
        )
    except jwt.InvalidTokenError:
        return None
    return UUID(claims["sub"])


def _key(secret: bytes) -> bytes:
    # The pepper has another use: the purpose keeps the two apart.
    return hmac.new(secret, PURPOSE.encode(), sha256).digest()

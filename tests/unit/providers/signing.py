"""A stand-in for fal's signing key. fal publishes no test vectors, so these tests make their own."""

import base64
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
REQUEST_ID = "01a10554-1955-7d51-8000-000000000001"
USER_ID = "github|12345"


def private_key(seed: int = 1) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def jwk(key: Ed25519PrivateKey) -> dict[str, str]:
    return jwk_of(key.public_key().public_bytes_raw())


def jwk_of(public_key: bytes) -> dict[str, str]:
    return {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(public_key).decode().rstrip("=")}


def notice(**changes: Any) -> bytes:
    ok = {"request_id": REQUEST_ID, "status": "OK", "payload": {"video": {"url": "https://fal.media/a.mp4"}}}
    return json.dumps({**ok, **changes}).encode()


def signed(
    body: bytes,
    *,
    key: Ed25519PrivateKey | None = None,
    request_id: str = REQUEST_ID,
    user_id: str = USER_ID,
    timestamp: int | str | None = None,
) -> dict[str, str]:
    """The headers fal would send with the body, at `NOW`."""
    moment = str(int(NOW.timestamp()) if timestamp is None else timestamp)
    message = "\n".join((request_id, user_id, moment, hashlib.sha256(body).hexdigest())).encode()
    return {
        "X-Fal-Webhook-Request-Id": request_id,
        "X-Fal-Webhook-User-Id": user_id,
        "X-Fal-Webhook-Timestamp": moment,
        "X-Fal-Webhook-Signature": (key or private_key()).sign(message).hex(),
    }

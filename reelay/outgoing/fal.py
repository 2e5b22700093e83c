"""Webhooks as fal signs them: Ed25519 over the request's id, the user's, the time and the body's digest.

The key is derived, so that all processes have the same one; whoever receives them reads its public half at our
`/.well-known/jwks.json`.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PURPOSE = b"reelay: webhooks in fal's shape\n"


def fal_signing_key(secret: bytes) -> Ed25519PrivateKey:
    """`secret`: that of outgoing webhooks, which has other uses: the purpose keeps them apart."""
    return Ed25519PrivateKey.from_private_bytes(hmac.new(secret, PURPOSE, sha256).digest())


def jwks_of(key: Ed25519PrivateKey) -> dict[str, Any]:
    public = key.public_key().public_bytes_raw()
    x = urlsafe_b64encode(public).rstrip(b"=").decode()
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": sha256(public).hexdigest()[:16], "x": x}]}


@dataclass(frozen=True, kw_only=True)
class FalSigner:
    key: Ed25519PrivateKey
    request_id: UUID
    user_id: UUID

    def headers(self, body: bytes, at: datetime) -> Mapping[str, str]:
        timestamp = str(int(at.timestamp()))
        message = "\n".join([str(self.request_id), str(self.user_id), timestamp, sha256(body).hexdigest()])
        return {
            "x-fal-webhook-request-id": str(self.request_id),
            "x-fal-webhook-user-id": str(self.user_id),
            "x-fal-webhook-timestamp": timestamp,
            "x-fal-webhook-signature": self.key.sign(message.encode()).hex(),
        }

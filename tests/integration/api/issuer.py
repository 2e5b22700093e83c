"""An identity provider: keys, their document, and tokens, good and bad."""

import base64
import json
import time
from hashlib import sha256
from hmac import digest
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

SECRET = "a secret of forty characters for our tests"
AUDIENCE, ISSUER = "authenticated", "https://issuer.test/auth/v1"


class Issuer:
    def __init__(self) -> None:
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.ed = ed25519.Ed25519PrivateKey.generate()

    @property
    def document(self) -> dict[str, Any]:
        """Beside its two keys, what must be passed over."""
        return {
            "keys": [
                {**ECAlgorithm.to_jwk(self.ec.public_key(), as_dict=True), "kid": "ec", "alg": "ES256", "use": "sig"},
                {**OKPAlgorithm.to_jwk(self.ed.public_key(), as_dict=True), "kid": "ed"},
                {"kty": "oct", "kid": "oct", "k": encoded(SECRET.encode()), "alg": "HS256"},
                {"kty": "EC", "kid": "half", "crv": "P-256"},
                "no key at all",
            ]
        }

    def by_ec(self, claims: dict[str, Any], **header: Any) -> str:
        return jwt.encode(claims, self.ec, "ES256", {"kid": "ec", **header})

    def by_ed(self, claims: dict[str, Any], **header: Any) -> str:
        return jwt.encode(claims, self.ed, "EdDSA", {"kid": "ed", **header})

    def by_public_key(self, claims: dict[str, Any]) -> str:
        """HS256 with what everybody knows as its secret."""
        known = self.ec.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return put_together({"alg": "HS256", "typ": "JWT", "kid": "ec"}, claims, secret=known)


def by_secret(claims: dict[str, Any], algorithm: str = "HS256") -> str:
    return jwt.encode(claims, SECRET * 2, algorithm) if algorithm != "HS256" else jwt.encode(claims, SECRET)


def unsigned(claims: dict[str, Any], algorithm: str = "none") -> str:
    return put_together({"alg": algorithm, "typ": "JWT"}, claims, secret=None)


def put_together(header: dict[str, Any], claims: dict[str, Any], *, secret: bytes | None) -> str:
    signed = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
    return f"{signed}.{encoded(digest(secret, signed.encode(), sha256)) if secret else ''}"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    """A user's, as Supabase words them; `None` leaves one out."""
    now = int(time.time())
    usual = {
        "sub": str(uuid4()),
        "aud": AUDIENCE,
        "iss": ISSUER,
        "iat": now,
        "exp": now + 3600,
        "role": "authenticated",
        "email": "ann@example.com",
        "app_metadata": {"provider": "email"},
        "user_metadata": {},
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}

"""The secrets that outgoing webhooks are signed with: `whsec_...`, as Standard Webhooks writes them.

An endpoint's own is random, shown once and kept encrypted. That for the jobs' own addresses is derived: it is the same
for all of a user's jobs, can be read again, and is kept nowhere.
"""

import hmac
import os
import secrets
from base64 import b64encode
from hashlib import sha256
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX = "whsec_"
SECRET_BYTES = 32
NONCE_BYTES = 12
ENCRYPTION = b"reelay: secrets of webhook endpoints\n"
JOB_ADDRESSES = b"reelay: signatures of webhooks to jobs' own addresses\n"


def new_secret() -> str:
    return _written(secrets.token_bytes(SECRET_BYTES))


class EndpointSecrets:
    """Encrypted by a key that is derived from `OUTGOING_WEBHOOK_SECRET`, for one endpoint each."""

    def __init__(self, secret: bytes) -> None:
        # It has two uses: the purpose keeps them apart.
        self._cipher = AESGCM(hmac.new(secret, ENCRYPTION, sha256).digest())
        self._job_key = hmac.new(secret, JOB_ADDRESSES, sha256).digest()

    def encrypt(self, secret: str, endpoint_id: UUID) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), endpoint_id.bytes)

    def decrypt(self, encrypted: bytes, endpoint_id: UUID) -> str:
        """Raises: cryptography.exceptions.InvalidTag, for another secret's or another endpoint's."""
        return self._cipher.decrypt(encrypted[:NONCE_BYTES], encrypted[NONCE_BYTES:], endpoint_id.bytes).decode()

    def for_job_addresses(self, user_id: UUID) -> str:
        return _written(hmac.new(self._job_key, user_id.bytes, sha256).digest())


def _written(secret: bytes) -> str:
    return PREFIX + b64encode(secret).decode()

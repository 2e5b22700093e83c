"""The keys by which what Temporal stores is encrypted: AES-256-GCM, several keys while they are rotated.

Exception
└── UnreadablePayload   we have no key for it, or it was changed
"""

import os
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
"""Chosen at random: good for 2^32 payloads of one key (NIST SP 800-38D section 8.3)."""
KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
FORM = "it must be id:key[,id:key], each key 32 bytes in base64 (`openssl rand -base64 32`)"


class UnreadablePayload(Exception):
    """We have no key for it, or it was changed."""


class PayloadKeys:
    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """`keys`: 32 bytes each, by their ids. The first one encrypts, all of them decrypt."""
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self.current = next(iter(keys))
        """The id of the key that encrypts."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `PAYLOAD_KEYS`. Raises: ValueError, whose text repeats no key."""
        keys: dict[str, bytes] = {}
        for number, entry in enumerate(text.split(","), start=1):
            key_id, _, encoded = entry.strip().partition(":")
            if not KEY_ID.fullmatch(key_id) or len(key := _decoded(encoded)) != KEY_BYTES:
                raise ValueError(f"PAYLOAD_KEYS: {FORM}; number {number} is not")
            if key_id in keys:
                raise ValueError(f"PAYLOAD_KEYS: the id of number {number} is another key's, too")
            keys[key_id] = key
        return cls(keys)

    def encrypt(self, plain: bytes) -> bytes:
        """By the current key."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._ciphers[self.current].encrypt(nonce, plain, self.current.encode())

    def decrypt(self, key_id: str, encrypted: bytes) -> bytes:
        """Raises: UnreadablePayload."""
        if (cipher := self._ciphers.get(key_id)) is None:
            raise no_key(key_id)
        try:
            return cipher.decrypt(encrypted[:NONCE_BYTES], encrypted[NONCE_BYTES:], key_id.encode())
        except (InvalidTag, ValueError) as error:
            raise UnreadablePayload(
                f"A payload does not fit the key {key_id!r} of PAYLOAD_KEYS: another key has that id elsewhere, "
                "or the payload was changed"
            ) from error


def no_key(key_id: str) -> UnreadablePayload:
    return UnreadablePayload(f"A payload is encrypted with the key {key_id!r}, which PAYLOAD_KEYS does not have here")


def _decoded(encoded: str) -> bytes:
    try:
        return b64decode(encoded, validate=True)
    except ValueError:
        return b""

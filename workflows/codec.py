"""What goes to Temporal, encrypted: inputs, results, summaries, and the messages and stack traces of failures.

Search attributes and the names of workflows, activities and errors stay as they are: Temporal works with them.
"""

from collections.abc import Sequence

from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from reelay.payload_keys import PayloadKeys, UnreadablePayload, no_key

ENCODING = "encoding"
ENCRYPTED = b"binary/encrypted"
KEY_ID = "encryption-key-id"


class EncryptionCodec(PayloadCodec):
    def __init__(self, keys: PayloadKeys | None) -> None:
        """Without keys nothing is encrypted, and what is encrypted is refused with the name of the missing key."""
        self._keys = keys

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self.encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Those that are not encrypted, written before there were keys, stay as they are. Raises: UnreadablePayload."""
        return [self.decrypt(payload) for payload in payloads]

    def encrypt(self, payload: Payload) -> Payload:
        if self._keys is None or _is_encrypted(payload):
            return payload
        return Payload(
            metadata={ENCODING: ENCRYPTED, KEY_ID: self._keys.current.encode()},
            data=self._keys.encrypt(payload.SerializeToString()),
        )

    def decrypt(self, payload: Payload) -> Payload:
        """Raises: UnreadablePayload."""
        if not _is_encrypted(payload):
            return payload
        key_id = payload.metadata[KEY_ID].decode(errors="replace")
        if self._keys is None:
            raise no_key(key_id)
        try:
            return Payload.FromString(self._keys.decrypt(key_id, payload.data))
        except DecodeError as error:
            raise UnreadablePayload(f"What the key {key_id!r} of PAYLOAD_KEYS decrypts is no payload") from error


def _is_encrypted(payload: Payload) -> bool:
    return payload.metadata.get(ENCODING) == ENCRYPTED

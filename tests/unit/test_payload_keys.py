"""The keys of what Temporal stores: what is taken for one, and what each of them opens."""

from base64 import b64encode

import pytest
from pydantic import ValidationError
from temporalio.api.common.v1 import Payload

from reelay.payload_keys import PayloadKeys, UnreadablePayload
from reelay.settings import Settings
from workflows.codec import EncryptionCodec

OLD, NEW = (b64encode(bytes([number] * 32)).decode() for number in (1, 2))
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"a harbour at dawn"')


def codec(keys: str | None) -> EncryptionCodec:
    return EncryptionCodec(PayloadKeys.parse(keys) if keys else None)


async def test_what_is_encrypted_shows_nothing_and_comes_back() -> None:
    (encrypted,) = await codec(f"a:{OLD}").encode([PLAIN])

    assert b"harbour" not in encrypted.SerializeToString()
    assert encrypted.metadata["encryption-key-id"] == b"a"
    assert await codec(f"a:{OLD}").decode([encrypted]) == [PLAIN]
    assert await codec(f"a:{OLD}").encode([PLAIN]) != [encrypted]


async def test_the_first_key_encrypts_and_all_decrypt() -> None:
    before, during = codec(f"old:{OLD}"), codec(f"new:{NEW}, old:{OLD}")
    (old,) = await before.encode([PLAIN])
    (new,) = await during.encode([PLAIN])

    assert await during.decode([old, new, PLAIN]) == [PLAIN] * 3
    assert new.metadata["encryption-key-id"] == b"new"
    with pytest.raises(UnreadablePayload, match="'new', which PAYLOAD_KEYS does not have here"):
        await before.decode([new])
    with pytest.raises(UnreadablePayload, match="'new', which PAYLOAD_KEYS does not have here"):
        await codec(None).decode([new])


async def test_without_keys_all_stays_as_it_is() -> None:
    assert await codec(None).encode([PLAIN]) == [PLAIN]


async def test_what_was_changed_is_not_read() -> None:
    (encrypted,) = await codec(f"a:{OLD}").encode([PLAIN])
    changed = Payload(metadata=encrypted.metadata, data=encrypted.data[:-1] + bytes([encrypted.data[-1] ^ 1]))
    renamed = Payload(metadata={**encrypted.metadata, "encryption-key-id": b"b"}, data=encrypted.data)
    for payload in (changed, renamed, Payload(metadata=encrypted.metadata, data=b"short")):
        with pytest.raises(UnreadablePayload):
            await codec(f"a:{OLD},b:{OLD}").decode([payload])


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (OLD, "number 1 is not"),
        (f"a:{OLD},", "number 2 is not"),
        (f"a b:{OLD}", "number 1 is not"),
        (f"a:{OLD[:-4]}", "number 1 is not"),
        (f"a:{OLD[:20]}", "number 1 is not"),
        (f"a:{OLD},b:not base64 at all", "number 2 is not"),
        (f"a:{OLD},a:{NEW}", "the id of number 2 is another key's, too"),
    ],
)
def test_what_is_no_key_is_refused_without_being_repeated(value: str, complaint: str) -> None:
    with pytest.raises(ValidationError, match=f"PAYLOAD_KEYS: .*{complaint}") as refusal:
        Settings(_env_file=None, payload_keys=value)
    assert OLD[:12] not in str(refusal.value)
    assert "base64 at all" not in str(refusal.value)


def test_a_key_is_masked_without_its_id_too() -> None:
    assert {OLD, NEW} <= Settings(_env_file=None, payload_keys=f"old:{OLD},new:{NEW}").secrets

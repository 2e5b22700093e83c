"""fal's keys: fetched rarely, kept through outages, never weak ones."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from reelay.providers.errors import Forged, KeysUnavailable, Malformed, Stale
from reelay.providers.fal_webhook import FIELD, SMALL_ORDER_Y, FalWebhooks, has_small_order, keys_of
from reelay.providers.jwks import JwksCache
from tests.unit.providers.scripted_server import Behaviour, ScriptedServer, answer, hang, json_answer, reset
from tests.unit.providers.signing import NOW, USER_ID, jwk, jwk_of, notice, private_key, signed

MINUTE = 60.0
HOUR = 3600.0
BASE_POINT = (4 * pow(5, -1, FIELD) % FIELD).to_bytes(32, "little")


@dataclass
class Clock:
    """Seconds that pass when the test says so."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Receiver:
    webhooks: FalWebhooks
    clock: Clock

    async def deliver(self, key: Ed25519PrivateKey | None = None) -> bool:
        return (await self.webhooks.verify(signed(notice(), key=key), notice())).succeeded


@pytest.fixture
def receiver(server: ScriptedServer, client: httpx.AsyncClient) -> Receiver:
    clock = Clock()
    jwks = JwksCache(client, f"{server.url}/.well-known/jwks.json", parse=keys_of, clock=clock)
    return Receiver(FalWebhooks(jwks, user_id=USER_ID, clock=lambda: NOW), clock)


def published(*keys: Ed25519PrivateKey) -> Behaviour:
    return json_answer(200, {"keys": [jwk(key) for key in keys]})


BROKEN: dict[str, Behaviour] = {
    "500": answer(500),
    "html": answer(200, b"<html>"),
    "no keys": json_answer(200, {"keys": []}),
    "wrong type": json_answer(200, {"keys": [{**jwk(private_key()), "kty": "EC"}]}),
    "redirect": answer(302, Location="http://127.0.0.1:1/"),
    "too large": answer(200, b" " * 10_000_000),
    "reset": reset,
}


async def test_the_keys_are_fetched_once(receiver: Receiver, server: ScriptedServer) -> None:
    server.script = [published(private_key(5), private_key())]
    assert await receiver.deliver()
    assert await receiver.deliver()
    assert [seen.target for seen in server.seen] == ["/.well-known/jwks.json"]
    assert "authorization" not in server.seen[0].headers


async def test_concurrent_first_webhooks_share_one_fetch(receiver: Receiver, server: ScriptedServer) -> None:
    server.script = [published(private_key())]
    assert all(await asyncio.gather(*(receiver.deliver() for _ in range(50))))
    assert len(server.seen) == 1


@pytest.mark.fault("W5")
async def test_a_rotated_key_is_fetched_when_it_is_first_seen(receiver: Receiver, server: ScriptedServer) -> None:
    server.script = [published(private_key(1)), published(private_key(2))]
    assert await receiver.deliver(private_key(1))
    assert await receiver.deliver(private_key(2))


async def test_concurrent_webhooks_of_a_rotated_key_share_one_refetch(
    receiver: Receiver, server: ScriptedServer
) -> None:
    server.script = [published(private_key(1)), published(private_key(2))]
    await receiver.deliver(private_key(1))
    assert all(await asyncio.gather(*(receiver.deliver(private_key(2)) for _ in range(20))))
    assert len(server.seen) == 2


@pytest.mark.fault("W5")
async def test_a_thousand_bad_signatures_cause_one_refetch(receiver: Receiver, server: ScriptedServer) -> None:
    server.always = published(private_key())
    verdicts = await asyncio.gather(*(receiver.deliver(private_key(7)) for _ in range(1000)), return_exceptions=True)
    assert {type(verdict) for verdict in verdicts} == {Forged}
    assert len(server.seen) == 2
    assert await receiver.deliver()


async def test_after_a_minute_a_bad_signature_may_cause_another(receiver: Receiver, server: ScriptedServer) -> None:
    server.always = published(private_key())
    for wait in (0.0, MINUTE - 1, 1.0):
        receiver.clock.seconds += wait
        with pytest.raises(Forged):
            await receiver.deliver(private_key(7))
    assert len(server.seen) == 3


@pytest.mark.fault("W6")
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
async def test_a_failed_refetch_keeps_the_keys(broken: Behaviour, receiver: Receiver, server: ScriptedServer) -> None:
    server.script = [published(private_key()), broken]
    await receiver.deliver()
    with pytest.raises(Forged):
        await receiver.deliver(private_key(7))
    assert await receiver.deliver()


@pytest.mark.fault("W6")
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
async def test_without_any_key_the_sender_is_asked_to_return(
    broken: Behaviour, receiver: Receiver, server: ScriptedServer
) -> None:
    server.script = [broken, published(private_key())]
    with pytest.raises(KeysUnavailable):
        await receiver.deliver()
    receiver.clock.seconds += 1
    assert await receiver.deliver()


async def test_an_outage_of_the_key_server_is_not_hammered(receiver: Receiver, server: ScriptedServer) -> None:
    server.always = answer(500)
    verdicts = await asyncio.gather(*(receiver.deliver() for _ in range(100)), return_exceptions=True)
    assert {type(verdict) for verdict in verdicts} == {KeysUnavailable}
    assert len(server.seen) == 1


@pytest.mark.fault("W6")
async def test_a_silent_key_server_is_given_up(receiver: Receiver, server: ScriptedServer) -> None:
    server.script = [hang]
    with pytest.raises(KeysUnavailable):
        await receiver.deliver()


async def test_keys_are_renewed_before_they_are_a_day_old(receiver: Receiver, server: ScriptedServer) -> None:
    server.script = [published(private_key(1)), answer(503), published(private_key(2))]
    await receiver.deliver(private_key(1))
    receiver.clock.seconds += 13 * HOUR
    assert await receiver.deliver(private_key(1))
    receiver.clock.seconds += HOUR
    assert await receiver.deliver(private_key(2))


async def test_keys_older_than_a_day_are_not_used(receiver: Receiver, server: ScriptedServer) -> None:
    server.script = [published(private_key()), answer(503)]
    await receiver.deliver()
    receiver.clock.seconds += 24 * HOUR
    with pytest.raises(KeysUnavailable):
        await receiver.deliver()


async def test_a_caller_that_goes_away_does_not_take_the_keys_along(receiver: Receiver, server: ScriptedServer) -> None:
    server.script = [hang, published(private_key())]
    gone = asyncio.create_task(receiver.deliver())
    await server.reached.wait()
    waiting = asyncio.create_task(receiver.deliver())
    gone.cancel()
    assert await waiting


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda headers: headers.pop("X-Fal-Webhook-Signature"), Malformed),
        (lambda headers: headers.update({"X-Fal-Webhook-Timestamp": "1"}), Stale),
        (lambda headers: headers.update({"X-Fal-Webhook-User-Id": "github|666"}), Forged),
    ],
)
async def test_what_needs_no_key_is_refused_without_a_fetch(
    change: Callable[[dict[str, str]], object], error: type[Exception], receiver: Receiver, server: ScriptedServer
) -> None:
    headers = signed(notice())
    change(headers)
    with pytest.raises(error):
        await receiver.webhooks.verify(headers, notice())
    assert server.seen == []


def test_a_signature_under_the_identity_key_needs_no_private_key() -> None:
    identity = Ed25519PublicKey.from_public_bytes(b"\x01" + bytes(31))
    anyone_can_make_this = BASE_POINT + b"\x01" + bytes(31)
    identity.verify(anyone_can_make_this, b"any message at all")
    assert keys_of(json.dumps({"keys": [jwk_of(b"\x01" + bytes(31))]}).encode()) == ()


@pytest.mark.fault("W6")
@pytest.mark.parametrize("y", [*sorted(SMALL_ORDER_Y), FIELD, FIELD + 1])
@pytest.mark.parametrize("sign", [0, 1])
def test_keys_of_small_order_are_refused(y: int, sign: int) -> None:
    assert has_small_order((y | sign << 255).to_bytes(32, "little"))


def test_the_small_orders_are_those_of_the_curve() -> None:
    """Doubling each point three times gives the neutral element, whose y is 1."""
    for y in SMALL_ORDER_Y:
        for _ in range(3):
            y = _doubled(y)
        assert y == 1
    assert not has_small_order(BASE_POINT)


def _doubled(y: int) -> int:
    """The y of twice a point, by the addition law of RFC 8032 section 5.1 with x eliminated by the curve equation."""
    d = -121665 * pow(121666, -1, FIELD) % FIELD
    x_squared = (y * y - 1) * pow(d * y * y + 1, -1, FIELD) % FIELD
    return (y * y + x_squared) * pow(1 - d * x_squared * y * y, -1, FIELD) % FIELD


@pytest.mark.fault("W6")
@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        {},
        {**jwk(private_key()), "crv": "X25519"},
        {**jwk(private_key()), "kty": "RSA"},
        {**jwk(private_key()), "kty": ["OKP"]},
        {"kty": "OKP", "crv": "Ed25519"},
        {"kty": "OKP", "crv": "Ed25519", "x": 7},
        {"kty": "OKP", "crv": "Ed25519", "x": "short"},
        {"kty": "OKP", "crv": "Ed25519", "x": "+" * 43},
        {"kty": "OKP", "crv": "Ed25519", "x": "é" * 43},
    ],
)
def test_an_entry_that_is_no_key_is_passed_over(entry: object) -> None:
    document = json.dumps({"keys": [entry, jwk(private_key())]}).encode()
    assert [key.public_bytes_raw() for key in keys_of(document)] == [private_key().public_key().public_bytes_raw()]


def test_padded_coordinates_are_read() -> None:
    padded = jwk(private_key())["x"] + "="
    assert len(keys_of(json.dumps({"keys": [{**jwk(private_key()), "x": padded}]}).encode())) == 1


@pytest.mark.fault("W6")
@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": "x"}', b"[" * 100_000])
def test_a_document_without_keys_has_none(document: bytes) -> None:
    assert keys_of(document) == ()

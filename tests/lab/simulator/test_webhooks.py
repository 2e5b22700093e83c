"""fal's webhooks: what is signed, what is said, and how often."""

import base64
import hashlib
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lab.simulator.fal_webhooks import RETRY_WAITS
from lab.simulator.settings import SimulatorSettings
from tests.lab.simulator.servers import Received, Receiver, RunningSimulator, running
from tests.servers import loopback_socket


async def jwks_of(simulator: RunningSimulator) -> list[dict[str, str]]:
    keys: list[dict[str, str]] = (await simulator.http.get("/.well-known/jwks.json")).json()["keys"]
    return keys


def is_signed_by(jwk: dict[str, str], received: Received) -> bool:
    name = "x-fal-webhook-{}".format
    parts = [received.headers[name(part)] for part in ("request-id", "user-id", "timestamp")]
    message = "\n".join([*parts, hashlib.sha256(received.body).hexdigest()]).encode()
    key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(jwk["x"] + "=="))
    try:
        key.verify(bytes.fromhex(received.headers[name("signature")]), message)
    except InvalidSignature:
        return False
    return True


async def deliveries_of(simulator: RunningSimulator, accepted: dict[str, Any]) -> list[dict[str, Any]]:
    """Every delivery of a request, once no more will be made. Makes time pass."""
    while True:
        seen = await simulator.seen(accepted["request_id"])
        if seen["webhook_settled"]:
            return list(seen["deliveries"])
        await simulator.skip(0.2)


async def test_a_webhook_is_signed_over_its_raw_body(simulator: RunningSimulator, receiver: Receiver) -> None:
    accepted = await simulator.submit("a lake", webhook=f"{receiver.url}?job=j1&token=t")
    (received,) = await receiver.wait_for(1)
    body = json.loads(received.body)
    assert [is_signed_by(key, received) for key in await jwks_of(simulator)] == [True]
    assert received.headers["x-fal-webhook-request-id"] == accepted["request_id"]
    assert abs(int(received.headers["x-fal-webhook-timestamp"]) - time.time()) < 5
    assert received.query == {"job": "j1", "token": "t"}
    assert body == {
        "request_id": accepted["request_id"],
        "gateway_request_id": body["gateway_request_id"],
        "status": "OK",
        "payload": (await simulator.result(accepted)).json(),
    }


async def test_a_failure_is_reported_with_the_answer_of_the_model(
    simulator: RunningSimulator, receiver: Receiver
) -> None:
    accepted = await simulator.submit("[sim: fail=422]", webhook=receiver.url)
    body = json.loads((await receiver.wait_for(1))[0].body)
    assert (body["status"], body["error"]) == ("ERROR", "Invalid status code: 422")
    assert body["payload"] == (await simulator.result(accepted)).json()


async def test_a_payload_error_hides_a_good_result(simulator: RunningSimulator, receiver: Receiver) -> None:
    accepted = await simulator.submit("[sim: webhook=payload_error]", webhook=receiver.url)
    body = json.loads((await receiver.wait_for(1))[0].body)
    assert (body["status"], body["payload"]) == ("OK", None)
    assert body["payload_error"]
    assert (await simulator.result(accepted)).json()["video"]["url"]


async def test_a_result_without_media_has_it_later(simulator: RunningSimulator, receiver: Receiver) -> None:
    accepted = await simulator.submit("[sim: webhook=no-media:1m]", webhook=receiver.url)
    body = json.loads((await receiver.wait_for(1))[0].body)
    assert (body["status"], body["payload"]) == ("OK", {"video": None})
    assert (await simulator.result(accepted)).json() == {"video": None}
    await simulator.skip(60)
    assert (await simulator.result(accepted)).json()["video"]["url"]


async def test_a_request_ends_when_it_is_told_to(simulator: RunningSimulator, receiver: Receiver) -> None:
    accepted = await simulator.submit("[sim: latency=10m]", webhook=receiver.url)
    assert (await simulator.http.post(f"/__sim/requests/{accepted['request_id']}/end")).status_code == 204

    (received,) = await receiver.wait_for(1)
    assert json.loads(received.body)["request_id"] == accepted["request_id"]
    assert (await simulator.result(accepted)).status_code == 200


async def test_each_retry_is_signed_anew_until_one_is_acknowledged(
    settings: SimulatorSettings, receiver: Receiver
) -> None:
    receiver.answers = [404]
    async with running(settings.model_copy(update={"webhook_compression": 5})) as slow_paced:
        accepted = await slow_paced.submit("a lake", webhook=receiver.url)
        received = await receiver.wait_for(2)
        deliveries = await deliveries_of(slow_paced, accepted)
        (key,) = await jwks_of(slow_paced)
    assert [delivery["status_code"] for delivery in deliveries] == [404, 200]
    assert all(is_signed_by(key, each) for each in received)
    assert len({each.body for each in received}) == 1
    first, second = [int(each.headers["x-fal-webhook-timestamp"]) for each in received]
    assert first < second


async def test_a_receiver_that_never_acknowledges_hears_31_retries(
    simulator: RunningSimulator, receiver: Receiver
) -> None:
    receiver.answers = [503] * 50
    accepted = await simulator.submit("[sim: latency=1ms]", webhook=receiver.url)
    assert timedelta(minutes=50) < sum(RETRY_WAITS, timedelta(0)) < timedelta(hours=1)
    assert len(await deliveries_of(simulator, accepted)) == len(receiver.received) == 32


async def test_a_large_result_is_reported_for_six_minutes_only(simulator: RunningSimulator, receiver: Receiver) -> None:
    receiver.answers = [503] * 50
    accepted = await simulator.submit(
        "[sim: latency=1ms]",
        webhook=receiver.url,
        endpoint="fal-ai/whisper",
        audio_url="https://example.com/a.wav",
        chunk_level="word",
    )
    assert len(await deliveries_of(simulator, accepted)) == len(receiver.received) == 7


async def test_a_redirect_is_final_and_not_followed(simulator: RunningSimulator, receiver: Receiver) -> None:
    receiver.answers = [302]
    accepted = await simulator.submit("a lake", webhook=receiver.url)
    assert len(await deliveries_of(simulator, accepted)) == len(receiver.received) == 1


async def test_nobody_listening_is_an_error_that_is_retried(simulator: RunningSimulator) -> None:
    with loopback_socket() as deaf:
        accepted = await simulator.submit("a lake", webhook=f"http://127.0.0.1:{deaf.getsockname()[1]}/hook")
        deliveries = await deliveries_of(simulator, accepted)
    assert [(each["status_code"], each["error"]) for each in deliveries] == [(None, "ConnectError")] * 32


async def test_a_receiver_that_does_not_answer_in_time_is_called_again(settings: SimulatorSettings) -> None:
    briefly = timedelta(seconds=0.02)
    impatient = settings.model_copy(update={"webhook_timeout": briefly, "webhook_retry_timeout": briefly})
    with loopback_socket() as mute:
        mute.listen()
        async with running(impatient) as simulator:
            accepted = await simulator.submit("a lake", webhook=f"http://127.0.0.1:{mute.getsockname()[1]}/hook")
            deliveries = await deliveries_of(simulator, accepted)
    assert [each["error"] for each in deliveries] == ["TimeoutError"] * 32


async def test_an_early_webhook_comes_before_the_answer(simulator: RunningSimulator, receiver: Receiver) -> None:
    accepted = await simulator.submit("[sim: webhook=early]", webhook=receiver.url)
    assert json.loads(receiver.received[0].body)["request_id"] == accepted["request_id"]


async def test_a_lost_webhook_never_comes(simulator: RunningSimulator, receiver: Receiver) -> None:
    accepted = await simulator.submit("[sim: webhook=lost]", webhook=receiver.url)
    assert not await deliveries_of(simulator, accepted)
    assert not receiver.received


async def test_a_late_webhook_comes_after_the_end(simulator: RunningSimulator, receiver: Receiver) -> None:
    accepted = await simulator.submit("[sim: webhook=late:1m]", webhook=receiver.url)
    await simulator.ended(accepted)
    await simulator.skip(30)
    assert not receiver.received
    await simulator.skip(30)
    await receiver.wait_for(1)


async def test_duplicates_come_at_once_and_each_verifies(simulator: RunningSimulator, receiver: Receiver) -> None:
    accepted = await simulator.submit("[sim: webhook=dup:20]", webhook=receiver.url)
    assert len(await deliveries_of(simulator, accepted)) == len(receiver.received) == 20
    (key,) = await jwks_of(simulator)
    assert all(is_signed_by(key, each) for each in receiver.received)


async def test_a_forged_webhook_verifies_with_no_key(simulator: RunningSimulator, receiver: Receiver) -> None:
    receiver.answers = [401]
    accepted = await simulator.submit("[sim: webhook=forged]", webhook=receiver.url)
    assert len(await deliveries_of(simulator, accepted)) == 1
    (received,) = receiver.received
    assert not any(is_signed_by(key, received) for key in await jwks_of(simulator))


async def test_a_stale_webhook_is_signed_for_ten_minutes_ago(simulator: RunningSimulator, receiver: Receiver) -> None:
    await simulator.submit("[sim: webhook=stale]", webhook=receiver.url)
    (received,) = await receiver.wait_for(1)
    (key,) = await jwks_of(simulator)
    assert is_signed_by(key, received)
    assert 595 < time.time() - int(received.headers["x-fal-webhook-timestamp"]) < 605


async def test_a_reordered_webhook_lets_a_later_request_go_first(
    simulator: RunningSimulator, receiver: Receiver
) -> None:
    first = await simulator.submit("[sim: webhook=reordered]", webhook=receiver.url)
    await simulator.ended(first)
    second = await simulator.submit("a lake", webhook=receiver.url)
    order = [json.loads(received.body)["request_id"] for received in await receiver.wait_for(2)]
    assert order == [second["request_id"], first["request_id"]]


async def test_a_request_canceled_while_queued_reports_nothing(simulator: RunningSimulator, receiver: Receiver) -> None:
    accepted = await simulator.submit("[sim: latency=1m]", webhook=receiver.url)
    await simulator.http.put(accepted["cancel_url"])
    await simulator.skip(3600)
    running_one = await simulator.submit("[sim: latency=1m]", webhook=receiver.url)
    await simulator.skip(30)
    await simulator.http.put(running_one["cancel_url"])
    (received,) = await receiver.wait_for(1)
    body = json.loads(received.body)
    assert (body["request_id"], body["error"]) == (running_one["request_id"], "Invalid status code: 499")


async def test_a_rotated_key_signs_from_then_on(settings: SimulatorSettings, receiver: Receiver) -> None:
    async with running(settings) as simulator:
        (before,) = await jwks_of(simulator)
        await simulator.http.post("/__sim/keys/rotate")
        await simulator.submit("a lake", webhook=receiver.url)
        (received,) = await receiver.wait_for(1)
        after, still_published = await jwks_of(simulator)
    assert still_published == before
    assert is_signed_by(after, received)
    assert not is_signed_by(before, received)


async def test_an_unfinished_request_and_its_webhook_survive_a_restart(
    settings: SimulatorSettings, receiver: Receiver, tmp_path: Path
) -> None:
    kept = settings.model_copy(update={"state_file": tmp_path / "simulator.db"})
    async with running(kept) as simulator:
        accepted = await simulator.submit("[sim: latency=1m]", webhook=f"{receiver.url}?job=j1")
        keys, port = await jwks_of(simulator), simulator.port
    async with running(kept, port=port) as simulator:
        assert not receiver.received
        await simulator.skip(60)
        (received,) = await receiver.wait_for(1)
        assert json.loads(received.body)["request_id"] == accepted["request_id"]
        assert await jwks_of(simulator) == keys
        assert is_signed_by(keys[0], received)
        assert (await simulator.result(accepted)).status_code == 200
        assert (await simulator.stats())["jobs"]["j1"]["accepted"] == 1

"""Standard Webhooks against two independent implementations, and everything that a stranger may send instead."""

import asyncio
import json
import time
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from reelay.providers.errors import Forged, Malformed, Stale, WebhookRejected
from reelay.providers.provider import WebhookNotice
from reelay.providers.replicate_webhook import ReplicateWebhooks, check_time, parse, verify

# The vector that every implementation publishes.
VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR_HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
VECTOR_BODY = b'{"test": 2432232314}'

SECRET, OTHER_SECRET = (f"whsec_{b64encode(letter * 32).decode()}" for letter in (b"a", b"b"))
NOW = datetime(2026, 10, 5, 12, tzinfo=UTC)
BODY = json.dumps({"id": "gm3qorzdhgbfurvjtvhg6dckhu", "status": "succeeded", "output": "https://x.test/a"}).encode()


def signed(body: bytes, *, secret: str = SECRET, moment: datetime = NOW, message_id: str = "msg_1") -> dict[str, str]:
    """As `standardwebhooks` signs it."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, moment, body.decode("utf-8")),
    }


def accept(headers: dict[str, str], body: bytes = BODY, *secrets: str) -> WebhookNotice:
    return asyncio.run(ReplicateWebhooks(secrets or (SECRET,), clock=lambda: NOW).verify(headers, body))


def test_the_published_vector_is_genuine() -> None:
    with pytest.raises(Malformed, match="not a prediction"):  # so its signature was believed
        verify(parse(VECTOR_HEADERS, VECTOR_BODY), [Webhook(VECTOR_SECRET)])
    with pytest.raises(Forged):
        verify(parse(VECTOR_HEADERS, VECTOR_BODY + b" "), [Webhook(VECTOR_SECRET)])


def test_two_other_implementations_agree_on_what_is_genuine() -> None:
    moment = datetime.now(UTC)
    headers = signed(BODY, moment=moment)
    Webhook(SECRET).verify(BODY, headers)
    openai.OpenAI(api_key="none").webhooks.verify_signature(BODY, headers, secret=SECRET)

    notice = verify(parse(headers, BODY), [Webhook(SECRET)])
    assert (notice.request_id, notice.succeeded, notice.ended) == ("gm3qorzdhgbfurvjtvhg6dckhu", True, True)


@pytest.mark.parametrize(
    ("word", "succeeded", "ended"),
    [
        ("succeeded", True, True),
        ("SUCCEEDED", True, True),
        ("failed", False, True),
        ("canceled", False, True),
        ("aborted", False, True),
        ("starting", False, False),
        ("processing", False, False),
        ("warming_up", False, False),
    ],
)
def test_only_what_has_ended_is_an_end(word: str, succeeded: bool, ended: bool) -> None:
    body = json.dumps({"id": "p1", "status": word}).encode()
    notice = accept(signed(body), body)
    assert (notice.succeeded, notice.ended) == (succeeded, ended)


@pytest.mark.parametrize("output", [None, "https://x.test/a.mp4", [], {"a": [{"b": "c"}]}, ["https://x.test/"] * 5000])
def test_any_output_is_taken(output: object) -> None:
    body = json.dumps({"id": "p1", "status": "succeeded", "output": output}).encode()
    assert accept(signed(body), body).succeeded


def test_either_secret_is_taken_while_they_are_rotated() -> None:
    old, new = signed(BODY), signed(BODY, secret=OTHER_SECRET)
    both = old | {"webhook-signature": f"{new['webhook-signature']} {old['webhook-signature']}"}
    for headers in (old, new, both):
        assert accept(headers, BODY, SECRET, OTHER_SECRET).succeeded
    assert accept(both, BODY, SECRET).succeeded
    assert accept(both, BODY, OTHER_SECRET).succeeded
    with pytest.raises(Forged):
        accept(new, BODY, SECRET)


def test_without_a_secret_nothing_is_genuine() -> None:
    with pytest.raises(Forged):
        asyncio.run(ReplicateWebhooks((), clock=lambda: NOW).verify(signed(BODY), BODY))


@pytest.mark.parametrize("body", [BODY + b" ", BODY.replace(b"gm3q", b"gm4q"), b"", BODY.replace(b": ", b":")])
def test_another_body_under_the_same_signature_is_forged(body: bytes) -> None:
    with pytest.raises(Forged):
        accept(signed(BODY), body)


@pytest.mark.parametrize("change", [{"webhook-id": "msg_2"}, {"webhook-timestamp": str(int(NOW.timestamp()) + 1)}])
def test_each_signed_header_is_covered(change: dict[str, str]) -> None:
    with pytest.raises(Forged):
        accept(signed(BODY) | change)


@pytest.mark.parametrize("offset", [-300, 0, 300])
def test_five_minutes_of_clock_difference_are_allowed(offset: int) -> None:
    assert accept(signed(BODY, moment=NOW + timedelta(seconds=offset))).succeeded


@pytest.mark.parametrize("offset", [-301, 301, -86_400, 86_400])
def test_beyond_five_minutes_is_stale(offset: int) -> None:
    with pytest.raises(Stale):
        accept(signed(BODY, moment=NOW + timedelta(seconds=offset)))


@pytest.mark.parametrize("timestamp", ["0", "999999999999"])
def test_timestamps_of_no_calendar_are_stale(timestamp: str) -> None:
    with pytest.raises(Stale):
        check_time(parse(signed(BODY) | {"webhook-timestamp": timestamp}, BODY), NOW)


GOOD = b64encode(b"x" * 32).decode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            (f"webhook-{name}", value)
            for name in ("id", "timestamp", "signature")
            for value in (None, "", " ", "\ud800")
        ),
        ("webhook-id", "a.1614265330.b"),
        ("webhook-id", "m" * 201),
        ("webhook-id", "é"),
        ("webhook-timestamp", "nan"),
        ("webhook-timestamp", "inf"),
        ("webhook-timestamp", "1e9"),
        ("webhook-timestamp", "-1"),
        ("webhook-timestamp", f"{NOW.timestamp():.1f}"),
        ("webhook-timestamp", f" {NOW.timestamp():.0f}"),
        ("webhook-timestamp", "٣"),
        ("webhook-timestamp", "9" * 400),
        ("webhook-signature", GOOD),
        ("webhook-signature", "v1"),
        ("webhook-signature", "v1,"),
        ("webhook-signature", f"v1,{GOOD},{GOOD}"),
        ("webhook-signature", f"v1,{GOOD[:-1]}"),
        ("webhook-signature", f"v1,{GOOD[:-2]}"),
        ("webhook-signature", "v1,é"),
        ("webhook-signature", "v1,!!!!"),
        ("webhook-signature", f"v2,{GOOD}"),
        ("webhook-signature", f"v1a,{GOOD}"),
        ("webhook-signature", f"V1,{GOOD}"),
        ("webhook-signature", f"v1,{GOOD} " * 200),
    ],
)
def test_a_missing_or_hostile_header_is_malformed(name: str, value: str | None) -> None:
    headers = signed(BODY)
    del headers[name]
    if value is not None:
        headers[name] = value
    with pytest.raises(Malformed):
        accept(headers)


def test_a_right_signature_under_another_version_is_not_believed() -> None:
    headers = signed(BODY)
    mac = headers["webhook-signature"].removeprefix("v1,")
    for version in ("v2", "v1a", "v"):
        with pytest.raises(Malformed):
            accept(headers | {"webhook-signature": f"{version},{mac}"})
    assert accept(headers | {"webhook-signature": f"v1a,zz v1,broken {headers['webhook-signature']}"}).succeeded


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"{}",
        b'{"id": "p1"}',
        b'{"id": "../p1", "status": "succeeded"}',
        b'{"id": ["p1"], "status": "succeeded"}',
        b'{"id": "p1", "status": {"a": 1}}',
        b'{"id": "p1", "status": "succeeded", "output": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        '\ufeff{"id": "p1", "status": "succeeded"}'.encode(),
    ],
    ids=lambda body: body[:40],
)
def test_signed_bodies_that_are_no_predictions_are_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        accept(signed(body), body)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"\x1f\x8b\x08", '{"id": "p1"}'.encode("utf-16")])
def test_bytes_that_are_no_text_are_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        accept(signed(BODY), body)


def test_nan_and_nul_in_an_output_do_no_harm() -> None:
    body = rb'{"id": "p1", "status": "succeeded", "output": {"score": NaN, "big": 1e999, "text": "a\u0000b\ud800"}}'
    assert accept(signed(body), body).body["output"] == {"score": None, "big": None, "text": "ab"}


@given(
    headers=st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "x"]), st.text()),
    body=st.binary(max_size=200),
)
def test_nothing_but_a_rejection_is_ever_raised(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(WebhookRejected):
        accept(headers, body)


@given(st.binary(min_size=32, max_size=32))
def test_no_guessed_signature_is_genuine(mac: bytes) -> None:
    headers = signed(BODY)
    if mac == b64decode(headers["webhook-signature"].removeprefix("v1,")):
        return
    with pytest.raises(Forged):
        accept(headers | {"webhook-signature": f"v1,{b64encode(mac).decode()}"})


def test_a_replay_is_refused_once_it_is_old() -> None:
    headers = signed(BODY, moment=datetime.fromtimestamp(time.time() - 301, UTC))
    webhooks = ReplicateWebhooks((SECRET,), clock=lambda: datetime.now(UTC))
    with pytest.raises(Stale):
        asyncio.run(webhooks.verify(headers, BODY))

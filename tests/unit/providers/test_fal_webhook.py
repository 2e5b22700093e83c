"""fal's webhooks as bytes and headers."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from reelay.providers.errors import Forged, Malformed, Stale, WebhookRejected
from reelay.providers.fal_webhook import check_claims, parse, verify
from reelay.providers.media_mapping import media_of
from reelay.providers.provider import WebhookNotice
from tests.unit.providers.signing import NOW, REQUEST_ID, USER_ID, notice, private_key, signed

KEYS = (private_key(9).public_key(), private_key().public_key())
SIGNATURE = "X-Fal-Webhook-Signature"


def accept(headers: dict[str, str], body: bytes) -> WebhookNotice:
    parsed = parse(headers, body)
    check_claims(parsed, now=NOW, user_id=USER_ID)
    return verify(parsed, KEYS)


def test_a_signed_success_is_accepted() -> None:
    accepted = accept(signed(notice()), notice())
    assert (accepted.request_id, accepted.succeeded) == (REQUEST_ID, True)
    assert [media.url for media in media_of(accepted.body)] == ["https://fal.media/a.mp4"]


def test_a_signed_failure_is_accepted() -> None:
    body = notice(status="ERROR", error="Invalid status code: 422", payload={"detail": [{"msg": "no"}]})
    accepted = accept(signed(body), body)
    assert not accepted.succeeded
    assert accepted.body["error"] == "Invalid status code: 422"


def test_a_payload_that_could_not_be_written_is_accepted() -> None:
    body = notice(payload=None, payload_error="not serializable")
    assert accept(signed(body), body).body["payload"] is None


def test_header_names_have_no_case() -> None:
    headers = {name.upper(): value for name, value in signed(notice()).items()}
    assert accept(headers, notice()).succeeded
    assert verify(parse(Headers(headers), notice()), KEYS).succeeded


def test_this_exact_message_is_what_is_signed() -> None:
    headers = {
        "x-fal-webhook-request-id": "req-1",
        "x-fal-webhook-user-id": "user-1",
        "x-fal-webhook-timestamp": "1795262400",
        "x-fal-webhook-signature": "ab" * 64,
    }
    assert parse(headers, b"{}").message == (
        b"req-1\nuser-1\n1795262400\n44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    )


@pytest.mark.fault("W1")
@pytest.mark.parametrize(
    "forged_body", [notice(payload={}), notice() + b" ", b"", notice().replace(b": ", b":")], ids=range(4)
)
def test_another_body_under_the_same_signature_is_forged(forged_body: bytes) -> None:
    with pytest.raises(Forged):
        accept(signed(notice()), forged_body)


@pytest.mark.parametrize("name", ["X-Fal-Webhook-Request-Id", "X-Fal-Webhook-Timestamp"])
def test_each_signed_header_is_covered(name: str) -> None:
    headers = signed(notice())
    headers[name] = headers[name][:-1] + ("2" if headers[name][-1] != "2" else "3")
    with pytest.raises(Forged):
        accept(headers, notice())


@pytest.mark.fault("W1")
def test_another_key_is_forged() -> None:
    with pytest.raises(Forged):
        accept(signed(notice(), key=private_key(7)), notice())


@pytest.mark.fault("W7")
def test_a_genuine_webhook_for_another_account_is_forged() -> None:
    with pytest.raises(Forged):
        accept(signed(notice(), user_id="github|666"), notice())


def test_without_a_pinned_account_any_is_taken() -> None:
    parsed = parse(signed(notice(), user_id="github|666"), notice())
    check_claims(parsed, now=NOW, user_id=None)
    assert verify(parsed, KEYS).succeeded


@pytest.mark.parametrize("offset", [-300, 0, 300])
def test_five_minutes_of_clock_difference_are_allowed(offset: int) -> None:
    at = NOW + timedelta(microseconds=900_000)
    headers = signed(notice(), timestamp=int(NOW.timestamp()) + offset)
    check_claims(parse(headers, notice()), now=at, user_id=USER_ID)


@pytest.mark.fault("W3")
@pytest.mark.parametrize("offset", [-301, 301, -86_400, 10**10])
def test_beyond_five_minutes_is_stale(offset: int) -> None:
    with pytest.raises(Stale):
        accept(signed(notice(), timestamp=int(NOW.timestamp()) + offset), notice())


@pytest.mark.parametrize("name", list(signed(b"")))
@pytest.mark.parametrize("value", [None, "", " ", "\u0661\u0662", "a\nb", "x" * 5000, "\ud800", "\x00"])
def test_a_missing_or_hostile_header_is_malformed(name: str, value: str | None) -> None:
    headers = signed(notice())
    del headers[name]
    if value is not None:
        headers[name] = value
    with pytest.raises(Malformed):
        accept(headers, notice())


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "+1", "1e9", "1795262400.5", "1_795_262_400", " 1795262400"])
def test_an_odd_timestamp_is_malformed(value: str) -> None:
    with pytest.raises(Malformed):
        accept(signed(notice(), timestamp=value), notice())


@pytest.mark.parametrize("value", ["ab" * 63, "ab" * 65, "a" * 127, "zz" * 64, "ab " * 42 + "ab", "v1a," + "ab" * 64])
def test_a_signature_that_is_not_64_bytes_of_hex_is_malformed(value: str) -> None:
    with pytest.raises(Malformed):
        accept({**signed(notice()), SIGNATURE: value}, notice())


def test_a_signature_in_upper_case_hex_is_the_same_signature() -> None:
    headers = signed(notice())
    headers[SIGNATURE] = headers[SIGNATURE].upper()
    assert accept(headers, notice()).succeeded


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"\xef\xbb\xbf" + notice(),
        notice().decode().encode("utf-16"),
        notice(payload=float("nan")),
        b"[" * 100_000,
        notice(request_id="another"),
        notice(request_id=None),
        notice(status="IN_PROGRESS"),
        notice(status=None),
        notice(status=["OK"]),
    ],
    ids=range(13),
)
def test_a_signed_body_that_fal_would_not_send_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        accept(signed(body), body)


@pytest.mark.fault("W16")
def test_the_signature_is_checked_before_the_body_is_read() -> None:
    with pytest.raises(Forged):
        accept(signed(b"not json", key=private_key(7)), b"not json")


def test_characters_that_postgres_cannot_hold_are_removed() -> None:
    body = notice(payload={"text": "a\x00b\ud800"})
    assert accept(signed(body), body).body["payload"] == {"text": "ab"}


HEADERS = st.fixed_dictionaries(
    {}, optional={name: st.text() | st.just(value) for name, value in signed(notice()).items()}
)


@pytest.mark.fault("W2")
@given(headers=HEADERS | st.dictionaries(st.text(), st.text()), body=st.binary() | st.just(notice()))
def test_hostile_headers_raise_nothing_but_a_rejection(headers: dict[str, str], body: bytes) -> None:
    try:
        accept(headers, body)
    except WebhookRejected:
        return
    assert body == notice()


@pytest.mark.fault("W16")
@given(body=st.binary() | st.text().map(str.encode))
def test_signed_nonsense_raises_nothing_but_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        accept(signed(body), body)

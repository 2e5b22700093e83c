"""Replicate's webhooks (Standard Webhooks): headers, then the signature over the raw bytes, only then the JSON.

`v1` is HMAC-SHA256 over `webhook-id.webhook-timestamp.body` with the account's secret. The address is not signed, and
every prediction of the account is signed with the same secret: which job a notice is about is for others to prove.
Sources: https://replicate.com/docs/topics/webhooks/verify-webhook and
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hmac
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from standardwebhooks.webhooks import Webhook

from reelay.domain.generation import ProviderState
from reelay.providers.errors import Forged, Malformed, Stale
from reelay.providers.provider import WebhookNotice
from reelay.providers.reading import REQUEST_ID, is_request_id
from reelay.providers.replicate_answers import state_of, succeeded
from reelay.providers.strict_json import parse_json

TOLERANCE = timedelta(minutes=5)
"""How far a timestamp may be from our clock, either way. Replicate's own clients check none."""

# A full stop separates what is signed, so an id with one could be read in two ways.
MESSAGE_ID = REQUEST_ID
UNIX_SECONDS = re.compile(r"[0-9]{1,12}")
SIGNATURES = re.compile(r"[\x20-\x7e]{1,4096}")
V1 = re.compile(r"v1,[A-Za-z0-9+/]{43}=")


@dataclass(frozen=True, kw_only=True)
class SignedPrediction:
    """A webhook whose headers are well-formed, and of which nothing is proved yet."""

    message_id: str
    """The same for every delivery of one event."""
    timestamp: int
    """Unix seconds, of this delivery."""
    signatures: tuple[bytes, ...]
    """Those of version `v1`; more than one while the sender rotates its secret."""
    text: str


def parse(headers: Mapping[str, str], body: bytes) -> SignedPrediction:
    """Read the three headers, whatever their case. Raises: Malformed."""
    lowered = {name.lower(): value for name, value in headers.items()}
    message_id = _header(lowered, "webhook-id", MESSAGE_ID)
    timestamp = _header(lowered, "webhook-timestamp", UNIX_SECONDS)
    entries = _header(lowered, "webhook-signature", SIGNATURES).split(" ")
    signatures = tuple(b64decode(entry.removeprefix("v1,")) for entry in entries if V1.fullmatch(entry))
    if not signatures:
        raise Malformed("webhook-signature has no signature of version v1")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("the body is no text") from error
    return SignedPrediction(message_id=message_id, timestamp=int(timestamp), signatures=signatures, text=text)


def check_time(prediction: SignedPrediction, now: datetime) -> None:
    """Refuse a timestamp off by more than `TOLERANCE`. `now` has a time zone. Raises: Stale."""
    if abs(int(now.timestamp()) - prediction.timestamp) > TOLERANCE.total_seconds():
        raise Stale("the timestamp is more than five minutes away from our clock")


def verify(prediction: SignedPrediction, secrets: Iterable[Webhook]) -> WebhookNotice:
    """What the webhook says, once a secret proves that Replicate said it. To be called after `check_time`.

    Raises: Forged, Malformed.
    """
    # `Webhook.verify` has a clock of its own, and raises ValueError, binascii.Error and TypeError for odd headers.
    if not any(_matches(secret, prediction) for secret in secrets):
        raise Forged("the signature matches none of the account's secrets")
    try:
        body = parse_json(prediction.text.encode(), nan_as_null=True)
    except ValueError as error:
        raise Malformed("the body is not JSON") from error
    if not isinstance(body, dict) or not is_request_id(body.get("id")) or not isinstance(body.get("status"), str):
        raise Malformed("the body is not a prediction")
    return WebhookNotice(
        request_id=body["id"],
        succeeded=succeeded(body["status"]),
        body=body,
        ended=state_of(body["status"]) is ProviderState.ENDED,
    )


def _header(headers: Mapping[str, str], name: str, form: re.Pattern[str]) -> str:
    value = headers.get(name, "")
    if not form.fullmatch(value):
        raise Malformed(f"{name} is missing or malformed")
    return value


def _matches(secret: Webhook, prediction: SignedPrediction) -> bool:
    moment = datetime.fromtimestamp(prediction.timestamp, UTC)
    version, _, signature = secret.sign(prediction.message_id, moment, prediction.text).partition(",")
    assert version == "v1"
    expected = b64decode(signature)
    return any(hmac.compare_digest(expected, given) for given in prediction.signatures)


class ReplicateWebhooks:
    """Verifies what arrives at the webhook route. Without a secret nothing is genuine."""

    def __init__(self, secrets: Iterable[str], *, clock: Callable[[], datetime]) -> None:
        """`secrets`: `whsec_...`, several while they are rotated. `clock`: the present, with its time zone."""
        self._secrets = tuple(Webhook(secret) for secret in secrets)
        self._clock = clock

    async def verify(self, headers: Mapping[str, str], body: bytes) -> WebhookNotice:
        """What Replicate says, proved to be from it. Raises: Malformed, Forged, Stale; nothing else."""
        prediction = parse(headers, body)
        check_time(prediction, self._clock())
        return verify(prediction, self._secrets)

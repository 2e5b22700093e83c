"""fal's webhooks, as pure functions: read the headers, check the signature over the raw bytes, only then the JSON.

fal signs `request id LF user id LF timestamp LF hex SHA-256 of the body` with Ed25519. The keys are the same for all
of its customers and the address is not signed, so a valid signature proves the sender and nothing else: pin the user
id, and treat the notice as a hint.
Source: https://fal.ai/docs/documentation/model-apis/inference/webhooks
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from reelay.providers.errors import Forged, Malformed, Stale
from reelay.providers.jwks import MAX_KEYS, JwksCache
from reelay.providers.provider import WebhookNotice
from reelay.providers.reading import REQUEST_ID
from reelay.providers.strict_json import parse_json

TOLERANCE = timedelta(minutes=5)
"""How far a timestamp may be from our clock, either way. fal's own figure."""

USER_ID = re.compile(r"[\x21-\x7e]{1,200}")
UNIX_SECONDS = re.compile(r"[0-9]{1,12}")
HEX_SIGNATURE = re.compile(r"[0-9A-Fa-f]{128}")
X_COORDINATE = re.compile(r"[A-Za-z0-9_-]{43}=?")

# The y coordinates of Curve25519's eight points of small order (0, 1, -1 and those of order 8), under which
# signatures can be made without a private key. OpenSSL accepts such keys. RFC 8032 section 5.1 gives the curve.
FIELD = 2**255 - 19
ORDER_EIGHT_Y = 2707385501144840649318225287225658788936804267575313519463743609750303402022
SMALL_ORDER_Y = frozenset({0, 1, FIELD - 1, ORDER_EIGHT_Y, FIELD - ORDER_EIGHT_Y})


@dataclass(frozen=True, kw_only=True)
class SignedNotice:
    """A webhook whose headers are well-formed, and of which nothing is proved yet."""

    request_id: str
    user_id: str
    timestamp: int
    """Unix seconds."""
    signature: bytes
    message: bytes
    """What the signature covers."""
    body: bytes


def parse(headers: Mapping[str, str], body: bytes) -> SignedNotice:
    """Read the four headers, whatever their case. Raises: Malformed."""
    lowered = {name.lower(): value for name, value in headers.items()}
    request_id = _header(lowered, "request-id", REQUEST_ID)
    user_id = _header(lowered, "user-id", USER_ID)
    timestamp = _header(lowered, "timestamp", UNIX_SECONDS)
    signature = _header(lowered, "signature", HEX_SIGNATURE)
    return SignedNotice(
        request_id=request_id,
        user_id=user_id,
        timestamp=int(timestamp),
        signature=bytes.fromhex(signature),
        message="\n".join((request_id, user_id, timestamp, hashlib.sha256(body).hexdigest())).encode(),
        body=body,
    )


def check_claims(notice: SignedNotice, *, now: datetime, user_id: str | None) -> None:
    """Refuse what no key is needed for: a timestamp off by more than `TOLERANCE`, and another user id than `user_id`.

    `now` has a time zone. None for `user_id` accepts every fal account. Raises: Stale, Forged.
    """
    if abs(int(now.timestamp()) - notice.timestamp) > TOLERANCE.total_seconds():
        raise Stale("the timestamp is more than five minutes away from our clock")
    if user_id is not None and notice.user_id != user_id:
        raise Forged("signed for another fal account")


def verify(notice: SignedNotice, keys: Iterable[Ed25519PublicKey]) -> WebhookNotice:
    """What the webhook says, once one of the keys proves that fal said it. Raises: Forged, Malformed."""
    if not any(_matches(key, notice) for key in keys):
        raise Forged("the signature matches none of fal's keys")
    try:
        body = parse_json(notice.body)
    except ValueError as error:
        raise Malformed("the body is not JSON") from error
    if not isinstance(body, dict):
        raise Malformed("the body is not a JSON object")
    if body.get("request_id") != notice.request_id:
        raise Malformed("the body and the header name different requests")
    return WebhookNotice(request_id=notice.request_id, succeeded=_succeeded(body), body=body)


def _succeeded(body: dict[str, Any]) -> bool:
    match str(body.get("status")).upper():
        case "OK":
            return True
        case "ERROR":
            return False
    raise Malformed("the status is neither OK nor ERROR")


def _header(headers: Mapping[str, str], name: str, form: re.Pattern[str]) -> str:
    value = headers.get(f"x-fal-webhook-{name}", "")
    if not form.fullmatch(value):
        raise Malformed(f"X-Fal-Webhook-{name.title()} is missing or malformed")
    return value


def _matches(key: Ed25519PublicKey, notice: SignedNotice) -> bool:
    try:
        key.verify(notice.signature, notice.message)
    except InvalidSignature:
        return False
    return True


def keys_of(document: bytes) -> tuple[Ed25519PublicKey, ...]:
    """The usable Ed25519 keys of a JWKS document, at most 32; what is not one is passed over. Never raises."""
    try:
        content = parse_json(document)
    except ValueError:
        return ()
    entries = content.get("keys") if isinstance(content, dict) else None
    return tuple(_usable(entries[:MAX_KEYS])) if isinstance(entries, list) else ()


def _usable(entries: list[Any]) -> Iterator[Ed25519PublicKey]:
    for entry in entries:
        if not isinstance(entry, dict) or (entry.get("kty"), entry.get("crv")) != ("OKP", "Ed25519"):
            continue
        x = entry.get("x")
        if not isinstance(x, str) or not X_COORDINATE.fullmatch(x):
            continue
        raw = base64.urlsafe_b64decode(x.rstrip("=") + "=")
        if not has_small_order(raw):
            yield Ed25519PublicKey.from_public_bytes(raw)


def has_small_order(public_key: bytes) -> bool:
    """Whether 32 bytes encode, canonically or not, a point of small order."""
    y = int.from_bytes(public_key, "little") % 2**255  # the top bit is the sign of x
    return y % FIELD in SMALL_ORDER_Y


class FalWebhooks:
    """Verifies what arrives at the webhook route."""

    def __init__(
        self, jwks: JwksCache[Ed25519PublicKey], *, user_id: str | None, clock: Callable[[], datetime]
    ) -> None:
        """`user_id`: our own at fal; None trusts every fal account. `clock`: the present, with its time zone."""
        self._jwks = jwks
        self._user_id = user_id
        self._clock = clock

    async def verify(self, headers: Mapping[str, str], body: bytes) -> WebhookNotice:
        """What fal says, proved to be from fal. Raises: Malformed, Forged, Stale, KeysUnavailable; nothing else."""
        notice = parse(headers, body)
        check_claims(notice, now=self._clock(), user_id=self._user_id)
        keys = await self._jwks.keys()
        try:
            return verify(notice, keys)
        except Forged:
            return verify(notice, await self._jwks.refetched())

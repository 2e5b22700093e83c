"""Webhooks that Reelay sends to your backend: verified, then read."""

import hmac
import json
import time
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from reelay_client.errors import InvalidWebhook
from reelay_client.models import WebhookEvent

TOLERANCE_SECONDS = 300
PREFIX = "whsec_"


def verify_webhook(
    body: bytes | str,
    headers: Mapping[str, str],
    secret: str,
    *,
    tolerance: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> WebhookEvent:
    """The event, once it is known to be signed by `secret` (`whsec_...`), and not long ago.

    `body` must be as it came, byte for byte. `tolerance`: seconds between the sender's clock and ours, which is `now`
    (seconds since the epoch) or the system's. The same event may come again: keep the ids that you have handled.

    Raises: InvalidWebhook.
    """
    found = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, timestamp = found["webhook-id"], found["webhook-timestamp"]
        signatures = found["webhook-signature"].split()
        signed_at = int(timestamp)
    except (KeyError, ValueError) as error:
        raise InvalidWebhook("webhook-id, webhook-timestamp or webhook-signature is missing or malformed") from error
    if abs((time.time() if now is None else now) - signed_at) > tolerance:
        raise InvalidWebhook("it was signed too long ago, or the clocks differ")
    raw = body.encode() if isinstance(body, str) else body
    wanted = b"v1," + b64encode(_mac(secret, f"{message_id}.{timestamp}.".encode() + raw))
    if not any(hmac.compare_digest(wanted, signature.encode()) for signature in signatures):
        raise InvalidWebhook("no signature is by this secret")
    return WebhookEvent.read({**_document(raw), "id": message_id})


def _mac(secret: str, message: bytes) -> bytes:
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except NotBase64 as error:
        raise ValueError("a webhook's secret is whsec_ and base64") from error
    return hmac.new(key, message, sha256).digest()


def _document(raw: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(raw)
    return document

"""fal's webhooks: the body, the Ed25519 signature, and how often a delivery is repeated."""

import base64
import hashlib
import json
import time
from datetime import timedelta
from itertools import accumulate
from typing import Any
from uuid import UUID, uuid5

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab.simulator.answers import Answer, answer_of
from lab.simulator.faults import SIGNED_WRONG, Fault
from lab.simulator.requests import SimulatedRequest
from lab.simulator.samples import Samples
from lab.simulator.settings import SimulatorSettings
from lab.simulator.store import Store

RETRIES = 31
# fal says only "growing backoff" and "at most 31 retries"; these waits add up to 55 minutes of the result's hour.
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(seconds=120)
RETRY_WAITS = [min(FIRST_WAIT * 2**retry, LONGEST_WAIT) for retry in range(RETRIES)]
STALE_BY = 600
"""Seconds."""


class SigningKeys:
    """The keys that webhooks are signed with, newest first; the one before stays published after a rotation."""

    def __init__(self, store: Store) -> None:
        self._store = store
        seeds = json.loads(store.all("keys").get("ed25519", "[]"))
        self._keys = [Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)) for seed in seeds]
        if not self._keys:
            self.rotate()

    @property
    def current(self) -> Ed25519PrivateKey:
        return self._keys[0]

    def rotate(self) -> None:
        """Sign with a new key from now on."""
        self._keys = [Ed25519PrivateKey.generate(), *self._keys[:1]]
        self._store.put("keys", "ed25519", json.dumps([key.private_bytes_raw().hex() for key in self._keys]))

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys, as `/.well-known/jwks.json` serves them."""
        return {"keys": [_jwk(key) for key in self._keys]}


def _jwk(key: Ed25519PrivateKey) -> dict[str, str]:
    public = key.public_key().public_bytes_raw()
    unpadded = base64.urlsafe_b64encode(public).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": hashlib.sha256(public).hexdigest()[:16], "x": unpadded}


def signed_headers(
    key: Ed25519PrivateKey, *, request_id: str, user_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The four headers over one body; the timestamp is in unix seconds."""
    message = "\n".join([request_id, user_id, str(timestamp), hashlib.sha256(body).hexdigest()])
    return {
        "content-type": "application/json",
        "x-fal-webhook-request-id": request_id,
        "x-fal-webhook-user-id": user_id,
        "x-fal-webhook-timestamp": str(timestamp),
        "x-fal-webhook-signature": key.sign(message.encode()).hex(),
    }


def webhook_body(request: SimulatedRequest, answer: Answer) -> bytes:
    """What one request's webhook says. Every delivery of it carries the same bytes."""
    body: dict[str, Any] = {"request_id": request.id, "gateway_request_id": str(uuid5(UUID(request.id), "gateway"))}
    if answer.status_code != 200:
        body |= {"status": "ERROR", "error": f"Invalid status code: {answer.status_code}", "payload": answer.body}
    elif Fault.WEBHOOK_PAYLOAD_ERROR in request.faults:
        body |= {"status": "OK", "payload": None, "payload_error": "Response payload is not JSON serializable"}
    else:
        body |= {"status": "OK", "payload": answer.body}
    return json.dumps(body, separators=(",", ":")).encode()


class FalWebhookFormat:
    """What fal sends when a request has ended."""

    def __init__(self, settings: SimulatorSettings, keys: SigningKeys, samples: Samples) -> None:
        self._settings = settings
        self._keys = keys
        self._samples = samples
        self.first_timeout = settings.webhook_timeout
        self.retry_timeout = settings.webhook_retry_timeout

    def body(self, request: SimulatedRequest) -> bytes | None:
        return None if request.removed_from_queue else webhook_body(request, self._answer(request))

    def headers(self, request: SimulatedRequest, body: bytes) -> dict[str, str]:
        """Signed again for each delivery. Receivers compare with their own clock, so skipped time does not count."""
        return signed_headers(
            Ed25519PrivateKey.generate() if Fault.WEBHOOK_FORGED in request.faults else self._keys.current,
            request_id=request.id,
            user_id=self._settings.account_id,
            timestamp=int(time.time()) - (STALE_BY if Fault.WEBHOOK_STALE in request.faults else 0),
            body=body,
        )

    def retry_waits(self, request: SimulatedRequest) -> list[timedelta]:
        """For as long as the result is kept."""
        if request.faults.asked & SIGNED_WRONG:
            return []
        kept = self._answer(request).retention
        in_time = sum(elapsed <= kept for elapsed in accumulate(RETRY_WAITS))
        return RETRY_WAITS[:in_time]

    def _answer(self, request: SimulatedRequest) -> Answer:
        return answer_of(request, request.ends_at, self._samples)

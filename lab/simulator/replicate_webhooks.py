"""Replicate's webhooks: the body, its signature by Standard Webhooks, and how often a delivery is repeated."""

import hmac
import json
import secrets
import time
from base64 import b64decode, b64encode
from datetime import timedelta
from hashlib import sha256

from lab.simulator.answers import output_files
from lab.simulator.faults import SIGNED_WRONG, Fault
from lab.simulator.replicate_predictions import prediction_of
from lab.simulator.requests import SimulatedRequest
from lab.simulator.samples import Samples
from lab.simulator.settings import SimulatorSettings

RECEIVER_LIMIT = timedelta(seconds=5)
"""Replicate says "a few seconds"."""
RETRY_WAITS = [timedelta(seconds=seconds) for seconds in (2, 4, 8, 16, 30)]
"""Exponential, the last one about a minute after the end."""
STALE_BY = 600
"""Seconds."""


class ReplicateWebhookFormat:
    """The `completed` webhook, which is the only one that is repeated; the others are not simulated."""

    first_timeout = retry_timeout = RECEIVER_LIMIT

    def __init__(self, settings: SimulatorSettings, samples: Samples) -> None:
        self._secret = settings.replicate_webhook_secret
        self._samples = samples

    def body(self, request: SimulatedRequest) -> bytes | None:
        """Nothing is documented of a webhook for an aborted prediction, so none is sent."""
        if request.aborted or "completed" not in (request.webhook_events or {"completed"}):
            return None
        prediction = prediction_of(request, request.ends_at, output_files(request, self._samples))
        if Fault.WEBHOOK_PAYLOAD_ERROR in request.faults:
            prediction["output"] = None
        return json.dumps(prediction, separators=(",", ":")).encode()

    def headers(self, request: SimulatedRequest, body: bytes) -> dict[str, str]:
        """Standard Webhooks: one id for all deliveries, a fresh timestamp for each."""
        forged = f"whsec_{b64encode(secrets.token_bytes(24)).decode()}"
        return standard_headers(
            forged if Fault.WEBHOOK_FORGED in request.faults else self._secret,
            message_id=f"msg_{request.id}",
            timestamp=int(time.time()) - (STALE_BY if Fault.WEBHOOK_STALE in request.faults else 0),
            body=body,
        )

    def retry_waits(self, request: SimulatedRequest) -> list[timedelta]:
        return [] if request.faults.asked & SIGNED_WRONG else RETRY_WAITS


def standard_headers(secret: str, *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers over one body. `secret`: `whsec_...`; the timestamp is in unix seconds."""
    signed = b".".join([message_id.encode(), str(timestamp).encode(), body])
    mac = hmac.new(b64decode(secret.removeprefix("whsec_")), signed, sha256).digest()
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{b64encode(mac).decode()}",
    }

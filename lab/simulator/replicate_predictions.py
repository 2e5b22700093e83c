"""A prediction as Replicate shows it, and the webhook that reports its end."""

import hmac
import json
import secrets
import time
from base64 import b64decode, b64encode
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from lab.simulator.answers import OutputFile, failure_of, output_files
from lab.simulator.faults import SIGNED_WRONG, Fault
from lab.simulator.replicate_models import MODELS
from lab.simulator.requests import QueueStatus, SimulatedRequest
from lab.simulator.samples import Samples
from lab.simulator.settings import SimulatorSettings

RETENTION = timedelta(hours=1)
"""Of input, output, logs and files."""
REMEMBERED = timedelta(days=1)
"""How long an emptied prediction is still shown. Ours: Replicate says nothing of it."""
RECEIVER_LIMIT = timedelta(seconds=5)
"""Replicate says "a few seconds"."""
RETRY_WAITS = [timedelta(seconds=seconds) for seconds in (2, 4, 8, 16, 30)]
"""Exponential, the last one about a minute after the end."""
STALE_BY = 600
"""Seconds."""
UNDOCUMENTED_STATUS = "warming_up"


def is_gone(request: SimulatedRequest, now: datetime) -> bool:
    return now >= request.ends_at + REMEMBERED


def prediction_of(request: SimulatedRequest, now: datetime, files: list[OutputFile]) -> dict[str, Any]:
    """The prediction at a moment. `files`: what it makes in the end."""
    word = status_of(request, now)
    ended, started = request.ends_at <= now, request.starts_at <= now and not request.removed_from_queue
    removed = now >= request.ends_at + RETENTION
    model, _, version = request.endpoint.partition(":")
    url = f"{request.origin}/v1/predictions/{request.id}"
    failure = failure_of(request) if ended else None
    return {
        "id": request.id,
        "model": model,
        "version": version or "hidden",
        "input": {} if removed else request.input,
        "output": _output(request, now, files) if word == "succeeded" and not removed else None,
        "logs": "" if removed else "".join(f"{line['message']}\n" for line in request.logs(now)),
        "error": failure.error if failure and word == "failed" else None,
        "status": word,
        "created_at": _written(request.accepted_at),
        "started_at": _written(request.starts_at) if started else None,
        "completed_at": _written(request.ends_at) if ended else None,
        "metrics": {"predict_time": request.inference_time} if ended and started else {},
        "data_removed": removed,
        "source": "api",
        "urls": {"get": url, "cancel": f"{url}/cancel"},
    }


def status_of(request: SimulatedRequest, now: datetime) -> str:
    match request.status(now):
        case QueueStatus.IN_QUEUE:
            return "starting"
        case QueueStatus.IN_PROGRESS:
            return UNDOCUMENTED_STATUS if Fault.STATUS_UNKNOWN_WORD in request.faults else "processing"
    if request.aborted:
        return "aborted"
    if request.canceled_at is not None:
        return "canceled"
    return "failed" if failure_of(request) else "succeeded"


def _output(request: SimulatedRequest, now: datetime, files: list[OutputFile]) -> Any:
    if not request.shows_media(now):
        return None
    urls = [file.url(request) for file in files if not file.is_extra]
    if extra := [file.url(request) for file in files if file.is_extra]:
        return {"thumbnail": extra[0], "output": urls[0]}
    if Fault.OUTPUT_OBJECT in request.faults:
        return {"preview": urls[0], "seed": 42}
    if Fault.OUTPUT_NESTED in request.faults:
        return {"result": [{"clips": [{"media": urls[0]}]}]}
    return MODELS[request.endpoint].model_validate(request.input).output(urls)


def _written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


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

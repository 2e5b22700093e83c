"""A prediction as Replicate shows it."""

from datetime import datetime, timedelta
from typing import Any

from lab.simulator.answers import OutputFile, failure_of
from lab.simulator.faults import Fault
from lab.simulator.replicate_models import MODELS
from lab.simulator.requests import QueueStatus, SimulatedRequest

RETENTION = timedelta(hours=1)
"""Of input, output, logs and files."""
REMEMBERED = timedelta(days=1)
"""How long an emptied prediction is still shown. Ours: Replicate says nothing of it."""
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

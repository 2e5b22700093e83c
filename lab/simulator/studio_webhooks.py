"""What the studio backend pushes to the webhook that came with a job."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from lab.simulator.answers import OutputFile, failure_of, output_files
from lab.simulator.faults import Fault
from lab.simulator.requests import SimulatedRequest
from lab.simulator.samples import HEIGHT, SECONDS, WIDTH, Samples
from lab.simulator.settings import SimulatorSettings

# As docs/studio.md asks of a backend: for about an hour, so that what is said while nobody listens is said again.
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=2), timedelta(seconds=120)
RETRY_WAITS = [min(FIRST_WAIT * 2**retry, LONGEST_WAIT) for retry in range(32)]
# How much of the run has passed when the backend says so.
PROGRESS = (("pending", 0.1), ("processing", 0.1), ("generating", 0.3), ("downloading", 0.9))
SILENT = frozenset({Fault.WEBHOOK_LOST, Fault.WEBHOOK_EARLY})


class StudioWebhookFormat:
    """What the backend pushes: progress as it comes, and the end until it is acknowledged."""

    def __init__(self, settings: SimulatorSettings, samples: Samples) -> None:
        self._secret = settings.studio_secret.get_secret_value() if settings.studio_secret else None
        self._samples = samples
        self.first_timeout = settings.webhook_timeout
        self.retry_timeout = settings.webhook_timeout

    def progress(self, request: SimulatedRequest) -> Iterator[tuple[datetime, bytes]]:
        if request.faults.asked & SILENT or request.canceled_at:
            return
        for status, part in PROGRESS:
            yield request.starts_at + part * (request.ends_at - request.starts_at), _body(request, status=status)
        yield from self._before_the_end(request)

    def _before_the_end(self, request: SimulatedRequest) -> Iterator[tuple[datetime, bytes]]:
        """What goes wrong with the end, before it is said as it should be."""
        if Fault.WEBHOOK_STALE in request.faults:
            yield request.ends_at, _body(request, status="pending")
        if failure_of(request):
            return
        if Fault.WEBHOOK_PAYLOAD_ERROR in request.faults:
            yield request.ends_at, _body(request, status="completed")[:-1]
        if Fault.WEBHOOK_NO_MEDIA in request.faults:
            yield request.ends_at, _body(request, status="completed", data=self._data(request, []))
            yield request.ends_at + request.faults.delays[Fault.WEBHOOK_NO_MEDIA], _body(request, status="downloading")

    def body(self, request: SimulatedRequest) -> bytes | None:
        """None for a canceled job: nobody waits for it any more."""
        if request.canceled_at:
            return None
        if failure := failure_of(request):
            data = {"metadata": {"prompt_used": request.input.get("prompt")}, "success": False}
            if Fault.FAIL_CONTENT_POLICY not in request.faults:
                return _body(request, status="failed", data=data)
            reason = {"code": failure.error_type, "message": failure.error}
            return _body(request, status="failed", data=data, error=reason)
        files = [] if Fault.RESULT_NEVER_MEDIA in request.faults else output_files(request, self._samples)
        return _body(request, status="completed", data=self._data(request, files))

    def _data(self, request: SimulatedRequest, files: list[OutputFile]) -> dict[str, Any]:
        seconds, asked = request.inference_time, request.input
        return {
            "job_id": request.id,
            "status": "completed",
            "videos": [_video(file, request) for file in files],
            "metadata": {
                "model_name": "veo-2.0-generate-001",
                "model_version": "2.0",
                "processing_time": round(seconds + 0.01, 3),
                "generation_time": round(seconds, 3),
                "download_time": 0.01,
                "prompt_used": asked.get("prompt"),
                "num_videos_requested": asked.get("num_videos", 1),
                "num_videos_generated": len(files),
                "config_used": {name: value for name, value in asked.items() if name != "prompt"},
            },
            "generated_at": request.ends_at.isoformat(),
            "success": True,
            "num_videos": len(files),
            "prompt": asked.get("prompt"),
        }

    def headers(self, request: SimulatedRequest, body: bytes) -> dict[str, str]:
        secret = "not the secret" if Fault.WEBHOOK_FORGED in request.faults else self._secret
        return {"content-type": "application/json"} | ({"x-webhook-secret": secret} if secret else {})

    def retry_waits(self, request: SimulatedRequest) -> list[timedelta]:
        return [] if Fault.WEBHOOK_FORGED in request.faults else RETRY_WAITS


def _body(request: SimulatedRequest, *, status: str, data: dict[str, Any] | None = None, **more: Any) -> bytes:
    body = {
        "job_id": request.id,
        "status": status,
        "content_type": "video",
        "timestamp": request.ends_at.isoformat(),
        "has_data": data is not None,
        "environment": "development",
    }
    return json.dumps(body | ({"data": data} if data else {}) | more).encode()


def _video(file: OutputFile, request: SimulatedRequest) -> dict[str, Any]:
    return {
        "filename": file.name,
        "file_path": f"/videos/{request.id}/{file.name}",
        "file_url": file.url(request),
        "file_size": len(file.content),
        "format": "mp4",
        "duration_seconds": SECONDS,
        "aspect_ratio": "16:9",
        "dimensions": {"width": WIDTH, "height": HEIGHT},
        "created_at": request.ends_at.isoformat(),
    }

"""What the studio backend pushes to the webhook that came with a job."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from simulator.answers import failure_of, output_files
from simulator.faults import Fault
from simulator.requests import SimulatedRequest
from simulator.samples import HEIGHT, SECONDS, WIDTH, Samples
from simulator.settings import SimulatorSettings

# As docs/studio.md asks of a backend: for about an hour, so that what is said while nobody listens is said again.
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=2), timedelta(seconds=120)
RETRY_WAITS = [min(FIRST_WAIT * 2**retry, LONGEST_WAIT) for retry in range(32)]
# How much of the run has passed when the backend says so.
PROGRESS = (("pending", 0.1), ("processing", 0.1), ("generating", 0.3), ("downloading", 0.9))
SILENT = frozenset({Fault.WEBHOOK_LOST, Fault.WEBHOOK_EARLY})


class StudioReports:
    """What the backend pushes: progress as it comes, and the end until it is acknowledged."""

    def __init__(self, settings: SimulatorSettings, samples: Samples) -> None:
        self._secret = settings.studio_secret.get_secret_value()
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
            yield request.ends_at, _body(request, status="completed", videos=[])
            yield request.ends_at + request.faults.delays[Fault.WEBHOOK_NO_MEDIA], _body(request, status="downloading")

    def body(self, request: SimulatedRequest) -> bytes | None:
        """None for a canceled job: nobody waits for it any more."""
        if request.canceled_at:
            return None
        if failure := failure_of(request):
            return _body(request, status="failed", error={"code": failure.error_type, "message": failure.error})
        milliseconds = round(request.inference_time * 1000)
        return _body(
            request,
            status="completed",
            videos=[_video(file.described(request), request) for file in output_files(request, self._samples)],
            model={"name": request.endpoint, "version": "2026-11"},
            timings={"processing_ms": milliseconds, "generation_ms": milliseconds // 2, "download_ms": 10},
        )

    def headers(self, request: SimulatedRequest, body: bytes) -> dict[str, str]:
        secret = "not the secret" if Fault.WEBHOOK_FORGED in request.faults else self._secret
        return {"content-type": "application/json", "x-webhook-secret": secret}

    def retry_waits(self, request: SimulatedRequest) -> list[timedelta]:
        return [] if Fault.WEBHOOK_FORGED in request.faults else RETRY_WAITS


def _body(request: SimulatedRequest, **more: Any) -> bytes:
    return json.dumps({"version": 2, "job_id": request.id, "content_type": "video", **more}).encode()


def _video(file: dict[str, Any], request: SimulatedRequest) -> dict[str, Any]:
    return {
        "url": file["url"],
        "filename": file["file_name"],
        "size": file["file_size"],
        "format": "mp4",
        "duration": float(SECONDS),
        "aspect_ratio": "16:9",
        "width": WIDTH,
        "height": HEIGHT,
        "metadata": {"seed": request.input.get("seed", 0), "shot": file["file_name"]},
    }

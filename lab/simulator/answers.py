"""What becomes of a request: its failure or its files, and the answer that fal's result call gives."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from lab.simulator.fal_catalogue import MODELS
from lab.simulator.faults import Fault
from lab.simulator.models import input_of
from lab.simulator.requests import Provider, QueueStatus, SimulatedRequest
from lab.simulator.samples import HEIGHT, WIDTH, Medium, Samples, rotated

LARGE_BODY = 10 * 1024
RETENTION = timedelta(hours=1)
RETENTION_OF_LARGE_BODY = timedelta(minutes=6)
THUMBNAIL = "thumbnail.png"
MEDIA_PATHS = {Provider.FAL: "files/b", Provider.REPLICATE: "xezq", Provider.STUDIO: "files/b"}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Status code, body and headers of the result call."""

    status_code: int = 200
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    error_type: str | None = None
    billed: bool = True
    """fal does not charge for a 5xx; it may for a 4xx when compute was used."""

    @property
    def content(self) -> bytes:
        return json.dumps(self.body, separators=(",", ":")).encode()

    @property
    def retention(self) -> timedelta:
        """How long after its end the answer is kept."""
        return RETENTION_OF_LARGE_BODY if len(self.content) >= LARGE_BODY else RETENTION


@dataclass(frozen=True, kw_only=True)
class OutputFile:
    """One file that a request made."""

    name: str
    medium: Medium
    content: bytes
    is_extra: bool = False
    """Beside what was promised."""

    def url(self, request: SimulatedRequest) -> str:
        """Where the provider's media host, or else its API, serves it."""
        path = "v1/files" if Fault.OUTPUT_API in request.faults else MEDIA_PATHS[request.provider]
        return f"{request.origin}/{path}/{request.id}/{self.name}"

    def described(self, request: SimulatedRequest) -> dict[str, Any]:
        """fal's file object."""
        described = {
            "url": self.url(request),
            "content_type": self.medium.content_type,
            "file_name": self.name,
            "file_size": len(self.content),
        }
        size = {"width": WIDTH, "height": HEIGHT} if self.medium is Medium.IMAGE else {}
        return described | size


def is_billed(request: SimulatedRequest, now: datetime) -> bool:
    """Whether the request costs money: it has ended, it did run, and not into a 5xx."""
    if request.status(now) is not QueueStatus.COMPLETED:
        return False
    failure = failure_of(request)
    return failure is None or failure.billed


def answer_of(request: SimulatedRequest, now: datetime, samples: Samples) -> Answer:
    """The answer of a request that has ended."""
    if failure := failure_of(request):
        return failure
    model_input = MODELS[request.endpoint].model_validate(request.input)
    files = output_files(request, samples) if request.shows_media(now) else []
    promised = [file.described(request) for file in files if not file.is_extra]
    beside = [("thumbnail", file.described(request)) for file in files if file.is_extra]
    return Answer(
        body=dict(beside) | model_input.result(promised),
        headers=billing_headers(request, model_input.billable_units),
    )


def billing_headers(request: SimulatedRequest, units: float) -> Mapping[str, str]:
    fault = request.faults.one_of("units")
    units_header: dict[Fault | None, str] = {
        Fault.UNITS_NAN: "nan",
        Fault.UNITS_NEGATIVE: f"{-units:g}",
        Fault.UNITS_HUGE: "1e30",
        Fault.UNITS_DOUBLE: f"{units * 2:g}",
        Fault.UNITS_HALF: f"{units / 2:g}",
    }
    return {} if fault is Fault.UNITS_LOST else {"x-fal-billable-units": units_header.get(fault, f"{units:g}")}


def failure_of(request: SimulatedRequest) -> Answer | None:
    """How the request fails; None when it succeeds."""
    if request.canceled_at is not None:
        ran = not request.removed_from_queue
        return _platform_failure(499, "client_cancelled", "Request was cancelled by the client", billed=ran)
    try:
        input_of(request)
    except ValidationError as error:
        return _invalid_input(error)
    match request.faults.one_of("fail"):
        case Fault.FAIL_422:
            return _model_failure(422, "feature_not_supported", "This input is not supported", request)
        case Fault.FAIL_CONTENT_POLICY:
            return _model_failure(422, "content_policy_violation", "The content was flagged by a checker", request)
        case Fault.FAIL_500:
            return _model_failure(500, "internal_server_error", "Internal server error", request)
        case Fault.FAIL_504:
            return _platform_failure(504, "request_timeout", "Request timed out", billed=False)
        case Fault.FAIL_ABORTED:
            return _platform_failure(504, "aborted", "The deadline passed before it ran", billed=False)
    return None


def output_files(request: SimulatedRequest, samples: Samples) -> list[OutputFile]:
    """The files that a request makes: none when it fails."""
    if failure_of(request):
        return []
    named: Counter[Medium] = Counter()
    files = []
    for medium in input_of(request).media:
        path, number = PurePath(medium.file_name), named[medium]
        name = f"{path.stem}_{number}{path.suffix}" if number else path.name
        named[medium] += 1
        files.append(OutputFile(name=name, medium=medium, content=_content(request, samples, medium, name)))
    if files and Fault.MEDIA_EXTRA_THUMBNAIL in request.faults and request.provider is not Provider.STUDIO:
        content = samples.file(Medium.IMAGE, f"{request.id}/{THUMBNAIL}")
        files.append(OutputFile(name=THUMBNAIL, medium=Medium.IMAGE, content=content, is_extra=True))
    return files


def _content(request: SimulatedRequest, samples: Samples, medium: Medium, name: str) -> bytes:
    content = samples.file(medium, f"{request.id}/{name}")
    is_rotated = medium is Medium.VIDEO and Fault.MEDIA_ROTATED in request.faults
    return rotated(content) if is_rotated else content


def _invalid_input(error: ValidationError) -> Answer:
    """The model never ran, so this costs nothing."""
    detail = [{**entry, "loc": ["body", *entry["loc"]]} for entry in error.errors(include_context=False)]
    first = error.errors()[0]
    return Answer(
        status_code=422,
        body={"detail": detail},
        headers={"x-fal-retryable": "false"},
        error=first["msg"],
        error_type=first["type"],
        billed=False,
    )


def _model_failure(status_code: int, error_type: str, message: str, request: SimulatedRequest) -> Answer:
    prompt = next(key for key in ("prompt", "text") if key in request.input)
    detail = {
        "loc": ["body", prompt],
        "msg": message,
        "type": error_type,
        "url": f"https://docs.fal.ai/errors#{error_type}",
        "input": request.input[prompt],
    }
    return Answer(
        status_code=status_code,
        body={"detail": [detail]},
        headers={"x-fal-retryable": "true" if status_code >= 500 else "false"},
        error=message,
        error_type=error_type,
        billed=status_code < 500,
    )


def _platform_failure(status_code: int, error_type: str, message: str, *, billed: bool) -> Answer:
    return Answer(
        status_code=status_code,
        body={"detail": message, "error_type": error_type},
        headers={"x-fal-error-type": error_type},
        error=message,
        error_type=error_type,
        billed=billed,
    )

"""What the studio backend pushes, as pure functions: the secret, the JSON, the status, the videos.

    {"job_id": "cm123abc456", "status": "completed", "content_type": "video", "timestamp": "2025-10-23T14:30:00Z",
     "has_data": true, "environment": "development",
     "data": {"videos": [{"filename": "sunset.mp4", "file_path": "/videos/sunset.mp4", "file_url": "https://...",
                          "file_size": 15728640, "format": "mp4", "duration_seconds": 8, "aspect_ratio": "16:9",
                          "dimensions": {"width": 1920, "height": 1080}, "created_at": "2025-10-23T14:30:00Z"}],
              "metadata": {"model_name": "veo-2.0-generate-001", "model_version": "2.0", "processing_time": 120.5,
                           "generation_time": 90.2, "download_time": 30.3, "prompt_used": "..."},
              "generated_at": "2025-10-23T14:30:00Z"}}

`job_id`, `content_type` and `status` are required, and with `completed` a `file_url` for each of `data.videos`. This is
version 1, whether a `version` says so or not. Times are in seconds.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from reelay.domain.failure import Failure, FailureCode
from reelay.domain.generation import RemoteMedia, Stage, Status
from reelay.domain.language import Language
from reelay.domain.messages import message
from reelay.providers.errors import Forged, Malformed
from reelay.providers.media_mapping import MAX_FILES, web_url_in
from reelay.providers.reading import readable
from reelay.providers.strict_json import parse_json

SECRET_HEADER = "x-webhook-secret"
CONTENT_TYPE = "video"
MAX_NAME_LENGTH = 255


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A status of the backend, and what it means for the job."""

    name: str
    status: Status
    stage: Stage
    percent: int

    @property
    def is_last(self) -> bool:
        return self.status.is_final

    def message(self, language: Language) -> str:
        """What callers read."""
        return message(f"studio_{self.name}", language)


PHASES = {
    phase.name: phase
    for phase in (
        Phase(name="pending", status=Status.SUBMITTED, stage=Stage.QUEUED, percent=0),
        Phase(name="processing", status=Status.IN_PROGRESS, stage=Stage.GENERATING, percent=25),
        Phase(name="generating", status=Status.IN_PROGRESS, stage=Stage.GENERATING, percent=50),
        Phase(name="downloading", status=Status.IN_PROGRESS, stage=Stage.FETCHING, percent=75),
        Phase(name="completed", status=Status.COMPLETED, stage=Stage.DONE, percent=100),
        Phase(name="failed", status=Status.FAILED, stage=Stage.DONE, percent=0),
    )
}


@dataclass(frozen=True, kw_only=True)
class Push:
    """A well-formed push."""

    job_id: str
    """The job's id here, or the backend's own for it."""
    phase: Phase | None
    """None for a status that we do not know: then nothing follows from it."""
    percent: int
    """The status's own, or further on the way to the next when the backend measured it."""
    note: str | None
    """The backend's own text."""
    error: str | None
    """The backend's own reason for the failure."""
    is_policy: bool
    """Whether it failed by the backend's rules for content."""
    videos: tuple[RemoteMedia, ...]
    data: dict[str, Any]
    """Its `data`, as it came."""


def verify_secret(headers: Mapping[str, str], secret: SecretStr | None) -> None:
    """Compares in constant time. Without a configured secret, every push is refused. Raises: Forged."""
    given = headers.get(SECRET_HEADER, "").encode("latin-1", "replace")
    if secret is None or not hmac.compare_digest(given, secret.get_secret_value().encode()):
        raise Forged("X-Webhook-Secret is missing or wrong")


def read_push(raw: bytes) -> Push:
    """Raises: Malformed, naming the field."""
    try:
        body = parse_json(raw, nan_as_null=True)
    except ValueError as error:
        raise Malformed("the body is not JSON") from error
    if not isinstance(body, dict):
        raise Malformed("the body is not a JSON object")
    job_id, status = _text(body, "job_id"), _text(body, "status").strip().lower()
    if _text(body, "content_type").strip().lower() != CONTENT_TYPE:
        raise Malformed(f"content_type is not {CONTENT_TYPE}")
    data = _object(body.get("data"))
    if not job_id.isprintable():
        raise Malformed("job_id has characters that no id has")
    phase = PHASES.get(status)
    code, reason = _error(body, data)
    return Push(
        job_id=job_id,
        phase=phase,
        percent=_percent(phase, body.get("progress")) if phase else 0,
        note=_text_or_none(body.get("message")),
        error=reason,
        is_policy="content_policy" in code.lower(),
        videos=_videos(data) if phase and phase.status is Status.COMPLETED else (),
        data=data,
    )


def failure_of(push: Push, language: Language) -> Failure:
    """Why it failed: the backend's own reason if it gives one."""
    return Failure(
        code=FailureCode.CONTENT_POLICY if push.is_policy else FailureCode.PROVIDER_ERROR,
        message=push.error or push.note or failure_without_reason(push.data, language),
    )


def failure_without_reason(data: Mapping[str, Any], language: Language) -> str:
    """The message of a failure without a reason."""
    if prompt := _text_or_none(_object(data.get("metadata")).get("prompt_used")):
        return message("studio_failed_for_prompt", language, prompt=prompt)
    return message("studio_failed_without_reason", language)


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Malformed(f"{name} is missing")
    return value


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text_or_none(value: object) -> str | None:
    return (readable(value) or None) if isinstance(value, str) else None


def _error(body: dict[str, Any], data: dict[str, Any]) -> tuple[str, str | None]:
    """The error's code, if it has one, and its text."""
    given = (place.get(name) for place in (body, data) for name in ("error", "error_message"))
    error = next((value for value in given if value), None)
    code = _object(error).get("code")
    return code if isinstance(code, str) else "", _text_or_none(_object(error).get("message", error))


def _percent(phase: Phase, measured: object) -> int:
    """The measured percent as far as it lies between this status and the next."""
    if isinstance(measured, bool) or not isinstance(measured, int | float) or phase.is_last:
        return phase.percent
    further = [other.percent for other in PHASES.values() if other.percent > phase.percent]
    return int(max(phase.percent, min(measured, min(further) - 1)))


def _videos(data: dict[str, Any]) -> tuple[RemoteMedia, ...]:
    entries = data.get("videos")
    if not isinstance(entries, list) or not entries:
        raise Malformed("data.videos is missing")
    if len(entries) > MAX_FILES:
        raise Malformed(f"data.videos has more than {MAX_FILES} entries")
    return tuple(_video(_object(entry), place) for place, entry in enumerate(entries))


def _video(entry: dict[str, Any], place: int) -> RemoteMedia:
    given, name = entry.get("file_url"), entry.get("filename")
    url = web_url_in(given) if isinstance(given, str) else None
    if url is None:
        raise Malformed(f"data.videos.{place}.file_url is no http or https address")
    return RemoteMedia(url=url, file_name=name if _is_label(name) else None)


def _is_label(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= MAX_NAME_LENGTH

"""What the studio backend pushes, as pure functions: the secret, the JSON, the version, the status, the videos.

A push of today (`version` 2):

    {"version": 2, "job_id": "<our id>", "content_type": "video", "status": "completed", "progress": 100,
     "videos": [{"url": "https://...", "filename": "shot.mp4", "size": 1, "format": "mp4", "duration": 8.0,
                 "aspect_ratio": "16:9", "width": 1280, "height": 720, "metadata": {}}],
     "model": {"name": "...", "version": "..."}, "error": "...",
     "timings": {"processing_ms": 1, "generation_ms": 1, "download_ms": 1}}

`job_id`, `content_type` and `status` are required, and `videos` with `completed`. A push without a version is of
version 1, whose names stand flat beside each other.
"""

import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import SecretStr

from domain.failure import Failure, FailureCode
from domain.generation import RemoteMedia, Stage, Status
from providers.errors import Forged, Malformed
from providers.media_mapping import MAX_FILES, media_of
from providers.reading import readable
from providers.strict_json import parse_json

SECRET_HEADER = "x-webhook-secret"
CONTENT_TYPE = "video"
CURRENT_VERSION = 2
VERSION = re.compile(r"v?([0-9]{1,6})(\.[0-9]{1,6}){0,2}", re.IGNORECASE)
MAX_METADATA_BYTES = 2048
"""Of one video. What is larger is kept with the job's result alone: this travels through the workflow's history."""
MAX_NAME_LENGTH = 255
MAX_SECONDS = 1e9


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A status of the backend: what it means for the job, and what callers are told."""

    status: Status
    stage: Stage
    percent: int
    message: str

    @property
    def is_last(self) -> bool:
        return self.status.is_final


PHASES = {
    "pending": Phase(
        status=Status.SUBMITTED, stage=Stage.QUEUED, percent=0, message="The video waits for its generation"
    ),
    "processing": Phase(
        status=Status.IN_PROGRESS, stage=Stage.GENERATING, percent=25, message="The video's request is processed"
    ),
    "generating": Phase(
        status=Status.IN_PROGRESS, stage=Stage.GENERATING, percent=50, message="The video is generated"
    ),
    "downloading": Phase(
        status=Status.IN_PROGRESS, stage=Stage.FETCHING, percent=75, message="The backend downloads the video"
    ),
    "completed": Phase(status=Status.COMPLETED, stage=Stage.DONE, percent=100, message="The video is completed"),
    "failed": Phase(status=Status.FAILED, stage=Stage.DONE, percent=0, message="The video's generation failed"),
}


@dataclass(frozen=True, kw_only=True)
class Push:
    """A well-formed push."""

    job_id: str
    phase: Phase | None
    """None for a status that we do not know: then nothing follows from it."""
    percent: int
    """The status's own, or further on the way to the next when the backend measured it."""
    note: str | None
    """The backend's own words."""
    videos: tuple[RemoteMedia, ...]
    body: dict[str, Any]
    """All of it, under today's names."""


def verify_secret(headers: Mapping[str, str], secret: SecretStr | None) -> None:
    """Compares in constant time. Without a secret of ours, nobody has the right one. Raises: Forged."""
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
    body = under_todays_names(body)
    job_id, status = _text(body, "job_id"), _text(body, "status").strip().lower()
    if _text(body, "content_type").strip().lower() != CONTENT_TYPE:
        raise Malformed(f"content_type is not {CONTENT_TYPE}")
    phase = PHASES.get(status)
    return Push(
        job_id=job_id,
        phase=phase,
        percent=_percent(phase, body.get("progress")) if phase else 0,
        note=_words(body.get("message")),
        videos=_videos(body) if phase and phase.status is Status.COMPLETED else (),
        body=body,
    )


def failure_of(push: Push) -> Failure:
    """Why it failed, in the backend's words."""
    error = push.body.get("error")
    code, told = (error.get("code"), error.get("message")) if isinstance(error, dict) else (None, error)
    policy = isinstance(code, str) and "content_policy" in code.lower()
    return Failure(
        code=FailureCode.CONTENT_POLICY if policy else FailureCode.PROVIDER_ERROR,
        message=_words(told) or push.note or PHASES["failed"].message,
    )


def under_todays_names(body: dict[str, Any]) -> dict[str, Any]:
    """An older shape, step by step, as today's. A newer one stays as it is. Raises: Malformed."""
    version = _version(body)
    while step := STEPS.get(version):
        body, version = step(body), version + 1
    return body


def from_1_to_2(body: dict[str, Any]) -> dict[str, Any]:
    """Flat names become tables, seconds become milliseconds, and an only video becomes a list of one."""
    model = {"name": body.get("model_name"), "version": body.get("model_version")}
    timings = {f"{what}_ms": _milliseconds(body, what) for what in ("processing", "generation", "download")}
    today = {"model": _known(model), "timings": _known(timings), "error": body.get("error_message")}
    if "videos" not in body and (media := media_of({name: body[name] for name in ONLY_VIDEO if name in body})):
        today["videos"] = [{"url": media[0].url, **{name: body[name] for name in OF_ONLY_VIDEO if name in body}}]
    return {**{name: value for name, value in today.items() if value}, **body, "version": 2}


STEPS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: from_1_to_2}
ONLY_VIDEO = ("video", "video_url", "url", "download_url")
OF_ONLY_VIDEO = ("filename", "size", "format", "duration", "aspect_ratio", "width", "height", "metadata")


def _version(body: dict[str, Any]) -> int:
    value = body.get("version", 1)
    match = VERSION.fullmatch(str(value)) if isinstance(value, str | int | float) else None
    if match is None or isinstance(value, bool) or int(match[1]) < 1:
        raise Malformed("version is no version number")
    return int(match[1])


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Malformed(f"{name} is missing")
    return value


def _words(value: object) -> str | None:
    return (readable(value) or None) if isinstance(value, str) else None


def _percent(phase: Phase, measured: object) -> int:
    """The measured percent as far as it lies between this status and the next."""
    if isinstance(measured, bool) or not isinstance(measured, int | float) or phase.is_last:
        return phase.percent
    further = [other.percent for other in PHASES.values() if other.percent > phase.percent]
    return int(max(phase.percent, min(measured, min(further) - 1)))


def _videos(body: dict[str, Any]) -> tuple[RemoteMedia, ...]:
    entries = body.get("videos")
    if not isinstance(entries, list) or not entries:
        raise Malformed("videos is missing")
    if len(entries) > MAX_FILES:
        raise Malformed(f"videos has more than {MAX_FILES} entries")
    return tuple(_video(entry, place) for place, entry in enumerate(entries))


def _video(entry: object, place: int) -> RemoteMedia:
    media = media_of([entry] if isinstance(entry, dict) else {"output": entry})
    if not media:
        raise Malformed(f"videos.{place} has no address")
    about = entry if isinstance(entry, dict) else {}
    name, metadata = about.get("filename"), about.get("metadata")
    return replace(
        media[0],
        file_name=name if _is_label(name) else media[0].file_name,
        metadata=metadata if isinstance(metadata, dict) and _is_small(metadata) else {},
    )


def _is_label(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= MAX_NAME_LENGTH


def _is_small(metadata: dict[str, Any]) -> bool:
    return len(json.dumps(metadata)) <= MAX_METADATA_BYTES


def _milliseconds(body: dict[str, Any], what: str) -> int | None:
    if isinstance(already := body.get(f"{what}_time_ms"), int):
        return already
    seconds = body.get(f"{what}_time")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < MAX_SECONDS:
        return None
    return round(seconds * 1000)


def _known(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if value is not None}

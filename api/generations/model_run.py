"""What a backend that pushes says of how its videos were made, as callers see it."""

from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Any, Self

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from api.http.wire import Wire
from reelay.domain.generation import ProviderName

# What backends mean that do not say it.
MODEL_NAME, MODEL_VERSION = "veo-2.0-generate-001", "2.0"
MOMENT = TypeAdapter(AwareDatetime)


class ModelRun(Wire):
    """How a backend that pushes made it. All of it is null for other providers."""

    model_name: str | None = None
    """The backend's name of its model."""
    model_version: str | None = None
    """The version of the backend's model."""
    processing_time: float | None = None
    """How long the backend worked in total, in seconds."""
    generation_time: float | None = None
    """How long the backend's model worked, in seconds."""
    download_time: float | None = None
    """How long the backend downloaded, in seconds."""
    generated_at: datetime | None = None
    """When the backend was done; `completedAt` is when the files were archived."""

    @classmethod
    def from_push(cls, provider: ProviderName, data: Mapping[str, Any] | None) -> Self:
        """`data`: what was pushed with the end, None before. What is malformed in it is left out."""
        if not provider.reports_by_push:
            return cls()
        pushed = (data or {}).get("metadata")
        metadata = pushed if isinstance(pushed, dict) else {}
        return cls(
            model_name=_text(metadata.get("model_name")) or MODEL_NAME,
            model_version=_text(metadata.get("model_version")) or MODEL_VERSION,
            processing_time=_seconds(metadata.get("processing_time")),
            generation_time=_seconds(metadata.get("generation_time")),
            download_time=_seconds(metadata.get("download_time")),
            generated_at=_moment((data or {}).get("generated_at")),
        )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:  # a whole number beyond all floats
        return None


def _moment(value: object) -> datetime | None:
    try:
        return MOMENT.validate_python(value) if isinstance(value, str) else None
    except ValidationError:
        return None

"""Webhooks in OpenAI's envelope. They are signed by Standard Webhooks, as OpenAI's are."""

from datetime import datetime
from typing import Any
from uuid import UUID

from reelay.domain.outgoing import EventType


def openai_event(event_id: UUID, kind: EventType, at: datetime, job_id: UUID) -> dict[str, Any]:
    """Of a job that has ended. It names the video and says no more: its receiver reads it."""
    return {
        "id": f"evt_{event_id.hex}",
        "object": "event",
        "created_at": int(at.timestamp()),
        "type": "video.completed" if kind == EventType.JOB_COMPLETED else "video.failed",
        "data": {"id": str(job_id)},
    }

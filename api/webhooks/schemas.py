"""What reports look like, for the document alone: the routes read bytes, because signatures are over these.

Every body may have more fields than are named here.
"""

from typing import Any

from pydantic import BaseModel

from reelay.providers.fal_webhook import TOLERANCE
from reelay.providers.media_mapping import MAX_FILES
from reelay.providers.reading import REQUEST_ID
from reelay.providers.replicate_answers import STATES
from reelay.providers.studio_push import CONTENT_TYPE, MAX_NAME_LENGTH, PHASES, SECRET_HEADER

MINUTES = int(TOLERANCE.total_seconds() // 60)
TEXT = {"type": "string"}
OPTIONAL_TEXT = {"type": ["string", "null"]}
OPTIONAL_NUMBER = {"type": ["number", "null"]}
PROVIDERS_ID = {"type": "string", "pattern": f"^{REQUEST_ID.pattern}$"}


def json_body(description: str, schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """As `openapi_extra` of a route."""
    content = {"application/json": {"schema": {"type": "object", **schema}, "example": example}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


FAL = json_body(
    f"With `X-Fal-Webhook-Request-Id`, `-User-Id`, `-Timestamp` (not {MINUTES} minutes off) and `-Signature`, fal's "
    "Ed25519 signature over these bytes. A `payload` is a hint: the result is fetched with our key.",
    {
        "required": ["request_id", "status"],
        "properties": {
            "request_id": PROVIDERS_ID | {"description": "The same as in the header."},
            "gateway_request_id": TEXT,
            "status": {"enum": ["OK", "ERROR"]},
            "payload": {"description": "The result, or what the model says of its failure."},
            "error": OPTIONAL_TEXT,
            "payload_error": OPTIONAL_TEXT,
        },
    },
    {
        "request_id": "764cabcf-b745-4b3e-ae38-1200304cf45b",
        "status": "OK",
        "payload": {"video": {"url": "https://v3.fal.media/files/a/video.mp4"}},
    },
)

REPLICATE = json_body(
    f"A prediction, with `webhook-id`, `webhook-timestamp` (not {MINUTES} minutes off) and `webhook-signature` of "
    "Standard Webhooks over these bytes. Only one that has ended is handed on.",
    {
        "required": ["id", "status"],
        "properties": {
            "id": PROVIDERS_ID,
            "status": {"type": "string", "description": f"{', '.join(STATES)}; any other means that it goes on."},
            "output": {"description": "What the model made, once it has succeeded."},
            "error": {},
            "logs": OPTIONAL_TEXT,
        },
    },
    {
        "id": "gm3qorzdhgbfurvjtvhg6dckhu",
        "status": "succeeded",
        "output": ["https://replicate.delivery/pbxt/a/video.mp4"],
    },
)

VIDEO = {
    "type": "object",
    "required": ["file_url"],
    "properties": {
        "file_url": {"type": "string", "description": "Where it can be fetched, without a header."},
        "filename": {"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH},
        "file_path": OPTIONAL_TEXT,
        "file_size": OPTIONAL_NUMBER | {"description": "Bytes."},
        "format": OPTIONAL_TEXT,
        "duration_seconds": OPTIONAL_NUMBER,
        "aspect_ratio": OPTIONAL_TEXT,
        "dimensions": {"type": "object", "properties": {"width": OPTIONAL_NUMBER, "height": OPTIONAL_NUMBER}},
        "created_at": OPTIONAL_TEXT,
    },
}

METADATA = {
    "type": "object",
    "properties": {
        "model_name": OPTIONAL_TEXT,
        "model_version": OPTIONAL_TEXT,
        "processing_time": OPTIONAL_NUMBER | {"description": "Seconds."},
        "generation_time": OPTIONAL_NUMBER | {"description": "Seconds."},
        "download_time": OPTIONAL_NUMBER | {"description": "Seconds."},
        "prompt_used": OPTIONAL_TEXT | {"description": "Also the reason of a failure that has no other."},
    },
}

STUDIO = json_body(
    f"With the shared secret in `{SECRET_HEADER.title()}`. A status that is not named here is taken, and nothing "
    "follows from it.",
    {
        "required": ["job_id", "content_type", "status"],
        "properties": {
            "job_id": {"type": "string", "description": "Our job's id, or the job's `externalId`."},
            "content_type": {"const": CONTENT_TYPE},
            "status": {"enum": list(PHASES), "description": "In any case."},
            "progress": OPTIONAL_NUMBER
            | {"description": "Percent, as far as it lies between this status and the next."},
            "data": {
                "type": "object",
                "properties": {
                    "videos": {"type": "array", "items": VIDEO, "maxItems": MAX_FILES},
                    "metadata": METADATA,
                    "generated_at": OPTIONAL_TEXT,
                },
            },
            "error": {"description": "Of a failure: its text, or an object with `code` and `message`."},
            "error_message": OPTIONAL_TEXT,
            "message": OPTIONAL_TEXT,
            "timestamp": OPTIONAL_TEXT,
            "environment": OPTIONAL_TEXT,
        },
        "if": {"properties": {"status": {"const": "completed"}}, "required": ["status"]},
        "then": {
            "required": ["data"],
            "properties": {"data": {"required": ["videos"], "properties": {"videos": {"minItems": 1}}}},
        },
    },
    {
        "job_id": "cm123abc456",
        "status": "completed",
        "content_type": CONTENT_TYPE,
        "data": {
            "videos": [{"file_url": "https://studio.example/sunset-ocean.mp4", "filename": "sunset-ocean.mp4"}],
            "metadata": {"model_name": "veo-2.0-generate-001", "model_version": "2.0", "processing_time": 120.5},
            "generated_at": "2025-10-23T14:30:00Z",
        },
    },
)


class PushAnswer(BaseModel):
    """What the studio backend is answered, in the snake case that it reads."""

    success: bool
    message: str
    job_id: str
    """As the backend named the job."""
    num_videos: int
    processing_time_ms: int
    """Of this request."""


class Health(BaseModel):
    status: str
    message: str

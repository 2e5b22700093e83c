"""What reports look like, for the document alone: the routes read bytes, because signatures are over these.

Every body may have more fields than are named here.
"""

from typing import Any, Literal

from api.http.wire import Described
from reelay.domain.verdict import Verdict
from reelay.providers.fal_webhook import TOLERANCE
from reelay.providers.media_mapping import MAX_FILES
from reelay.providers.reading import REQUEST_ID
from reelay.providers.replicate_answers import STATES
from reelay.providers.studio_push import CONTENT_TYPE, MAX_NAME_LENGTH, PHASES, SECRET_HEADER

MINUTES = int(TOLERANCE.total_seconds() // 60)


def optional(kind: str, description: str) -> dict[str, Any]:
    return {"type": [kind, "null"], "description": description}


def provider_id(description: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{REQUEST_ID.pattern}$", "description": description}


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
            "request_id": provider_id("fal's id of the request, the same as in the header."),
            "gateway_request_id": {"type": "string", "description": "fal's id of the attempt that answered."},
            "status": {"enum": ["OK", "ERROR"], "description": "Whether the request succeeded."},
            "payload": {"description": "The result, or what the model says of its failure."},
            "error": optional("string", "What went wrong."),
            "payload_error": optional("string", "Why there is no payload."),
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
            "id": provider_id("Replicate's id of the prediction."),
            "status": {"type": "string", "description": f"{', '.join(STATES)}; any other means that it goes on."},
            "output": {"description": "What the model made, once it has succeeded."},
            "error": {"description": "What went wrong."},
            "logs": optional("string", "What the model printed."),
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
        "filename": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_NAME_LENGTH,
            "description": "The video's name.",
        },
        "file_path": optional("string", "The video's path at the backend."),
        "file_size": optional("number", "The video's size in bytes."),
        "format": optional("string", "The video's format, for example `mp4`."),
        "duration_seconds": optional("number", "The video's length in seconds."),
        "aspect_ratio": optional("string", "Width to height, for example `16:9`."),
        "dimensions": {
            "type": "object",
            "description": "The video's size.",
            "properties": {"width": optional("number", "Pixels."), "height": optional("number", "Pixels.")},
        },
        "created_at": optional("string", "When the video was made (RFC 3339)."),
    },
}

METADATA = {
    "type": "object",
    "description": "How the videos were made.",
    "properties": {
        "model_name": optional("string", "The name of the backend's model."),
        "model_version": optional("string", "The version of the backend's model."),
        "processing_time": optional("number", "Seconds."),
        "generation_time": optional("number", "Seconds."),
        "download_time": optional("number", "Seconds."),
        "prompt_used": optional("string", "The prompt used; also the reason of a failure that gives no other."),
    },
}

STUDIO = json_body(
    f"With the shared secret in `{SECRET_HEADER.title()}`. A status that is not named here is taken, and nothing "
    "follows from it.",
    {
        "required": ["job_id", "content_type", "status"],
        "properties": {
            "job_id": {"type": "string", "description": "Our job's id, or the job's `externalId`."},
            "content_type": {"const": CONTENT_TYPE, "description": "Always this."},
            "status": {"enum": list(PHASES), "description": "In any case."},
            "progress": optional("number", "Percent, as far as it lies between this status and the next."),
            "data": {
                "type": "object",
                "description": "The result.",
                "properties": {
                    "videos": {
                        "type": "array",
                        "items": VIDEO,
                        "maxItems": MAX_FILES,
                        "description": "The videos, with `completed` at least one.",
                    },
                    "metadata": METADATA,
                    "generated_at": optional("string", "When the backend was done (RFC 3339)."),
                },
            },
            "error": {"description": "Of a failure: its text, or an object with `code` and `message`."},
            "error_message": optional("string", "The text of a failure, where `error` has none."),
            "message": optional("string", "What the backend has to say."),
            "timestamp": optional("string", "When the push was sent (RFC 3339)."),
            "environment": optional("string", "Which installation of the backend it is."),
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


class WebhookAnswer(Described):
    """The answer to a webhook that was taken."""

    success: Literal[True]
    """Always true: refusals are problems."""
    received: Literal[True]
    """Always true."""
    verdict: Verdict
    """What was made of it."""


class PushAnswer(Described):
    """The answer to a push, in the backend's own spelling."""

    success: bool
    """Always true: refusals are problems."""
    message: str
    """What was done with the push, in English."""
    job_id: str
    """The job as the backend named it."""
    num_videos: int
    """How many videos the push had."""
    processing_time_ms: int
    """How long this request took, in milliseconds."""


class Health(Described):
    """That the webhook can be reached."""

    status: Literal["healthy"]
    """Always `healthy`."""
    message: str
    """What to send here, in English."""

"""What reports look like, for the document alone: the routes read bytes, because signatures are over these.

Every body may have more fields than are named here.
"""

from typing import Any

from providers.fal_webhook import TOLERANCE
from providers.media_mapping import MAX_FILES
from providers.reading import REQUEST_ID
from providers.replicate_answers import STATES
from providers.studio_push import CONTENT_TYPE, CURRENT_VERSION, MAX_NAME_LENGTH, PHASES, SECRET_HEADER

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
    "required": ["url"],
    "properties": {
        "url": TEXT,
        "filename": {"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH},
        "size": OPTIONAL_NUMBER,
        "format": OPTIONAL_TEXT,
        "duration": OPTIONAL_NUMBER | {"description": "Seconds."},
        "aspect_ratio": OPTIONAL_TEXT,
        "width": OPTIONAL_NUMBER,
        "height": OPTIONAL_NUMBER,
        "metadata": {"type": "object"},
    },
}

STUDIO = json_body(
    f"With the shared secret in `{SECRET_HEADER.title()}`. Without a version it is of version 1, whose names stand "
    "flat beside each other: docs/studio.md. A status that is not named here is taken, and nothing follows from it.",
    {
        "required": ["job_id", "content_type", "status"],
        "properties": {
            "version": {"type": "integer", "minimum": 1, "maximum": CURRENT_VERSION, "default": 1},
            "job_id": {"type": "string", "format": "uuid", "description": "Our job's id."},
            "content_type": {"const": CONTENT_TYPE},
            "status": {"enum": list(PHASES)},
            "progress": OPTIONAL_NUMBER
            | {"description": "Percent, as far as it lies between this status and the next."},
            "message": OPTIONAL_TEXT,
            "videos": {"type": "array", "items": VIDEO, "maxItems": MAX_FILES},
            "error": {"description": "Of a failure: its text, or an object with `code` and `message`."},
            "model": {"type": "object", "properties": {"name": TEXT, "version": TEXT}},
            "timings": {"type": "object"},
        },
        "if": {"properties": {"status": {"const": "completed"}}, "required": ["status"]},
        "then": {"required": ["videos"], "properties": {"videos": {"minItems": 1}}},
    },
    {
        "version": CURRENT_VERSION,
        "job_id": "6f0a1e4c-8d0b-4b5e-9a53-3f7f3d2f1c11",
        "content_type": CONTENT_TYPE,
        "status": "completed",
        "videos": [{"url": "https://studio.example/shot.mp4", "filename": "shot.mp4", "duration": 8.0}],
    },
)

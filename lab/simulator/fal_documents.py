"""fal's platform API, as far as it describes endpoints: documents, prices and search."""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from lab.simulator.fal import authorize
from lab.simulator.fal_catalogue import ENDPOINTS
from lab.simulator.refusals import Refused

REFERENCE = "#/components/schemas/{model}"
MOST_IDS = 50
NOT_FOUND = {"error": {"type": "not_found", "message": "Resource not found"}}
STATUS_SCHEMA = {
    "title": "QueueStatus",
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]},
        "request_id": {"type": "string", "description": "The request id."},
        "response_url": {"type": "string", "description": "The response url."},
        "status_url": {"type": "string", "description": "The status url."},
        "cancel_url": {"type": "string", "description": "The cancel url."},
        "logs": {"type": "object", "description": "The logs.", "additionalProperties": True},
        "metrics": {"type": "object", "description": "The metrics.", "additionalProperties": True},
        "queue_position": {"type": "integer", "description": "The queue position."},
    },
    "required": ["status", "request_id"],
}

public = APIRouter()
router = APIRouter(prefix="/v1/models")


@public.get("/api/openapi/queue/openapi.json")
async def openapi(endpoint_id: str) -> dict[str, Any]:
    """The document alone, for which nobody needs a key."""
    if endpoint_id not in ENDPOINTS:
        raise Refused(404, {"detail": "Not found"})
    return document_of(endpoint_id)


@router.get("")
async def models(
    endpoint_id: Annotated[list[str] | None, Query()] = None,
    q: str = "",
    expand: Annotated[list[str] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Those of these ids, or those that the words may mean."""
    found = [each for each in endpoint_id if each in ENDPOINTS] if endpoint_id else _search(q.lower().split())
    found = found[:limit]
    if endpoint_id and not found:
        raise Refused(404, NOT_FOUND)
    entries = [_entry(each, with_document="openapi-3.0" in (expand or ())) for each in found]
    body = {"models": entries, "next_cursor": None, "has_more": False}
    etag = f'W/"{hashlib.sha256(json.dumps(body).encode()).hexdigest()[:32]}"'
    if if_none_match == etag:
        return Response(status_code=304, headers={"etag": etag})
    return JSONResponse(body, headers={"etag": etag})


def _search(words: Sequence[str]) -> list[str]:
    """Those that have most of the words first."""
    matches = {each: sum(word in each for word in words) for each in ENDPOINTS}
    return sorted((each for each in ENDPOINTS if matches[each] or not words), key=lambda each: -matches[each])


@router.get("/pricing", dependencies=[Depends(authorize)])
async def pricing(endpoint_id: Annotated[list[str], Query()]) -> dict[str, Any]:
    asked = [each for ids in endpoint_id for each in ids.split(",")]
    if len(asked) > MOST_IDS:
        raise Refused(400, {"error": {"type": "validation_error", "message": "Invalid request parameters"}})
    prices = [
        {
            "endpoint_id": each,
            "unit_price": ENDPOINTS[each].unit_price,
            "unit": ENDPOINTS[each].unit,
            "currency": "USD",
        }
        for each in asked
        if each in ENDPOINTS
    ]
    if not prices:
        raise Refused(404, NOT_FOUND)
    return {"next_cursor": None, "has_more": False, "prices": prices}


def _entry(endpoint_id: str, *, with_document: bool) -> dict[str, Any]:
    listed = ENDPOINTS[endpoint_id]
    metadata: dict[str, Any] = {
        "display_name": endpoint_id.partition("/")[2].replace("-", " ").title(),
        "category": listed.model.category,
        "description": "",
        "status": "deprecated" if listed.is_deprecated else "active",
        "tags": [],
        "updated_at": "2026-11-01T00:00:00Z",
        "is_favorited": None,
        "thumbnail_url": "",
        "model_url": f"https://fal.run/{endpoint_id}",
        "date": "2026-01-01T00:00:00Z",
        "highlighted": False,
        "pinned": False,
        "duration_estimate": 0.5,
    }
    entry = {"endpoint_id": endpoint_id, "metadata": metadata}
    return entry | ({"openapi": document_of(endpoint_id)} if with_document else {})


@cache
def document_of(endpoint_id: str) -> dict[str, Any]:
    """As fal writes it: OpenAPI 3.0.4, with the queue's four calls."""
    model = ENDPOINTS[endpoint_id].model
    schemas: dict[str, Any] = {"QueueStatus": STATUS_SCHEMA}
    taken, made = _named(model, "Input", schemas), _named(model.output, "Output", schemas)
    request = {"$ref": REFERENCE.format(model=taken)}
    result = {"$ref": REFERENCE.format(model=made)}
    status = {"$ref": REFERENCE.format(model="QueueStatus")}
    path = f"/{endpoint_id}/requests/{{request_id}}"
    request_id = {"name": "request_id", "in": "path", "required": True, "schema": {"type": "string"}}
    canceled = {"type": "object", "properties": {"success": {"type": "boolean"}}}
    return {
        "openapi": "3.0.4",
        "info": {
            "title": f"Queue OpenAPI for {endpoint_id}",
            "version": "1.0.0",
            "description": f"The OpenAPI schema for the {endpoint_id} queue.",
            "x-fal-metadata": {
                "endpointId": endpoint_id,
                "category": model.category,
                "thumbnailUrl": "",
                "playgroundUrl": f"https://fal.ai/models/{endpoint_id}",
                "documentationUrl": f"https://fal.ai/models/{endpoint_id}/api",
            },
        },
        "components": {
            "securitySchemes": {
                "apiKeyAuth": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "Fal Key"}
            },
            "schemas": schemas,
        },
        "paths": {
            f"{path}/status": {"get": {"parameters": [request_id], "responses": _answers(status)}},
            f"{path}/cancel": {"put": {"parameters": [request_id], "responses": _answers(canceled)}},
            f"/{endpoint_id}": {
                "post": {
                    "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
                    "responses": _answers(status),
                }
            },
            path: {"get": {"parameters": [request_id], "responses": _answers(result)}},
        },
        "servers": [{"url": "https://queue.fal.run"}],
        "security": [{"apiKeyAuth": []}],
    }


def _answers(schema: dict[str, Any]) -> dict[str, Any]:
    return {"200": {"description": "The request status.", "content": {"application/json": {"schema": schema}}}}


def _named(model: type[BaseModel], suffix: str, schemas: dict[str, Any]) -> str:
    """Adds the schema of the model, and those that it refers to; its name there."""
    schema = model.model_json_schema(ref_template=REFERENCE, mode="validation")
    schemas |= schema.pop("$defs", {})
    name = model.__name__.removesuffix("Input").removesuffix("Output") + suffix
    schemas[name] = schema | {"title": name, "x-fal-order-properties": list(schema["properties"])}
    return name

"""What an agent reads of a job, and who it is that asks."""

import json
from typing import Any

from mcp.server.context import ServerRequestContext

from api.context import RequestContext
from api.generations.schemas import JobView

SHOWN = {"id", "status", "stage", "progress", "progress_message", "model", "result_url", "files", "flagged"}
SHOWN |= {"error_code", "error_message", "error_advice", "estimated_cost_cents", "credits_deducted"}
SHOWN |= {"created_at", "completed_at"}
"""Of a job: an agent pays for every word."""


def request_context_of(context: ServerRequestContext[Any, Any]) -> RequestContext:
    found = context.request and context.request.state.context
    assert isinstance(found, RequestContext)
    return found


def shown(job: JobView) -> dict[str, Any]:
    found: dict[str, Any] = job.model_dump(mode="json", by_alias=True, include=SHOWN)
    if job.result_data and "text" in job.result_data:
        found["text"] = job.result_data["text"]
    return found


def shown_as_text(job: dict[str, Any]) -> str:
    return json.dumps(job, indent=2, ensure_ascii=False)

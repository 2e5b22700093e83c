"""Event streams as clients see them, and what opens one."""

from typing import Any

from api.generations.schemas import JobView, ProgressView
from api.http.problems import SCHEMAS
from api.http.wire import Wire


def event(name: str, data: type[Wire], description: str, **more: Any) -> dict[str, Any]:
    """One kind of event, as OpenAPI describes the items of a stream."""
    return {
        "type": "object",
        "description": description,
        "required": [*more, "event", "data"],
        "properties": {
            "event": {"const": name, "description": "The kind of event."},
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {"$ref": SCHEMAS + data.__name__},
                "description": f"A `{data.__name__}` as JSON.",
            },
            **more,
        },
    }


EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events, with a comment at least every 15 seconds. The data of `job.updated` is the "
        "whole job, a `JobView`, and its id grows; that of `job.progress` is a `ProgressView`, and it has no id.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "itemSchema": {
                    "oneOf": [
                        event(
                            "job.updated",
                            JobView,
                            "A job as it is, and after each change.",
                            id={"type": "string", "description": "Grows; what `Last-Event-ID` takes."},
                        ),
                        event("job.progress", ProgressView, "How far a job is, between its changes."),
                    ]
                },
            }
        },
    }
}


class EventToken(Wire):
    """A token that opens event streams, and nothing else."""

    token: str
    """The value of `token` in the address of an event stream."""
    expires_in_seconds: int
    """For how many seconds the token connects. A stream that is open stays open."""

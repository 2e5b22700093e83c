"""fal's platform API, as far as it tells what an account is billed: one event for each request that cost money."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from lab.simulator.answers import is_billed
from lab.simulator.fal import authorize
from lab.simulator.fal_catalogue import ENDPOINTS, MODELS
from lab.simulator.refusals import Refused
from lab.simulator.requests import Provider, SimulatedRequest
from lab.simulator.simulator import Running

LONGEST_SPAN = timedelta(days=90)
DEFAULT_SPAN = timedelta(hours=24)
MOST_IDS = 50
INVALID = {"error": {"type": "validation_error", "message": "Invalid request parameters"}}

router = APIRouter(prefix="/v1/models", dependencies=[Depends(authorize)])


@router.get("/billing-events")
async def billing_events(
    simulator: Running,
    start: datetime | None = None,
    end: datetime | None = None,
    endpoint_id: Annotated[list[str] | None, Query()] = None,
    request_id: Annotated[list[str] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """One page of what was billed from `start` until before `end`, the oldest first."""
    now = simulator.clock.now()
    until = end or now
    since = start or until - DEFAULT_SPAN
    if until - since > LONGEST_SPAN or any(len(ids or ()) > MOST_IDS for ids in (endpoint_id, request_id)):
        raise Refused(400, INVALID)
    billed = [
        request
        for request in simulator.queue.requests_of(Provider.FAL)
        if since <= request.ends_at < until
        and (endpoint_id is None or request.endpoint in endpoint_id)
        and (request_id is None or request.id in request_id)
        and is_billed(request, now)
    ]
    billed.sort(key=lambda request: request.ends_at)
    first = int(urlsafe_b64decode(cursor)) if cursor else 0
    rest = len(billed) > first + limit
    return {
        "billing_events": [_event(request) for request in billed[first : first + limit]],
        "next_cursor": urlsafe_b64encode(str(first + limit).encode()).decode() if rest else None,
        "has_more": rest,
    }


def _event(request: SimulatedRequest) -> dict[str, Any]:
    """Whatever units the answer's header names, these are counted from the input."""
    units = MODELS[request.endpoint].model_validate(request.input).billable_units
    unit_price = ENDPOINTS[request.endpoint].unit_price
    nano_usd = round(units * unit_price * 1e9)
    return {
        "request_id": request.id,
        "endpoint_id": request.endpoint,
        "timestamp": request.ends_at.isoformat(),
        "output_units": units,
        "unit_price": unit_price,
        "percent_discount": 0,
        "cost_subtotal": nano_usd / 1e9,
        "cost_discount": 0,
        "cost_total": nano_usd / 1e9,
        "cost_estimate_nano_usd": nano_usd,
    }

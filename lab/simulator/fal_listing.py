"""fal's platform API, as far as it lists the requests of an account and deletes what is stored of them.

As cautious as its documentation: ended requests alone, latest end first, and an input only where it was stored. The
address that a webhook goes to is not shown.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from lab.simulator.answers import answer_of
from lab.simulator.fal import authorize
from lab.simulator.faults import Fault
from lab.simulator.refusals import Refused
from lab.simulator.requests import Provider, SimulatedRequest
from lab.simulator.simulator import Running, Simulator

DEFAULT_RANGE = timedelta(hours=24)

router = APIRouter(prefix="/v1/models/requests", dependencies=[Depends(authorize)])


@router.get("/by-endpoint")
async def requests_by_endpoint(
    simulator: Running,
    endpoint_id: str,
    start: datetime | None = None,
    expand: str = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """One page of the requests that ended since `start`."""
    now = simulator.clock.now()
    since = start or now - DEFAULT_RANGE
    ended = [
        request
        for request in simulator.queue.requests_of(Provider.FAL)
        if request.endpoint == endpoint_id and request.ends_at >= since and _is_listed(request, now)
    ]
    ended.sort(key=lambda request: request.ends_at, reverse=True)
    first = int(urlsafe_b64decode(cursor)) if cursor else 0
    rest = len(ended) > first + limit
    return {
        "items": [_item(simulator, request, payloads=expand == "payloads") for request in ended[first : first + limit]],
        "next_cursor": urlsafe_b64encode(str(first + limit).encode()).decode() if rest else None,
        "has_more": rest,
    }


@router.delete("/{request_id}/payloads")
async def delete_payloads(simulator: Running, request_id: str) -> dict[str, Any]:
    """What is stored of an ended request's input and output."""
    request = simulator.queue.find(Provider.FAL, request_id)
    if request is None or request.ends_at > simulator.clock.now():
        raise Refused(404, {"detail": "Request not found"})
    request.payloads_deleted = True
    simulator.queue.save(request)
    return {"request_id": request_id, "deleted": True}


def _is_listed(request: SimulatedRequest, now: datetime) -> bool:
    delay = request.faults.delays.get(Fault.LISTING_LATE, timedelta(0))
    return Fault.LISTING_LOST not in request.faults and now >= request.ends_at + delay


def _item(simulator: Simulator, request: SimulatedRequest, *, payloads: bool) -> dict[str, Any]:
    answer = answer_of(request, request.ends_at, simulator.samples)
    item = {
        "request_id": request.id,
        "endpoint_id": request.endpoint,
        "sent_at": request.accepted_at.isoformat(),
        "started_at": request.starts_at.isoformat(),
        "ended_at": request.ends_at.isoformat(),
        "status_code": answer.status_code,
        "duration": request.inference_time,
    }
    if payloads and not request.payloads_deleted and Fault.LISTING_NO_INPUT not in request.faults:
        item |= {"json_input": request.input, "json_output": answer.body}
    return item

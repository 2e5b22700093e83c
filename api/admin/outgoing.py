"""Operators see which users' backends do not take what they are sent, and how much waits."""

from datetime import datetime
from http import HTTPStatus
from typing import Self
from uuid import UUID

from fastapi import APIRouter

from api.http.problems import problems
from api.http.wire import Wire
from api.identity.dependencies import AdminCaller
from api.services import ServicesDep
from reelay.db.outgoing import FailingEndpoint, OutgoingState, failing_endpoints, outgoing_state
from reelay.domain.outgoing import DisabledReason, EndpointStatus

SHOWN = 100

router = APIRouter(prefix="/api/admin", tags=["operators"], responses=problems(HTTPStatus.FORBIDDEN))


class FailingEndpointView(Wire):
    """An endpoint that fails, or was disabled for it."""

    id: UUID
    """The endpoint's id."""
    user: str
    """The name of its user."""
    url: str
    """Its address."""
    status: EndpointStatus
    """Whether it is still sent anything."""
    disabled_reason: DisabledReason | None
    """Why it is disabled."""
    disabled_at: datetime | None
    """Since when it is disabled."""
    failing_since: datetime | None
    """Since when every attempt has failed."""
    pending: int
    """How many deliveries wait for it."""

    @classmethod
    def from_found(cls, found: FailingEndpoint) -> Self:
        endpoint = found.endpoint
        return cls(
            id=endpoint.id,
            user=found.user_name,
            url=endpoint.url,
            status=endpoint.status,
            disabled_reason=endpoint.disabled_reason,
            disabled_at=endpoint.disabled_at,
            failing_since=endpoint.failing_since,
            pending=found.pending,
        )


class OutgoingView(Wire):
    """How outgoing webhooks are doing."""

    waiting: int
    """Deliveries that are due or will be; not those that wait until their endpoint is enabled."""
    oldest_due_seconds: float
    """How long the oldest of them is due: seconds, unless nobody sends them or its endpoint is slow."""
    failing: int
    """Endpoints whose last attempt failed."""
    disabled: int
    """Endpoints that were disabled because they failed for five days, never answered a test, or were gone."""
    data: list[FailingEndpointView]
    """Of both kinds at most 100, those that have failed for the longest time first."""

    @classmethod
    def of(cls, state: OutgoingState, found: list[FailingEndpoint]) -> Self:
        return cls(
            waiting=state.waiting,
            oldest_due_seconds=state.oldest_due_seconds,
            failing=state.failing,
            disabled=state.disabled,
            data=[FailingEndpointView.from_found(each) for each in found],
        )


@router.get("/webhook-endpoints")
async def list_failing_webhook_endpoints(admin: AdminCaller, services: ServicesDep) -> OutgoingView:
    """Outgoing webhooks: how many wait and for how long, and the endpoints of all users that fail."""
    async with services.service_sessions() as session:
        return OutgoingView.of(await outgoing_state(session), await failing_endpoints(session, limit=SHOWN))

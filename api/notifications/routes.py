"""Webhook endpoints, their deliveries, and the event log."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Path, Query, status
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from api.context import Context, RequestContext
from api.http.pagination import Cursor, PageSize, read_cursor, split_page
from api.http.problems import Conflict, InvalidParams, NotFound, problems
from api.notifications.addresses import check_webhook_url
from api.notifications.payloads import data_of_events
from api.notifications.schemas import (
    EndpointChange,
    EndpointList,
    EndpointRequest,
    EndpointView,
    EventLog,
    LoggedEvent,
    NewEndpointView,
    OutgoingDeliveryList,
    OutgoingDeliveryView,
    Redelivered,
    RedeliveryRequest,
    SigningSecret,
    WantedStatus,
)
from reelay.db.outgoing import (
    SECRET_OVERLAP,
    disable_endpoint,
    enable_endpoint,
    endpoints_of,
    event_log,
    find_endpoint,
    insert_endpoint,
    newest_of_endpoint,
    redeliver,
    redeliver_since,
    remove_endpoint,
    test_endpoint,
)
from reelay.db.tables import WebhookEndpoint
from reelay.domain.messages import Sentence
from reelay.domain.outgoing import DeliveryState, DisabledReason, EndpointStatus, EventType
from reelay.outgoing.secrets import EndpointSecrets, new_secret

REDELIVERED_AT_ONCE = 1000
LARGEST_SEQUENCE = 2**63 - 1

router = APIRouter(prefix="/api", tags=["notifications"])

EndpointId = Annotated[UUID, Path(description="The endpoint's id.")]
NOT_FOUND: dict[int | str, dict[str, Any]] = problems(HTTPStatus.NOT_FOUND)


@router.post("/webhook-endpoints", status_code=status.HTTP_201_CREATED, responses=problems(HTTPStatus.CONFLICT))
async def create_webhook_endpoint(body: EndpointRequest, context: Context) -> NewEndpointView:
    """Create an endpoint. It is sent a `webhook.test` at once; events wait until it has answered one with 2xx."""
    settings = context.services.settings
    check_webhook_url(settings, body.url, field="url")
    secret, endpoint_id = new_secret(), uuid4()
    endpoint = WebhookEndpoint(
        id=endpoint_id,
        user_id=context.caller.user_id,
        url=body.url,
        events=body.events,
        description=body.description,
        secret=_secrets(context).encrypt(secret, endpoint_id),
    )
    async with context.transaction() as session:
        await context.services.limits.admit_webhook_test(session, context.caller.user_id)
        if not await insert_endpoint(session, endpoint, at_most=settings.webhook_endpoints_per_user):
            raise Conflict(Sentence("too_many_webhook_endpoints", most=settings.webhook_endpoints_per_user))
        await test_endpoint(session, endpoint.id)
    return NewEndpointView.with_secret(endpoint, secret)


@router.get("/webhook-endpoints")
async def list_webhook_endpoints(context: Context) -> EndpointList:
    """Your endpoints."""
    async with context.transaction() as session:
        found = await endpoints_of(session, context.caller.user_id)
    return EndpointList(data=[EndpointView.from_row(row) for row in found])


# Before the next one, whose path would take its last word for an id.
@router.get("/webhook-endpoints/signing-secret")
async def read_signing_secret(context: Context) -> SigningSecret:
    """What events to your jobs' and batches' `webhookUrl`s are signed with. Endpoints have secrets of their own."""
    return SigningSecret(secret=_secrets(context).for_job_addresses(context.caller.user_id))


@router.get("/webhook-endpoints/{endpoint_id}", responses=NOT_FOUND)
async def read_webhook_endpoint(endpoint_id: EndpointId, context: Context) -> EndpointView:
    """One endpoint."""
    async with context.transaction() as session:
        return EndpointView.from_row(await _find(session, context, endpoint_id))


@router.patch("/webhook-endpoints/{endpoint_id}", responses=NOT_FOUND)
async def change_webhook_endpoint(endpoint_id: EndpointId, body: EndpointChange, context: Context) -> EndpointView:
    """Enable or disable an endpoint, or change where and of what it is told."""
    if "url" in body.model_fields_set:
        check_webhook_url(context.services.settings, body.url, field="url")
    async with context.transaction() as session:
        endpoint = await _find(session, context, endpoint_id, lock=True)
        for name in body.model_fields_set & {"events", "description"}:
            setattr(endpoint, name, getattr(body, name))
        has_moved = "url" in body.model_fields_set and body.url != endpoint.url
        if has_moved:
            endpoint.url, endpoint.verified_at = body.url, None
        await session.flush()
        is_disabled = endpoint.status == EndpointStatus.DISABLED
        if body.status is WantedStatus.DISABLED:
            await disable_endpoint(session, endpoint.id, DisabledReason.REQUESTED)
        elif body.status is WantedStatus.ENABLED or (has_moved and not is_disabled):
            if endpoint.verified_at is None:
                await context.services.limits.admit_webhook_test(session, context.caller.user_id)
            await enable_endpoint(session, endpoint)
        await session.refresh(endpoint)
    return EndpointView.from_row(endpoint)


@router.delete("/webhook-endpoints/{endpoint_id}", status_code=status.HTTP_204_NO_CONTENT, responses=NOT_FOUND)
async def delete_webhook_endpoint(endpoint_id: EndpointId, context: Context) -> None:
    """Delete an endpoint with its deliveries. What it has not been told is in the event log."""
    async with context.transaction() as session:
        if not await remove_endpoint(session, context.caller.user_id, endpoint_id):
            raise NotFound


@router.post("/webhook-endpoints/{endpoint_id}/rotate-secret", responses=NOT_FOUND)
async def rotate_webhook_secret(endpoint_id: EndpointId, context: Context) -> NewEndpointView:
    """Make a new secret. For 24 hours events carry signatures by both."""
    secret = new_secret()
    async with context.transaction() as session:
        endpoint = await _find(session, context, endpoint_id, lock=True)
        endpoint.previous_secret, endpoint.secret = endpoint.secret, _secrets(context).encrypt(secret, endpoint.id)
        endpoint.previous_secret_until = func.now() + SECRET_OVERLAP  # type: ignore[assignment]  # the database's clock
        await session.flush()
        await session.refresh(endpoint)
    return NewEndpointView.with_secret(endpoint, secret)


@router.post("/webhook-endpoints/{endpoint_id}/test", status_code=status.HTTP_202_ACCEPTED, responses=NOT_FOUND)
async def test_webhook_endpoint(endpoint_id: EndpointId, context: Context) -> EndpointView:
    """Send the endpoint a `webhook.test`, also while it is disabled. What comes of it is among its deliveries."""
    async with context.transaction() as session:
        endpoint = await _find(session, context, endpoint_id)
        await context.services.limits.admit_webhook_test(session, context.caller.user_id)
        await test_endpoint(session, endpoint_id)
    return EndpointView.from_row(endpoint)


@router.get("/webhook-endpoints/{endpoint_id}/deliveries", responses=NOT_FOUND)
async def list_webhook_deliveries(
    endpoint_id: EndpointId,
    context: Context,
    state: Annotated[DeliveryState | None, Query(description="Only those in this state.")] = None,
    type: Annotated[EventType | None, Query(description="Only those of events of this type.")] = None,
    limit: PageSize = 20,
    after: Cursor = None,
) -> OutgoingDeliveryList:
    """What the endpoint was sent and is to be sent, newest first, with what came of each attempt. Kept for 30 days."""
    async with context.transaction() as session:
        await _find(session, context, endpoint_id)
        found = await newest_of_endpoint(
            session,
            context.caller.user_id,
            endpoint_id,
            limit=limit + 1,
            state=state,
            type=type,
            before=read_cursor(after),
        )
    page, next_cursor = split_page(found, limit, lambda line: (line.delivery.created_at, line.delivery.id))
    data = [OutgoingDeliveryView.from_line(line) for line in page]
    return OutgoingDeliveryList(data=data, has_more=next_cursor is not None, next_cursor=next_cursor)


@router.post(
    "/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}/redeliver",
    status_code=status.HTTP_202_ACCEPTED,
    responses=NOT_FOUND,
)
async def redeliver_webhook(
    endpoint_id: EndpointId, delivery_id: Annotated[UUID, Path(description="The delivery's id.")], context: Context
) -> OutgoingDeliveryView:
    """Send a delivery again, under the same `webhook-id`."""
    async with context.transaction() as session:
        endpoint = await _find(session, context, endpoint_id, lock=True)
        await context.services.limits.admit_webhook_test(session, context.caller.user_id)
        line = await redeliver(session, endpoint, delivery_id)
        if line is None:
            raise NotFound
    return OutgoingDeliveryView.from_line(line)


@router.post("/webhook-endpoints/{endpoint_id}/redeliver", status_code=status.HTTP_202_ACCEPTED, responses=NOT_FOUND)
async def redeliver_webhooks(endpoint_id: EndpointId, body: RedeliveryRequest, context: Context) -> Redelivered:
    """Send all events since a moment again, under the same ids: also those of a time when the endpoint was disabled."""
    async with context.transaction() as session:
        endpoint = await _find(session, context, endpoint_id, lock=True)
        await context.services.limits.admit_webhook_redelivery(session, context.caller.user_id)
        count = await redeliver_since(session, endpoint, body.since, at_most=REDELIVERED_AT_ONCE)
    return Redelivered(count=count)


@router.get("/event-log")
async def read_event_log(
    context: Context,
    after: Annotated[
        str | None, Query(description="The `nextCursor` of the page before, or a `sequence`; omitted: from the first.")
    ] = None,
    limit: PageSize = 20,
) -> EventLog:
    """How your jobs, batches and pipelines ended, in order, for catching up: with an endpoint, or a `webhookUrl`.

    No event appears later below one that was shown. Kept for 30 days.
    """
    user_id, begin = context.caller.user_id, _sequence(after)
    async with context.transaction() as session:
        found = await event_log(session, user_id, after=begin, limit=limit + 1)
        page = found[:limit]
        data = await data_of_events(session, user_id, page, context.links, context.language)
    return EventLog(
        data=[LoggedEvent.from_row(event, data[event.id]) for event in page],
        has_more=len(found) > limit,
        next_cursor=str(page[-1].sequence) if page else after or None,
    )


def _sequence(after: str | None) -> int:
    """Raises: InvalidParams."""
    if not after:
        return 0
    if not (after.isascii() and after.isdigit() and len(after) < 20 and int(after) <= LARGEST_SEQUENCE):
        error = {"field": "after", "message": Sentence("field_cursor"), "limit": None, "value": after[:100]}
        raise InvalidParams(Sentence("cursor_invalid"), errors=[error])
    return int(after)


async def _find(
    session: AsyncSession, context: RequestContext, endpoint_id: UUID, *, lock: bool = False
) -> WebhookEndpoint:
    """Raises: NotFound, also for another user's."""
    endpoint = await find_endpoint(session, context.caller.user_id, endpoint_id, lock=lock)
    if endpoint is None:
        raise NotFound
    return endpoint


def _secrets(context: RequestContext) -> EndpointSecrets:
    return EndpointSecrets(context.services.settings.outgoing_webhook_secret.get_secret_value().encode())

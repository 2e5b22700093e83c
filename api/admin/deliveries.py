"""For operators: the delivery log, and replaying a stored delivery."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query

from api.http.pagination import Cursor, Page, PageSize, read_cursor, split_page
from api.http.problems import Conflict, NotFound, problems
from api.http.wire import Wire
from api.identity.dependencies import AdminCaller, require_admin
from api.services import ServicesDep
from reelay.db.audit_log import AuditAction, record_act
from reelay.db.deliveries import find_delivery, newest_deliveries
from reelay.db.generations import find_anybodys_generation
from reelay.db.tables import WebhookDelivery
from reelay.domain.generation import ProviderName
from reelay.domain.verdict import Verdict

SHOWN_BODY_BYTES = 4 * 1024


router = APIRouter(
    prefix="/api/admin",
    tags=["operators"],
    dependencies=[Depends(require_admin)],
    responses=problems(HTTPStatus.FORBIDDEN),
)


class DeliveryView(Wire):
    """One inbound webhook request. Its headers are kept without those that hold secrets."""

    id: UUID
    """The delivery's id."""
    provider: str
    """Whose webhook it is."""
    job_id: UUID | None
    """The job that it belongs to, where it is known."""
    attempt: int | None
    """Which submission of the job it belongs to."""
    request_id: str | None
    """The provider's id of the request; null unless the delivery was verified."""
    verdict: Verdict
    """What was made of it."""
    status_code: int
    """The HTTP status that answered it."""
    detail: str
    """Why, in English."""
    verified: bool
    """Whether it was proved to come from the provider."""
    headers: dict[str, Any]
    """Its headers, without secrets."""
    body: str
    """The first 4 KiB of its body."""
    body_bytes: int
    """The size of its body in bytes, of at most 256 KiB that are kept."""
    received_at: datetime
    """When it arrived."""
    took_ms: float
    """Milliseconds from its arrival to the verdict."""
    next_try_at: datetime | None
    """When it is offered to its workflow again; null when nothing is left to do."""
    handed_over_at: datetime | None
    """When its workflow took it out of the inbox."""

    @classmethod
    def from_row(cls, row: WebhookDelivery) -> Self:
        body = row.body[:SHOWN_BODY_BYTES].decode(errors="replace")
        columns = row.model_dump(exclude={"body", "provider"})
        return cls(**columns, provider=row.provider, body=body, body_bytes=len(row.body))


class DeliveryList(Page):
    """A page of the delivery log, newest first."""

    data: list[DeliveryView]
    """The deliveries."""


class Replayed(Wire):
    """The outcome of a replayed delivery."""

    id: UUID
    """The delivery's id."""
    job_id: UUID | None
    """The job that it belongs to."""
    verdict: Verdict
    """What was made of it this time."""
    detail: str
    """Why, in English."""


@router.get("/webhooks")
async def list_deliveries(
    services: ServicesDep,
    provider: Annotated[ProviderName | None, Query(description="Only this provider's.")] = None,
    verdict: Annotated[Verdict | None, Query(description="Only those with this verdict.")] = None,
    job_id: Annotated[UUID | None, Query(alias="jobId", description="Only those of this job.")] = None,
    limit: PageSize = 20,
    after: Cursor = None,
) -> DeliveryList:
    """The delivery log, newest first."""
    async with services.service_sessions() as session:
        found = await newest_deliveries(
            session,
            limit=limit + 1,
            provider=provider,
            verdict=verdict,
            job_id=job_id,
            before=read_cursor(after),
        )
    page, next_cursor = split_page(found, limit, lambda row: (row.received_at, row.id))
    data = [DeliveryView.from_row(row) for row in page]
    return DeliveryList(data=data, has_more=next_cursor is not None, next_cursor=next_cursor)


@router.post("/webhooks/{delivery_id}/replay", responses=problems(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT))
async def replay_delivery(
    delivery_id: Annotated[UUID, Path(description="The delivery's id.")], admin: AdminCaller, services: ServicesDep
) -> Replayed:
    """Process the delivery again as if it came now. It was verified when it came, so its age does not count."""
    async with services.service_sessions.begin() as session:
        delivery = await find_delivery(session, delivery_id)
        if delivery is None:
            raise NotFound("Delivery not found.")
        if not delivery.verified:
            raise Conflict("It was not verified, so it cannot be replayed.")
        job = await find_anybodys_generation(session, delivery.job_id) if delivery.job_id else None
        await record_act(
            session,
            admin.actor,
            AuditAction.DELIVERY_REPLAYED,
            str(delivery.id),
            user_id=job.user_id if job else None,
            details={"jobId": str(job.id)} if job else {},
        )
    result = await services.redelivery.replay(delivery)
    return Replayed(id=delivery.id, job_id=delivery.job_id, verdict=result.verdict, detail=result.detail)

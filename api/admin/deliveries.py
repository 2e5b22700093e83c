"""For operators: the delivery log, and replaying a stored delivery."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from api.http.pagination import Cursor, PageSize, read_cursor, split_page
from api.http.problems import Conflict, NotFound, problems
from api.http.wire import Wire
from api.identity.dependencies import require_admin
from api.services import ServicesDep
from reelay.db.deliveries import find_delivery, newest_deliveries
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
    """One inbound webhook request. Of its headers only those are kept that hold no secret."""

    id: UUID
    provider: str
    job_id: UUID | None
    attempt: int | None
    request_id: str | None
    verdict: Verdict
    status_code: int
    detail: str
    verified: bool
    headers: dict[str, Any]
    body: str
    body_bytes: int
    received_at: datetime
    took_ms: float
    next_try_at: datetime | None
    handed_over_at: datetime | None

    @classmethod
    def from_row(cls, row: WebhookDelivery) -> Self:
        body = row.body[:SHOWN_BODY_BYTES].decode(errors="replace")
        columns = row.model_dump(exclude={"body", "provider"})
        return cls(**columns, provider=row.provider, body=body, body_bytes=len(row.body))


class DeliveryList(Wire):
    data: list[DeliveryView]
    has_more: bool
    next_cursor: str | None


class Replayed(Wire):
    """The result of a replay."""

    id: UUID
    job_id: UUID | None
    verdict: Verdict
    detail: str


@router.get("/webhooks")
async def list_deliveries(
    services: ServicesDep,
    provider: ProviderName | None = None,
    verdict: Verdict | None = None,
    job_id: Annotated[UUID | None, Query(alias="jobId")] = None,
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
async def replay_delivery(delivery_id: UUID, services: ServicesDep) -> Replayed:
    """Process it as if it came now. It was verified when it came, so its age does not count."""
    async with services.service_sessions() as session:
        delivery = await find_delivery(session, delivery_id)
    if delivery is None:
        raise NotFound("Delivery not found.")
    if not delivery.verified:
        raise Conflict("It was not verified, so it cannot be replayed.")
    result = await services.redelivery.replay(delivery)
    return Replayed(id=delivery.id, job_id=delivery.job_id, verdict=result.verdict, detail=result.detail)

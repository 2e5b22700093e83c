"""For operators: the delivery log, and feeding a stored delivery in again."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from api.http.pagination import make_cursor, read_cursor
from api.http.problems import Conflict, NotFound, problems
from api.http.wire import Text, Wire
from api.identity.dependencies import require_admin
from api.services import ServicesDep
from reelay.db.deliveries import find_delivery, newest_deliveries
from reelay.db.tables import WebhookDelivery
from reelay.domain.generation import ProviderName

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
    verdict: str
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
    """What became of a delivery that was fed in again."""

    id: UUID
    job_id: UUID | None
    verdict: str
    detail: str


@router.get("/webhooks")
async def list_deliveries(
    services: ServicesDep,
    provider: ProviderName | None = None,
    verdict: Annotated[Text | None, Query(description="E.g. `accepted`, `forged`, `malformed`.")] = None,
    job_id: Annotated[UUID | None, Query(alias="jobId")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(description="`nextCursor` of the page before.")] = None,
) -> DeliveryList:
    """The delivery log, newest first."""
    async with services.service_sessions() as session:
        found = await newest_deliveries(
            session,
            limit=limit + 1,
            provider=provider,
            verdict=verdict,
            job_id=job_id,
            before=read_cursor(after) if after else None,
        )
    page, has_more = found[:limit], len(found) > limit
    cursor = make_cursor(page[-1].received_at, page[-1].id) if has_more else None
    return DeliveryList(data=[DeliveryView.from_row(row) for row in page], has_more=has_more, next_cursor=cursor)


@router.post("/webhooks/{delivery_id}/replay", responses=problems(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT))
async def replay_delivery(delivery_id: UUID, services: ServicesDep) -> Replayed:
    """Feed it in as if it came now. It was verified when it came, so its age does not count."""
    async with services.service_sessions() as session:
        delivery = await find_delivery(session, delivery_id)
    if delivery is None:
        raise NotFound("There is no such delivery.")
    if not delivery.verified:
        raise Conflict("It was not proved to come from the provider, so it is not fed in again.")
    verdict = await services.redelivery.replay(delivery)
    return Replayed(id=delivery.id, job_id=delivery.job_id, verdict=verdict.word, detail=verdict.detail)

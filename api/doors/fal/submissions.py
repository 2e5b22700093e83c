"""A submission by fal's protocol: its headers, its job, and who waits for the end."""

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, Query, Request

from api.catalog.endpoints import unknown_endpoint
from api.context import RequestContext
from api.doors.errors import named_as_sent
from api.doors.fal.ignored import ignored
from api.doors.fal.replays import Listener
from api.doors.fal.storage import with_references
from api.doors.headers import MOST_COST, most_cents, number_in
from api.generations.create import CreateOptions, JobSpec, as_published, create_job, find_model
from api.generations.schemas import CreateRequest
from api.http.idempotency import IdempotencyKey, fingerprint
from api.http.problems import errors_of_the_body
from reelay.catalog.model import Model
from reelay.db.tables import GenerationJob
from reelay.domain.generation import Priority, ProviderName
from reelay.domain.outgoing import WebhookFormat

LONGEST_START = timedelta(days=30)
LATEST_START = "x-fal-request-timeout"
"""The header with the seconds within which the provider has to take it."""
SENT_FOR = {"webhookUrl": "fal_webhook", "maxCostCents": MOST_COST, "maxWaitSeconds": LATEST_START}
"""What a caller sends, by the name of our field that is made of it."""


@dataclass(frozen=True)
class Wishes:
    """What the headers of a submission ask for."""

    request: CreateRequest
    idempotency_key: str | None
    headers: dict[str, str]
    """Of the answer."""


async def _wishes(request: Request, key: IdempotencyKey, fal_webhook: Annotated[str | None, Query()] = None) -> Wishes:
    """Raises: InvalidParams."""
    headers = request.headers
    seconds = number_in(headers, LATEST_START, at_most=LONGEST_START.total_seconds())
    cents = most_cents(headers)
    with named_as_sent({"webhook_url": "fal_webhook"}), errors_of_the_body():
        asked = CreateRequest(
            priority=Priority.LOW if headers.get("x-fal-queue-priority") == "low" else Priority.NORMAL,
            max_wait_seconds=None if seconds is None else max(1, math.ceil(seconds)),
            max_cost_cents=cents,
            confirm=cents is not None,
            webhook_url=fal_webhook,
        )
    return Wishes(asked, key, ignored(headers))


WishesDep = Annotated[Wishes, Depends(_wishes)]


@asynccontextmanager
async def submitted(
    request: Request, context: RequestContext, endpoint: str, inputs: Mapping[str, Any], wishes: Wishes
) -> AsyncIterator[tuple[GenerationJob, Listener]]:
    """The job of the submission, the same for its repetitions. While the block runs, its client is listened to.

    Raises what `create_job` does; InvalidParams for an endpoint that is none of fal's; ClientGone.
    """
    inputs = with_references(context, inputs)
    model = await _model_of(context, endpoint, inputs)
    route, spec = (
        request.scope["route"].path,
        JobSpec(model=model, inputs=inputs, request=wishes.request, webhook_format=WebhookFormat.FAL),
    )
    if wishes.idempotency_key:
        yield await _created(context, CreateOptions(wishes.idempotency_key, 0, route), spec), Listener()
        return
    alike = fingerprint([context.caller.holder.key_hash.hex(), endpoint, inputs, wishes.request.webhook_url])
    replays = context.services.fal_door.replays
    async with replays.job_for_listener(request, context.user_id, alike) as (job_id, listener):
        yield await _created(context, CreateOptions(None, 0, route, job_id), spec), listener


async def _created(context: RequestContext, options: CreateOptions, spec: JobSpec) -> GenerationJob:
    """Raises what `create_job` does."""
    with named_as_sent(SENT_FOR):
        return (await create_job(context, options, spec)).job


async def _model_of(context: RequestContext, endpoint: str, inputs: Mapping[str, Any]) -> Model:
    model = await find_model(context.services, endpoint, inputs)
    if model.provider is not ProviderName.FAL or model.endpoint != endpoint:
        raise unknown_endpoint(endpoint)
    return await as_published(context.services, model, inputs)

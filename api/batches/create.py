"""Creating many jobs by one request: validated and priced together, written in one transaction, or not at all."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api.batches.schemas import BatchRequest
from api.context import RequestContext
from api.generations import create
from api.generations.create import JobSpec
from api.generations.references import settle_references
from api.http.dry_run import DryRun
from api.http.idempotency import ensure_same_request, fingerprint, id_for
from api.http.problems import Conflict, InvalidParams
from api.notifications.addresses import check_webhook_url
from reelay.db.batches import insert_batch, jobs_of_batch
from reelay.db.generations import insert_generation
from reelay.db.tables import Batch, GenerationJob
from reelay.domain.messages import Sentence

STARTS_AT_ONCE = 20


async def price_batch(context: RequestContext, request: BatchRequest) -> tuple[Batch, Sequence[GenerationJob]]:
    """What `create_batch` would make; nothing is. Raises what that does."""
    batch, new = await new_batch(context, None, request)
    stored_bytes = await context.services.limits.stored_bytes(context.user_id)
    with suppress(DryRun):
        async with context.transaction() as session:
            stored, _ = await insert_batch(session, batch)
            context.services.limits.admit_storage(stored_bytes)
            await write_down(context, session, stored, new)
            raise DryRun
    return batch, [job for job, _ in new]


async def create_batch(
    context: RequestContext, key: str | None, request: BatchRequest
) -> tuple[Batch, Sequence[GenerationJob], bool]:
    """The batch, its jobs, and whether it is new.

    Raises: InvalidParams with everything that is wrong with any job, PriceUnknown, ConfirmationRequired,
    InsufficientCredits, KeyBudgetSpent, KeyReused, Conflict, RateLimited.
    """
    user_id, limits = context.user_id, context.services.limits
    batch, new = await new_batch(context, key, request)
    stored_bytes = await limits.stored_bytes(user_id)
    async with context.transaction() as session:
        stored, is_new = await insert_batch(session, batch)
        stored = ensure_same_request(stored, batch)
        if is_new:
            limits.admit_storage(stored_bytes)
            await write_down(context, session, stored, new)
        written = await jobs_of_batch(session, user_id, stored.id)
    return stored, written, is_new


async def new_batch(
    context: RequestContext, key: str | None, request: BatchRequest
) -> tuple[Batch, list[tuple[GenerationJob, JobSpec]]]:
    """Raises: InvalidParams with what is wrong with it or any of its jobs, ConfirmationRequired."""
    if request.webhook_url is not None:
        check_webhook_url(context.services.settings, request.webhook_url, field="webhookUrl")
    new = await new_jobs(context, key, request)
    batch = Batch(
        id=id_for(key),
        user_id=context.user_id,
        estimated_cost_cents=sum(job.estimated_cost_cents for job, _ in new),
        metadata_=request.metadata,
        webhook_url=request.webhook_url,
        request_fingerprint=fingerprint(request.model_dump(mode="json")) if key else None,
    )
    return batch, new


async def new_jobs(
    context: RequestContext, key: str | None, request: BatchRequest
) -> list[tuple[GenerationJob, JobSpec]]:
    """Raises: InvalidParams with what is wrong with any of them, ConfirmationRequired."""
    new: list[tuple[GenerationJob, JobSpec]] = []
    errors: list[dict[str, Any]] = []
    for position, body in enumerate(request.jobs):
        inputs = body.inputs()
        try:
            model = await create.resolve_model(context.services, None, body.model_name, inputs)
            spec = await create.with_fallbacks(context.services, JobSpec(model=model, inputs=inputs, request=body))
            job = create.new_job(context, key and f"{key}:{position}", spec)
        except InvalidParams as invalid:
            errors += in_job(position, invalid.errors)
        else:
            new.append((job, spec))
    if errors:
        raise InvalidParams(Sentence("input_invalid"), errors=errors)
    return new


async def write_down(
    context: RequestContext, session: AsyncSession, batch: Batch, new: Sequence[tuple[GenerationJob, JobSpec]]
) -> None:
    """Raises: InvalidParams, InsufficientCredits, KeyBudgetSpent, Conflict, RateLimited."""
    errors: list[dict[str, Any]] = []
    unfinished: list[str] = []
    for position, (job, spec) in enumerate(new):
        job.batch_id, job.batch_position = batch.id, position
        references = await settle_references(session, context, spec.models, job)
        unfinished += references.unfinished
        if not await insert_generation(session, job):
            error = {"field": "externalId", "message": Sentence("external_id_taken"), "limit": None}
            errors += in_job(position, [{**error, "value": job.external_id}])
            continue
        errors += in_job(position, await create.validate_ownership(session, job.user_id, spec.request))
        errors += in_job(position, references.errors)
        errors += in_job(position, await create.validate_priority(session, spec.request))
    if errors:
        raise InvalidParams(Sentence("input_invalid"), errors=errors)
    if unfinished:
        raise Conflict(Sentence("input_unfinished", references=", ".join(dict.fromkeys(unfinished))))
    await create.admit_and_hold(session, context, [job for job, _ in new])


def in_job(position: int, errors: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for error in errors:
        yield {**error, "field": f"jobs.{position}.{error['field']}"}


async def start_all(context: RequestContext, jobs: Sequence[GenerationJob]) -> None:
    """Their rows are committed: what this does not start, the sweeper does."""
    turn = asyncio.Semaphore(STARTS_AT_ONCE)

    async def start(job: GenerationJob) -> None:
        async with turn:
            await create.start_or_leave_to_sweeper(context.services, job)

    await asyncio.gather(*map(start, jobs))

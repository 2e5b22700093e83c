"""The calls that create batches, read them, cancel them and list what they made."""

import csv
import io
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response, status
from fastapi.responses import JSONResponse

from api.batches.create import create_batch, price_batch, start_all
from api.batches.schemas import BatchCreatedView, BatchEstimate, BatchManifest, BatchRequest, BatchResult, BatchView
from api.context import Context, RequestContext
from api.generations.cancel import cancel_job
from api.http.idempotency import REPLAYED, IdempotencyKey
from api.http.openapi import with_headers
from api.http.problems import NotFound, problems
from reelay.db.batches import count_batch, files_of_batch, find_batch, jobs_of_batch
from reelay.domain.generation import Status

router = APIRouter(prefix="/api/batches", tags=["batches"])

CREATED: dict[int | str, dict[str, Any]] = {
    200: {"model": BatchEstimate, "description": "With `dryRun`: what it would cost."},
    202: with_headers("Location", "Idempotency-Replayed"),
    **problems(HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.CONFLICT),
}
RESULT_COLUMNS = ("job_id", "external_id", "model", "status", "error_code", "credits_deducted", "files")

BatchId = Annotated[UUID, Path(description="The batch's id.")]


@router.post("", status_code=status.HTTP_202_ACCEPTED, response_model=BatchCreatedView, responses=CREATED)
async def create(
    body: BatchRequest,
    context: Context,
    key: IdempotencyKey,
    response: Response,
    is_dry_run: Annotated[
        bool, Query(alias="dryRun", description="Whether to tell what it would cost, and create nothing.")
    ] = False,
) -> BatchCreatedView | Response:
    """Create up to 1,000 jobs together: when one is wrong, or credits do not suffice for all, none is created."""
    if is_dry_run:
        estimate = BatchEstimate.from_row(*await price_batch(context, body))
        return JSONResponse(estimate.model_dump(mode="json", by_alias=True))
    batch, jobs, is_new = await create_batch(context, key, body)
    await start_all(context, jobs)
    view = BatchCreatedView.from_rows(batch, jobs, context.links)
    response.headers.update({"location": view.status_url, **({} if is_new else REPLAYED)})
    return view


@router.get("/{batch_id}")
async def read(batch_id: BatchId, context: Context) -> BatchView:
    """The batch now: how many of its jobs have which status, what they cost, and when the last is expected to end."""
    return await view_batch(context, batch_id)


@router.post("/{batch_id}/cancel", status_code=status.HTTP_202_ACCEPTED)
async def cancel(batch_id: BatchId, context: Context) -> BatchView:
    """Cancel all of its jobs that have not ended. Those that were not submitted are not bought."""
    async with context.transaction() as session:
        jobs = await jobs_of_batch(session, context.user_id, batch_id)
    # Those that wait first, so that none of them takes the place of one that ends.
    for job in sorted(jobs, key=lambda job: job.attempts > 0):
        if not Status(job.status).is_final:
            await cancel_job(context, job.id)
    return await view_batch(context, batch_id)


@router.get("/{batch_id}/results")
async def list_results(batch_id: BatchId, context: Context) -> BatchManifest:
    """What its jobs have made so far, with links."""
    return BatchManifest(data=await results(context, batch_id))


@router.get(
    "/{batch_id}/results.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def list_results_as_csv(batch_id: BatchId, context: Context) -> Response:
    """The same as a table."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(RESULT_COLUMNS)
    for result in await results(context, batch_id):
        row = result.model_dump(mode="json") | {"files": " ".join(result.files)}
        writer.writerow([row[column] for column in RESULT_COLUMNS])
    headers = {"content-disposition": f'attachment; filename="batch-{batch_id}.csv"', "cache-control": "no-store"}
    return Response(table.getvalue(), media_type="text/csv", headers=headers)


async def view_batch(context: RequestContext, batch_id: UUID) -> BatchView:
    """Raises: NotFound."""
    user_id = context.user_id
    async with context.transaction() as session:
        batch = await find_batch(session, user_id, batch_id)
        if batch is None:
            raise NotFound
        counts = await count_batch(session, user_id, batch_id)
        jobs = await jobs_of_batch(session, user_id, batch_id)
    forecasts = [await context.services.forecasts.of(job) for job in jobs if not Status(job.status).is_final]
    ends = [forecast.completes_at for forecast in forecasts]
    known = [end for end in ends if end is not None]
    return BatchView.from_row(batch, counts, max(known) if known and len(known) == len(ends) else None)


async def results(context: RequestContext, batch_id: UUID) -> list[BatchResult]:
    """Raises: NotFound."""
    user_id = context.user_id
    async with context.transaction() as session:
        if await find_batch(session, user_id, batch_id) is None:
            raise NotFound
        jobs = await jobs_of_batch(session, user_id, batch_id)
        files = await files_of_batch(session, user_id, batch_id)
    return [BatchResult.from_row(job, [file for file in files if file.job_id == job.id], context.links) for job in jobs]

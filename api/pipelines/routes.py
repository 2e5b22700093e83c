"""The calls that create pipelines, read them, decide about their steps, and go on with them."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response, status
from pydantic import TypeAdapter

from api.batches.create import STARTS_AT_ONCE
from api.context import Context, RequestContext
from api.events.access import EventReaderDep
from api.events.stream import EventResponse
from api.http.idempotency import REPLAYED, IdempotencyKey
from api.http.language import RequestLanguage
from api.http.links import Links
from api.http.openapi import with_headers
from api.http.pagination import Cursor, PageSize, read_cursor, split_page
from api.http.problems import Conflict, InvalidParams, NotFound, errors_of_the_body, field_error, problems
from api.http.wire import Wire
from api.pipelines.create import PlannedPipeline, create_pipeline, hold_within_budget, write_plan
from api.pipelines.events import PipelineStream
from api.pipelines.read import pipeline_view
from api.pipelines.schemas import (
    DecisionRequest,
    GenerationStep,
    PipelineCreatedView,
    PipelineList,
    PipelineRequest,
    PipelineView,
    PlannedStepView,
    PlanView,
    RerunRequest,
    Steps,
)
from api.pipelines.start import start_or_leave_to_sweeper
from api.pipelines.views import pipeline_views
from api.services import OriginDep, ServicesDep
from reelay.db.engine import as_user
from reelay.db.pipelines import find_pipeline, newest_pipelines, plan_of, steps_of
from reelay.db.tables import PipelineRow
from reelay.domain.messages import Sentence
from reelay.domain.pipeline import Decision, PipelineStatus, StepStatus
from workflows.runs import NoRun

router = APIRouter(prefix="/api/pipelines", tags=["pipelines"])

CREATED: dict[int | str, dict[str, Any]] = {
    200: {"model": PlanView, "description": "With `dryRun`: what it would do and cost."},
    202: with_headers("Location", "Idempotency-Replayed"),
    **problems(HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.CONFLICT),
}
STEPS = TypeAdapter(Steps)
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`pipeline.updated` events, each with the whole pipeline as data.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}

PipelineId = Annotated[UUID, Path(description="The pipeline's id.")]
OfCampaign = Annotated[UUID | None, Query(alias="campaignId", description="Only those of clips of that campaign.")]
IsDryRun = Annotated[
    bool, Query(alias="dryRun", description="Whether to tell what it would do and cost, and create nothing.")
]


@router.post("", status_code=status.HTTP_202_ACCEPTED, responses=CREATED, response_model=PipelineCreatedView)
async def create_plan(
    body: PipelineRequest, context: Context, key: IdempotencyKey, response: Response, is_dry_run: IsDryRun = False
) -> PipelineCreatedView | Response:
    """Create a pipeline: all of its steps are validated, priced and held for together, or nothing is created."""
    planned = await create_pipeline(context, key, body, is_dry_run=is_dry_run)
    return plan_answer(plan_view(planned)) if is_dry_run else await started(context, planned, response)


@router.get("")
async def list_pipelines(
    context: Context, limit: PageSize = 20, after: Cursor = None, campaign_id: OfCampaign = None
) -> PipelineList:
    """The caller's pipelines, newest first."""
    async with context.transaction() as session:
        found = await newest_pipelines(
            session, context.user_id, limit=limit + 1, before=read_cursor(after), campaign_id=campaign_id
        )
        page, next_cursor = split_page(found, limit, lambda row: (row.created_at, row.id))
        views = await pipeline_views(session, context.user_id, page, context.links, context.language)
    return PipelineList(data=views, has_more=next_cursor is not None, next_cursor=next_cursor)


@router.get("/{pipeline_id}")
async def read_pipeline(pipeline_id: PipelineId, context: Context) -> PipelineView:
    """The pipeline now, with its steps, their files and what they cost."""
    return await pipeline_view(context, pipeline_id)


@router.get("/{pipeline_id}/events", response_class=EventResponse, status_code=200, responses=EVENTS)
async def stream_pipeline(
    pipeline_id: PipelineId,
    services: ServicesDep,
    reader: EventReaderDep,
    origin: OriginDep,
    language: RequestLanguage,
) -> EventResponse:
    """Stream the pipeline: as it is now, then after every change of a step, until it has ended."""
    async with as_user(services.sessions, reader.user_id) as session:
        if await find_pipeline(session, reader.user_id, pipeline_id) is None:
            raise NotFound
    services.open_streams.admit(reader.user_id, reader.address)
    links = Links(origin, services.signing_secret, reader.holder)
    stream = PipelineStream(services, reader, pipeline_id, links, language)
    return EventResponse(stream.content(), counted=services.open_streams.counted(reader.user_id, reader.address))


@router.post("/{pipeline_id}/approve", status_code=status.HTTP_202_ACCEPTED, responses=problems(HTTPStatus.CONFLICT))
async def approve_step(pipeline_id: PipelineId, body: DecisionRequest, context: Context) -> PipelineView:
    """Approve the result of a step: what needs it begins."""
    return await decide(context, pipeline_id, body, is_approved=True)


@router.post("/{pipeline_id}/reject", status_code=status.HTTP_202_ACCEPTED, responses=problems(HTTPStatus.CONFLICT))
async def reject_step(pipeline_id: PipelineId, body: DecisionRequest, context: Context) -> PipelineView:
    """Reject the result of a step: what needs it is skipped, and what was held for that is released."""
    return await decide(context, pipeline_id, body, is_approved=False)


@router.post("/{pipeline_id}/cancel", status_code=status.HTTP_202_ACCEPTED)
async def cancel_pipeline(pipeline_id: PipelineId, context: Context) -> PipelineView:
    """Cancel what runs, here and at the providers, and skip what has not begun. Results stay."""
    row = await find(context, pipeline_id)
    if row.status == PipelineStatus.RUNNING:
        await start(context, row)
        with suppress(NoRun):  # it has ended meanwhile
            await context.services.pipeline_runs.cancel(pipeline_id)
    return await pipeline_view(context, pipeline_id)


@router.post("/{pipeline_id}/retry", status_code=status.HTTP_202_ACCEPTED, responses=problems(HTTPStatus.CONFLICT))
async def retry_pipeline(pipeline_id: PipelineId, context: Context) -> PipelineView:
    """Go on with a pipeline that failed or was canceled: results stay, all other steps are made anew."""
    async with context.transaction() as session:
        row = await find_pipeline(session, context.user_id, pipeline_id, lock=True)
        if row is None:
            raise NotFound
        if row.status not in (PipelineStatus.FAILED, PipelineStatus.CANCELED):
            raise Conflict(Sentence("pipeline_running", status=row.status))
        steps = (await steps_of(session, context.user_id, [pipeline_id]))[pipeline_id]
        kept = {step.row.id: step.row.job_id for step in steps if step.status.is_done}
        planned = await write_plan(context, session, row, STEPS.validate_python(row.steps), kept=kept)
        await hold_within_budget(context, session, [planned], row.budget_cents)
    await start(context, row)
    return await pipeline_view(context, pipeline_id)


@router.post(
    "/{pipeline_id}/rerun",
    status_code=status.HTTP_202_ACCEPTED,
    responses=CREATED,
    response_model=PipelineCreatedView,
)
async def rerun_pipeline(
    pipeline_id: PipelineId,
    body: RerunRequest,
    context: Context,
    key: IdempotencyKey,
    response: Response,
    is_dry_run: IsDryRun = False,
) -> PipelineCreatedView | Response:
    """Create a new pipeline with changes: it buys what they touch and what depends on that, and reuses the rest."""
    row = await find(context, pipeline_id)
    with errors_of_the_body():
        request = PipelineRequest(
            name=row.name,
            steps=changed_steps(row, body),
            budget_cents=row.budget_cents if body.budget_cents is None else body.budget_cents,
            approvals=row.approvals,
            clip_id=row.clip_id,
            webhook_url=row.webhook_url,
            reuse=True,
            metadata=row.metadata_,
        )
    planned = await create_pipeline(context, key, request, rerun_of=row.id, is_dry_run=is_dry_run)
    return plan_answer(plan_view(planned)) if is_dry_run else await started(context, planned, response)


async def find(context: RequestContext, pipeline_id: UUID) -> PipelineRow:
    """Raises: NotFound."""
    async with context.transaction() as session:
        row = await find_pipeline(session, context.user_id, pipeline_id)
    if row is None:
        raise NotFound
    return row


async def start(context: RequestContext, row: PipelineRow) -> None:
    async with context.transaction() as session:
        plan = await plan_of(session, row)
    await start_or_leave_to_sweeper(context.services.pipeline_runs, plan, row.name)


async def start_all(context: RequestContext, rows: Sequence[PipelineRow]) -> None:
    turn = asyncio.Semaphore(STARTS_AT_ONCE)

    async def start_in_turn(row: PipelineRow) -> None:
        async with turn:
            if row.status == PipelineStatus.RUNNING:
                await start(context, row)

    await asyncio.gather(*map(start_in_turn, rows))


async def started(context: RequestContext, planned: PlannedPipeline, response: Response) -> PipelineCreatedView:
    if planned.row.status == PipelineStatus.RUNNING:
        await start(context, planned.row)
    view = PipelineCreatedView.from_row(planned.row, context.links)
    response.headers.update({"location": view.status_url, **({} if planned.is_new else REPLAYED)})
    return view


def plan_view(planned: PlannedPipeline) -> PlanView:
    steps = {
        step.id: PlannedStepView(status=step.status, estimated_cost_cents=planned.cents.get(step.id, 0))
        for step in planned.steps
    }
    return PlanView(estimated_cost_cents=sum(planned.cents.values()), steps=steps)


def plan_answer(plan: Wire) -> Response:
    return Response(plan.model_dump_json(by_alias=True), media_type="application/json")


async def decide(
    context: RequestContext, pipeline_id: UUID, body: DecisionRequest, *, is_approved: bool
) -> PipelineView:
    """Twice the same is once. Raises: NotFound, Conflict, TemporalFailed."""
    async with context.transaction() as session:
        row = await find_pipeline(session, context.user_id, pipeline_id)
        steps = (await steps_of(session, context.user_id, [pipeline_id]))[pipeline_id]
    step = next((step for step in steps if step.row.id == body.step), None)
    if row is None:
        raise NotFound
    if step is None:
        error = field_error("step", Sentence("field_no_such_step"), body.step, [step.row.id for step in steps])
        raise InvalidParams(Sentence("request_invalid"), errors=[error])
    if step.row.id in row.approvals and step.is_approved is is_approved:
        return await pipeline_view(context, pipeline_id)
    if step.status is not StepStatus.WAITING_FOR_APPROVAL:
        raise Conflict(Sentence("step_not_waiting", status=step.status))
    await start(context, row)
    with suppress(NoRun):  # it has ended meanwhile
        decision = Decision(step=body.step, is_approved=is_approved, note=body.note)
        await context.services.pipeline_runs.decide(pipeline_id, decision)
    return await pipeline_view(context, pipeline_id)


def changed_steps(row: PipelineRow, body: RerunRequest) -> dict[str, Any]:
    """Raises: InvalidParams."""
    errors = [
        field_error(f"steps.{name}", Sentence("field_no_such_step"), name, list(row.steps))
        for name in body.steps
        if name not in row.steps
    ]
    if errors:
        raise InvalidParams(Sentence("request_invalid"), errors=errors)
    steps: dict[str, Any] = STEPS.validate_python(row.steps)
    for name, change in body.steps.items():
        stored = row.steps[name]
        if isinstance(steps[name], GenerationStep):
            stored = stored | {"input": without_nulls(stored["input"] | change.input)}
        else:
            stored = without_nulls(stored | change.input)
        steps[name] = stored
    return steps


def without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}

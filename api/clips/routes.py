"""Campaigns and clips: the caller's own rows, which generations give their media to."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Response, status

from api.clips.schemas import CampaignLine, CampaignList, CampaignRequest, CampaignView, ClipList, ClipRequest, ClipView
from api.context import Context, RequestContext
from api.http.idempotency import REPLAYED, IdempotencyKey, ensure_same_request, fingerprint, id_for
from api.http.openapi import with_headers
from api.http.pagination import Cursor, PageSize, read_cursor, split_page
from api.http.problems import InvalidParams, NotFound, errors_of_the_body, field_error, problems
from api.pipelines.create import PlannedPipeline, create_pipeline, create_together, new_row
from api.pipelines.produce import ProduceCampaignRequest, ProduceRequest, pipeline_for, request_for
from api.pipelines.routes import CREATED, IsDryRun, plan_answer, plan_view, start_all, started
from api.pipelines.schemas import PipelineCreatedView, ProducedView, ProducePlanView
from reelay.db.clips import (
    clips_of,
    find_campaign,
    find_clip,
    insert_campaign,
    insert_clip,
    newest_campaigns,
    remove_campaign,
    remove_clip,
)
from reelay.db.tables import Campaign, Clip
from reelay.domain.messages import Sentence

router = APIRouter(prefix="/api", tags=["campaigns"])

REPLAYABLE: dict[int | str, dict[str, Any]] = {
    201: with_headers("Idempotency-Replayed"),
    **problems(HTTPStatus.CONFLICT),
}

PRODUCED = {**CREATED, 200: {"model": ProducePlanView, "description": "With `dryRun`: what it would cost."}}

CampaignId = Annotated[UUID, Path(description="The campaign's id.")]
ClipId = Annotated[UUID, Path(description="The clip's id.")]


@router.post("/campaigns", status_code=status.HTTP_201_CREATED, responses=REPLAYABLE)
async def create_campaign(
    body: CampaignRequest,
    context: Context,
    key: IdempotencyKey,
    response: Response,
) -> CampaignView:
    """Create a campaign to put clips into."""
    campaign = Campaign(
        id=id_for(key),
        user_id=context.user_id,
        name=body.name,
        metadata_=body.metadata,
        request_fingerprint=fingerprint(body.model_dump(mode="json")) if key else None,
    )
    async with context.transaction() as session:
        stored, is_new = await insert_campaign(session, campaign)
        if is_new:
            await context.services.limits.admit_campaign(session, context.user_id)
    response.headers.update({} if is_new else REPLAYED)
    return CampaignView.from_row(ensure_same_request(stored, campaign), [], context.links)


@router.get("/campaigns")
async def list_campaigns(context: Context, limit: PageSize = 20, after: Cursor = None) -> CampaignList:
    """The caller's campaigns, newest first."""
    async with context.transaction() as session:
        found = await newest_campaigns(session, context.user_id, limit=limit + 1, before=read_cursor(after))
    page, next_cursor = split_page(found, limit, lambda line: (line[0].created_at, line[0].id))
    return CampaignList(
        data=[CampaignLine.from_row(campaign, clip_count) for campaign, clip_count in page],
        has_more=next_cursor is not None,
        next_cursor=next_cursor,
    )


@router.get("/campaigns/{campaign_id}")
async def read_campaign(campaign_id: CampaignId, context: Context) -> CampaignView:
    """The campaign with its clips."""
    async with context.transaction() as session:
        campaign = await find_campaign(session, context.user_id, campaign_id)
        if campaign is None:
            raise NotFound
        clips = await clips_of(session, context.user_id, campaign_id)
    return CampaignView.from_row(campaign, clips, context.links)


@router.delete("/campaigns/{campaign_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_campaign(campaign_id: CampaignId, context: Context) -> None:
    """Delete the campaign with its clips. Its jobs go on and keep their media."""
    async with context.transaction() as session:
        if not await remove_campaign(session, context.user_id, campaign_id):
            raise NotFound


@router.post(
    "/campaigns/{campaign_id}/produce",
    status_code=status.HTTP_202_ACCEPTED,
    responses=PRODUCED,
    response_model=ProducedView,
)
async def produce_campaign(
    campaign_id: CampaignId,
    body: ProduceCampaignRequest,
    context: Context,
    key: IdempotencyKey,
    response: Response,
    is_dry_run: IsDryRun = False,
) -> ProducedView | Response:
    """Make the films of several of its clips, each by one pipeline: when one is wrong, or credits do not suffice for
    all, none is begun.

    What a clip's parts leave out, its own `metadata.parts` and then the campaign's `metadata.defaults` say.
    """
    planned = await plan_campaign(context, key, campaign_id, body, is_dry_run=is_dry_run)
    if is_dry_run:
        plans = {clip_id: plan_view(plan) for clip_id, plan in planned.items()}
        cents = sum(plan.estimated_cost_cents for plan in plans.values())
        return plan_answer(ProducePlanView(estimated_cost_cents=cents, clips=plans))
    rows = {clip_id: plan.row for clip_id, plan in planned.items()}
    await start_all(context, list(rows.values()))
    view = ProducedView(
        pipelines={clip_id: row.id for clip_id, row in rows.items()},
        estimated_cost_cents=sum(row.estimated_cost_cents for row in rows.values()),
        status_url=context.links.to(f"/api/pipelines?campaignId={campaign_id}"),
    )
    is_new = all(plan.is_new for plan in planned.values())
    response.headers.update({"location": view.status_url, **({} if is_new else REPLAYED)})
    return view


async def plan_campaign(
    context: RequestContext, key: str | None, campaign_id: UUID, body: ProduceCampaignRequest, *, is_dry_run: bool
) -> dict[UUID, PlannedPipeline]:
    """The films, by the clips' ids. Raises: NotFound, InvalidParams, and what else `create_together` does."""
    async with context.transaction() as session:
        campaign = await find_campaign(session, context.user_id, campaign_id)
        clips = {clip.id: clip for clip in await clips_of(session, context.user_id, campaign_id)}
    if campaign is None:
        raise NotFound
    if strangers := [
        field_error(f"clips.{clip_id}", Sentence("field_not_yours"), str(clip_id))
        for clip_id in body.clips
        if clip_id not in clips
    ]:
        raise InvalidParams(Sentence("belongings_invalid"), errors=strangers)
    content = fingerprint(body.model_dump(mode="json")) if key else None
    wanted = {}
    for number, clip_id in enumerate(sorted(body.clips)):
        with errors_of_the_body("clips", str(clip_id)):
            request = pipeline_for(clips[clip_id], campaign, request_for(clips[clip_id], body.clips[clip_id], body))
        # The first has the key's own id, so that another body with that key is noticed whatever clips it names.
        own_id = id_for(f"{key}:{clip_id}" if key and number else key)
        wanted[clip_id] = (new_row(context, own_id, request, content), request.steps)
    planned = await create_together(
        context,
        {f"clips.{clip_id}": one for clip_id, one in wanted.items()},
        budget_cents=body.budget_cents,
        is_dry_run=is_dry_run,
    )
    return dict(zip(wanted, planned, strict=True))


@router.get("/campaigns/{campaign_id}/clips")
async def list_clips(campaign_id: CampaignId, context: Context) -> ClipList:
    """The campaign's clips by their position."""
    async with context.transaction() as session:
        if await find_campaign(session, context.user_id, campaign_id) is None:
            raise NotFound
        clips = await clips_of(session, context.user_id, campaign_id)
    return ClipList(data=[ClipView.from_row(clip, context.links) for clip in clips])


@router.post("/campaigns/{campaign_id}/clips", status_code=status.HTTP_201_CREATED, responses=REPLAYABLE)
async def create_clip(
    campaign_id: CampaignId,
    body: ClipRequest,
    context: Context,
    key: IdempotencyKey,
    response: Response,
) -> ClipView:
    """Create a clip, which receives the media of the jobs that name it."""
    clip = Clip(
        id=id_for(key),
        user_id=context.user_id,
        campaign_id=campaign_id,
        title=body.title,
        position=body.position,
        metadata_=body.metadata,
        request_fingerprint=fingerprint(body.model_dump(mode="json")) if key else None,
    )
    async with context.transaction() as session:
        if await find_campaign(session, context.user_id, campaign_id) is None:
            raise NotFound
        stored, is_new = await insert_clip(session, clip)
        if is_new:
            await context.services.limits.admit_clip(session, context.user_id)
    response.headers.update({} if is_new else REPLAYED)
    return ClipView.from_row(ensure_same_request(stored, clip), context.links)


@router.get("/clips/{clip_id}")
async def read_clip(clip_id: ClipId, context: Context) -> ClipView:
    """The clip with the media that it has so far."""
    async with context.transaction() as session:
        clip = await find_clip(session, context.user_id, clip_id)
    if clip is None:
        raise NotFound
    return ClipView.from_row(clip, context.links)


@router.post(
    "/clips/{clip_id}/produce",
    status_code=status.HTTP_202_ACCEPTED,
    responses=CREATED,
    response_model=PipelineCreatedView,
)
async def produce_clip(
    clip_id: ClipId,
    body: ProduceRequest,
    context: Context,
    key: IdempotencyKey,
    response: Response,
    is_dry_run: IsDryRun = False,
) -> PipelineCreatedView | Response:
    """Make a finished clip by one pipeline: first frame, video, voice, ambient sound, and the film of them.

    What the body leaves out, the campaign's `metadata.defaults` says: inputs under the same names.
    """
    async with context.transaction() as session:
        clip = await find_clip(session, context.user_id, clip_id)
        if clip is None:
            raise NotFound
        campaign = await find_campaign(session, context.user_id, clip.campaign_id)
    assert campaign is not None  # a clip goes with its campaign
    with errors_of_the_body():
        request = pipeline_for(clip, campaign, body)
    planned = await create_pipeline(context, key, request, is_dry_run=is_dry_run)
    return plan_answer(plan_view(planned)) if is_dry_run else await started(context, planned, response)


@router.delete("/clips/{clip_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_clip(clip_id: ClipId, context: Context) -> None:
    """Delete the clip. Its jobs go on and keep their media."""
    async with context.transaction() as session:
        if not await remove_clip(session, context.user_id, clip_id):
            raise NotFound

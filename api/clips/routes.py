"""Campaigns and clips: the caller's own rows, which generations give their media to."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response, status

from api.clips.schemas import CampaignLine, CampaignList, CampaignRequest, CampaignView, ClipList, ClipRequest, ClipView
from api.generations.read import TheLinks
from api.http.idempotency import REPLAYED, Repetition, ensure_same_request
from api.http.pagination import make_cursor, read_cursor
from api.http.problems import NotFound
from api.identity.dependencies import CurrentCaller, Rows
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

router = APIRouter(prefix="/api", tags=["campaigns"])


@router.post("/campaigns", status_code=status.HTTP_201_CREATED)
async def create_campaign(
    body: CampaignRequest,
    caller: CurrentCaller,
    rows: Rows,
    links: TheLinks,
    repetition: Repetition,
    response: Response,
) -> CampaignView:
    """Create a campaign to put clips into."""
    campaign = Campaign(
        id=repetition.new_id(),
        user_id=caller.user_id,
        name=body.name,
        metadata_=body.metadata,
        request_fingerprint=repetition.fingerprint(body.model_dump(mode="json")),
    )
    async with rows() as session:
        stored, is_new = await insert_campaign(session, campaign)
    response.headers.update({} if is_new else REPLAYED)
    return CampaignView.from_row(ensure_same_request(stored, campaign), [], links)


@router.get("/campaigns")
async def list_campaigns(
    rows: Rows,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(description="`nextCursor` of the page before.")] = None,
) -> CampaignList:
    """The caller's campaigns, newest first."""
    async with rows() as session:
        found = await newest_campaigns(session, limit=limit + 1, before=read_cursor(after) if after else None)
    page, has_more = found[:limit], len(found) > limit
    last = page[-1][0] if has_more else None
    return CampaignList(
        data=[CampaignLine.from_row(campaign, clip_count) for campaign, clip_count in page],
        has_more=has_more,
        next_cursor=make_cursor(last.created_at, last.id) if last else None,
    )


@router.get("/campaigns/{campaign_id}")
async def read_campaign(campaign_id: UUID, rows: Rows, links: TheLinks) -> CampaignView:
    """The campaign with its clips."""
    async with rows() as session:
        campaign = await find_campaign(session, campaign_id)
        if campaign is None:
            raise NotFound
        clips = await clips_of(session, campaign_id)
    return CampaignView.from_row(campaign, clips, links)


@router.delete("/campaigns/{campaign_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_campaign(campaign_id: UUID, rows: Rows) -> None:
    """Delete it with its clips. Jobs go on, and keep their media."""
    async with rows() as session:
        if not await remove_campaign(session, campaign_id):
            raise NotFound


@router.get("/campaigns/{campaign_id}/clips")
async def list_clips(campaign_id: UUID, rows: Rows, links: TheLinks) -> ClipList:
    """The campaign's clips by their position."""
    async with rows() as session:
        if await find_campaign(session, campaign_id) is None:
            raise NotFound
        clips = await clips_of(session, campaign_id)
    return ClipList(data=[ClipView.from_row(clip, links) for clip in clips])


@router.post("/campaigns/{campaign_id}/clips", status_code=status.HTTP_201_CREATED)
async def create_clip(
    campaign_id: UUID,
    body: ClipRequest,
    caller: CurrentCaller,
    rows: Rows,
    links: TheLinks,
    repetition: Repetition,
    response: Response,
) -> ClipView:
    """Create a clip, which generations can give their media to."""
    clip = Clip(
        id=repetition.new_id(),
        user_id=caller.user_id,
        campaign_id=campaign_id,
        title=body.title,
        position=body.position,
        metadata_=body.metadata,
        request_fingerprint=repetition.fingerprint(body.model_dump(mode="json")),
    )
    async with rows() as session:
        if await find_campaign(session, campaign_id) is None:
            raise NotFound
        stored, is_new = await insert_clip(session, clip)
    response.headers.update({} if is_new else REPLAYED)
    return ClipView.from_row(ensure_same_request(stored, clip), links)


@router.get("/clips/{clip_id}")
async def read_clip(clip_id: UUID, rows: Rows, links: TheLinks) -> ClipView:
    """The clip with what its generations gave it so far."""
    async with rows() as session:
        clip = await find_clip(session, clip_id)
    if clip is None:
        raise NotFound
    return ClipView.from_row(clip, links)


@router.delete("/clips/{clip_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_clip(clip_id: UUID, rows: Rows) -> None:
    """Delete it. Jobs that were to give it their media go on, and keep it."""
    async with rows() as session:
        if not await remove_clip(session, clip_id):
            raise NotFound

"""Campaigns and clips, as far as a generation needs them."""

from uuid import UUID

from fastapi import APIRouter, status

from api.identity import Rows, TheCaller
from api.problems import NotFound
from api.reading import Origin
from api.requests import CampaignRequest, ClipRequest
from api.views import CampaignView, ClipView
from db.clips import clips_of, find_campaign, find_clip
from db.tables import Campaign, Clip

router = APIRouter(prefix="/api", tags=["campaigns"])


@router.post("/campaigns", status_code=status.HTTP_201_CREATED)
async def create_campaign(body: CampaignRequest, caller: TheCaller, rows: Rows, origin: Origin) -> CampaignView:
    """Create a campaign to put clips into."""
    campaign = Campaign(user_id=caller.user_id, name=body.name, metadata_=body.metadata)
    async with rows() as session:
        session.add(campaign)
        await session.flush()
        await session.refresh(campaign)
    return CampaignView.from_row(campaign, [], origin)


@router.get("/campaigns/{campaign_id}")
async def read_campaign(campaign_id: UUID, rows: Rows, origin: Origin) -> CampaignView:
    """The campaign with its clips."""
    async with rows() as session:
        campaign = await find_campaign(session, campaign_id)
        if campaign is None:
            raise NotFound
        clips = await clips_of(session, campaign_id)
    return CampaignView.from_row(campaign, clips, origin)


@router.post("/campaigns/{campaign_id}/clips", status_code=status.HTTP_201_CREATED)
async def create_clip(campaign_id: UUID, body: ClipRequest, caller: TheCaller, rows: Rows, origin: Origin) -> ClipView:
    """Create a clip, which generations can give their media to."""
    clip = Clip(
        user_id=caller.user_id,
        campaign_id=campaign_id,
        title=body.title,
        position=body.position,
        metadata_=body.metadata,
    )
    async with rows() as session:
        if await find_campaign(session, campaign_id) is None:
            raise NotFound
        session.add(clip)
        await session.flush()
        await session.refresh(clip)
    return ClipView.from_row(clip, origin)


@router.get("/clips/{clip_id}")
async def read_clip(clip_id: UUID, rows: Rows, origin: Origin) -> ClipView:
    """The clip with what its generations gave it so far."""
    async with rows() as session:
        clip = await find_clip(session, clip_id)
    if clip is None:
        raise NotFound
    return ClipView.from_row(clip, origin)

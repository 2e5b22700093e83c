"""Campaigns and clips: the caller's own rows, which a generation updates."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, text, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from reelay.db.tables import Campaign, Clip
from reelay.domain.generation import JobType

DETACH_FROM_JOBS = text("select detach_from_jobs(:deleted)")


async def insert_campaign(session: AsyncSession, campaign: Campaign) -> tuple[Campaign, bool]:
    """The row as it is stored, and whether it is new: else one with its id was there already."""
    is_new = await _inserted(session, Campaign, campaign)
    stored = select(Campaign).where(col(Campaign.user_id) == campaign.user_id, col(Campaign.id) == campaign.id)
    return (await session.scalars(stored)).one(), is_new


async def insert_clip(session: AsyncSession, clip: Clip) -> tuple[Clip, bool]:
    """As `insert_campaign`."""
    is_new = await _inserted(session, Clip, clip)
    stored = select(Clip).where(col(Clip.user_id) == clip.user_id, col(Clip.id) == clip.id)
    return (await session.scalars(stored)).one(), is_new


async def _inserted(session: AsyncSession, table: type[Campaign | Clip], row: Campaign | Clip) -> bool:
    values: dict[Any, Any] = row.model_dump(exclude_none=True)
    values[col(table.metadata_)] = values.pop("metadata_")
    statement = upsert(table).values(values).on_conflict_do_nothing(index_elements=["id"]).returning(col(table.id))
    return (await session.execute(statement)).first() is not None


async def find_campaign(session: AsyncSession, user_id: UUID, campaign_id: UUID) -> Campaign | None:
    statement = select(Campaign).where(col(Campaign.user_id) == user_id, col(Campaign.id) == campaign_id)
    return (await session.scalars(statement)).first()


async def find_clip(session: AsyncSession, user_id: UUID, clip_id: UUID) -> Clip | None:
    statement = select(Clip).where(col(Clip.user_id) == user_id, col(Clip.id) == clip_id)
    return (await session.scalars(statement)).first()


async def clips_of(session: AsyncSession, user_id: UUID, campaign_id: UUID) -> list[Clip]:
    statement = select(Clip).where(col(Clip.user_id) == user_id, col(Clip.campaign_id) == campaign_id)
    return list((await session.scalars(statement.order_by(col(Clip.position), col(Clip.created_at)))).all())


async def newest_campaigns(
    session: AsyncSession, user_id: UUID, *, limit: int, before: tuple[datetime, UUID] | None = None
) -> list[tuple[Campaign, int]]:
    """The user's campaigns with how many clips each has, newest first, older than `before`."""
    of_campaign = (col(Clip.user_id) == user_id, col(Clip.campaign_id) == col(Campaign.id))
    clips = select(func.count()).where(*of_campaign).scalar_subquery()
    place = tuple_(col(Campaign.created_at), col(Campaign.id))
    statement = select(Campaign, clips).where(col(Campaign.user_id) == user_id)
    if before:
        statement = statement.where(place < tuple_(*before))
    newest_first = (col(Campaign.created_at).desc(), col(Campaign.id).desc())
    found = await session.execute(statement.order_by(*newest_first).limit(limit))
    return [(campaign, count or 0) for campaign, count in found]


async def remove_campaign(session: AsyncSession, user_id: UUID, campaign_id: UUID) -> bool:
    """With its clips. False when there is no such campaign."""
    await session.execute(DETACH_FROM_JOBS, {"deleted": campaign_id})
    statement = delete(Campaign).where(col(Campaign.user_id) == user_id, col(Campaign.id) == campaign_id)
    return (await session.execute(statement.returning(col(Campaign.id)))).first() is not None


async def remove_clip(session: AsyncSession, user_id: UUID, clip_id: UUID) -> bool:
    """False when there is no such clip."""
    await session.execute(DETACH_FROM_JOBS, {"deleted": clip_id})
    statement = delete(Clip).where(col(Clip.user_id) == user_id, col(Clip.id) == clip_id)
    return (await session.execute(statement.returning(col(Clip.id)))).first() is not None


@dataclass(frozen=True)
class ClipUpdate:
    """What a finished generation writes into its clip; other keys of the column stay."""

    column: str
    media: dict[str, str]
    status: str | None = None

    @property
    def statement(self) -> str:
        """Of the transition that ends the generation."""
        # `||` merges inside the row lock: two generations that finish at once both stay.
        return f"""
            clip as (
                update campaign_clips as clip
                set {self.column} = clip.{self.column} || cast(:clip_media as jsonb), updated_at = now(),
                    status = coalesce(cast(:clip_status as text), clip.status)
                from moved where clip.id = moved.clip_id
            )
        """

    @property
    def parameters(self) -> dict[str, Any]:
        return {"clip_media": self.media, "clip_status": self.status}


def clip_update(job_type: JobType, url: str, *, is_film: bool) -> ClipUpdate | None:
    """With the generation's address; None for what clips do not show. `is_film`: mixed, by which the clip is ready."""
    now = datetime.now(UTC).isoformat()
    if is_film:
        return ClipUpdate("final", {"url": url, "generated_at": now}, "ready")
    match job_type:
        case JobType.VIDEO_VEO31 | JobType.VIDEO:
            return ClipUpdate("video", {"raw_url": url, "generated_at": now}, "video_ready")
        case JobType.FIRST_FRAME:
            return ClipUpdate("first_frame", {"image_url": url, "generated_at": now})
        case JobType.VOICE:
            return ClipUpdate("audio", {"voice_url": url})
        case JobType.AMBIENT:
            return ClipUpdate("audio", {"ambient_url": url})
        case JobType.TRANSCRIPTION | JobType.OTHER:
            return None

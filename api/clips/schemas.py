"""Campaigns and clips as clients send and see them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import ConfigDict, Field

from api.http.links import Links
from api.http.wire import Metadata, Text, Wire
from reelay.db.tables import Campaign, Clip


class CampaignRequest(Wire):
    model_config = ConfigDict(extra="forbid")

    name: Text = Field(min_length=1, max_length=200)
    metadata: Metadata = Field(default_factory=dict)


class ClipRequest(Wire):
    model_config = ConfigDict(extra="forbid")

    title: Text = Field("", max_length=200)
    position: int = Field(0, ge=0, le=1_000_000)
    metadata: Metadata = Field(default_factory=dict)


class ClipView(Wire):
    id: UUID
    campaign_id: UUID
    title: str
    position: int
    status: str
    video: dict[str, Any]
    first_frame: dict[str, Any]
    audio: dict[str, Any]
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_row(cls, row: Clip, links: Links) -> Self:
        return cls(
            id=row.id,
            campaign_id=row.campaign_id,
            title=row.title,
            position=row.position,
            status=row.status,
            video=links.clip_media(row.user_id, row.video),
            first_frame=links.clip_media(row.user_id, row.first_frame),
            audio=links.clip_media(row.user_id, row.audio),
            metadata=row.metadata_,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


class ClipList(Wire):
    data: list[ClipView]


class CampaignView(Wire):
    id: UUID
    name: str
    metadata: dict[str, Any]
    clips: list[ClipView]
    created_at: datetime

    @classmethod
    def from_row(cls, row: Campaign, clips: Sequence[Clip], links: Links) -> Self:
        return cls(
            id=row.id,
            name=row.name,
            metadata=row.metadata_,
            clips=[ClipView.from_row(clip, links) for clip in clips],
            created_at=row.created_at,
        )


class CampaignLine(Wire):
    """A campaign in the list of all."""

    id: UUID
    name: str
    metadata: dict[str, Any]
    clip_count: int
    created_at: datetime

    @classmethod
    def from_row(cls, row: Campaign, clip_count: int) -> Self:
        return cls(id=row.id, name=row.name, metadata=row.metadata_, clip_count=clip_count, created_at=row.created_at)


class CampaignList(Wire):
    data: list[CampaignLine]
    has_more: bool
    next_cursor: str | None

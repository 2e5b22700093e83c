"""Campaigns and clips as clients send and see them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self, cast
from uuid import UUID

from pydantic import ConfigDict, Field, WithJsonSchema, with_config
from typing_extensions import TypedDict  # pydantic takes that of `typing` from 3.12 on

from api.http.links import Links
from api.http.pagination import Page
from api.http.wire import Metadata, Text, Wire, any_key_may_be_left_out
from reelay.db.tables import Campaign, Clip


class CampaignRequest(Wire):
    """A campaign to create."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Autumn"}]})

    name: Text = Field(min_length=1, max_length=200)
    """The campaign's name, of at most 200 characters."""
    metadata: Metadata = Field(default_factory=dict)


class ClipRequest(Wire):
    """A clip to create."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"title": "The harbour at dawn", "position": 1}]}
    )

    title: Text = Field("", max_length=200)
    """The clip's title, of at most 200 characters."""
    position: int = Field(0, ge=0, le=1_000_000)
    """The clip's place in its campaign: clips are listed from the lowest."""
    metadata: Metadata = Field(default_factory=dict)


Stored = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "null"}]})]
"""Another application may have written what it liked: the document says what ours is."""
PARTS = ConfigDict(extra="allow", use_attribute_docstrings=True, json_schema_extra=any_key_may_be_left_out)
"""Of the objects in a clip, whose keys the application that reads them has named, and may have added to."""


@with_config(PARTS)
class ClipVideo(TypedDict, total=False):
    """A clip's video; empty until there is one."""

    raw_url: Stored
    """The signed address of the video."""
    generated_at: Stored
    """When the video was generated (RFC 3339)."""


@with_config(PARTS)
class ClipFirstFrame(TypedDict, total=False):
    """A clip's first frame; empty until there is one."""

    image_url: Stored
    """The signed address of the image."""
    generated_at: Stored
    """When the image was generated (RFC 3339)."""


@with_config(PARTS)
class ClipAudio(TypedDict, total=False):
    """A clip's sounds; each is left out until there is one."""

    voice_url: Stored
    """The signed address of the speech."""
    ambient_url: Stored
    """The signed address of the ambient sound."""


@with_config(PARTS)
class ClipFilm(TypedDict, total=False):
    """A clip's finished film; empty until there is one."""

    url: Stored
    """The signed address of the film."""
    generated_at: Stored
    """When the film was mixed (RFC 3339)."""


class ClipView(Wire):
    """One clip, and the media that its generations gave it."""

    id: UUID
    """The clip's id."""
    campaign_id: UUID
    """The campaign that the clip belongs to."""
    title: str
    """The clip's title."""
    position: int
    """The clip's place in its campaign."""
    status: str
    """`draft`, then `video_ready` once it has its video, and `ready` once it has its film; another word where another
    application wrote it."""
    video: ClipVideo
    """Its video."""
    first_frame: ClipFirstFrame
    """Its first frame."""
    audio: ClipAudio
    """Its speech and its ambient sound."""
    final: ClipFilm
    """Its finished film."""
    metadata: dict[str, Any]
    """Your own data, as sent at creation."""
    created_at: datetime
    """When the clip was created."""
    updated_at: datetime
    """When the clip last received media."""

    @classmethod
    def from_row(cls, row: Clip, links: Links) -> Self:
        return cls(
            id=row.id,
            campaign_id=row.campaign_id,
            title=row.title,
            position=row.position,
            status=row.status,
            video=cast(ClipVideo, links.clip_media(row.video)),
            first_frame=cast(ClipFirstFrame, links.clip_media(row.first_frame)),
            audio=cast(ClipAudio, links.clip_media(row.audio)),
            final=cast(ClipFilm, links.clip_media(row.final)),
            metadata=row.metadata_,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


class ClipList(Wire):
    """A campaign's clips."""

    data: list[ClipView]
    """The clips by their position."""


class CampaignView(Wire):
    """One campaign with its clips."""

    id: UUID
    """The campaign's id."""
    name: str
    """The campaign's name."""
    metadata: dict[str, Any]
    """Your own data, as sent at creation."""
    clips: list[ClipView]
    """The campaign's clips by their position."""
    created_at: datetime
    """When the campaign was created."""

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
    """The campaign's id."""
    name: str
    """The campaign's name."""
    metadata: dict[str, Any]
    """Your own data, as sent at creation."""
    clip_count: int
    """How many clips it has."""
    created_at: datetime
    """When the campaign was created."""

    @classmethod
    def from_row(cls, row: Campaign, clip_count: int) -> Self:
        return cls(id=row.id, name=row.name, metadata=row.metadata_, clip_count=clip_count, created_at=row.created_at)


class CampaignList(Page):
    """A page of campaigns, newest first."""

    data: list[CampaignLine]
    """The campaigns, without their clips."""

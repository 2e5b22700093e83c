"""The caller's files as clients send and see them."""

from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, RootModel

from api.http.links import Links
from api.http.pagination import Page
from api.http.wire import Text, Wire
from api.media.schemas import ProvenanceView
from reelay.db.tables import Asset
from reelay.domain.generation import media_address


class UploadRequest(Wire):
    """A file that is going to be uploaded to an address of its own."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"fileName": "me.png", "contentType": "image/png", "sizeBytes": 48213}]},
    )

    file_name: Text = Field(min_length=1, max_length=200)
    """Your name for the file, of at most 200 characters."""
    content_type: Text = Field(pattern=r"^[\w.+-]+/[\w.+-]+$", max_length=100)
    """What it is, for example `image/png`. The content decides, once it is there."""
    size_bytes: int = Field(ge=1)
    """Its size in bytes."""


class UploadView(Wire):
    """An upload that was announced: send the file, then call `POST /api/uploads/{assetId}/complete`."""

    asset_id: UUID
    """The id of the asset that it will be."""
    uri: str
    """What an input takes in place of an address, once the upload is complete."""
    upload_url: str
    """Where to send the file, without a key, for at least an hour."""
    method: Literal["PUT"]
    """The method to send it with."""
    headers: dict[str, str]
    """The headers to send it with."""

    @classmethod
    def from_row(cls, row: Asset, url: str, headers: dict[str, str]) -> Self:
        return cls(asset_id=row.id, uri=asset_uri(row.id), upload_url=url, method="PUT", headers=headers)


class AssetView(Wire):
    """A file that you brought."""

    asset_id: UUID
    """The asset's id."""
    uri: str
    """What an input takes in place of an address: `asset:` and the id."""
    file_name: str | None
    """Your name for it."""
    content_type: str
    """What it is, by its content."""
    size_bytes: int
    """Its size in bytes."""
    sha256: str
    """The SHA-256 of its bytes, in lower-case hex."""
    width: int | None
    """Pixels; null for sound."""
    height: int | None
    """Pixels; null for sound."""
    duration_seconds: float | None
    """How long it plays; null for a picture, and where its container does not tell."""
    file_url: str
    """The file: a link that needs no header and is good for at least an hour."""
    poster_url: str | None
    """A picture of a video, by a link of the same kind."""
    provenance: ProvenanceView | None
    """The file's Content Credentials; null where they were not checked."""
    created_at: datetime
    """When it was uploaded, or announced."""

    @classmethod
    def from_row(cls, row: Asset, links: Links) -> Self:
        return cls(
            asset_id=row.id,
            uri=asset_uri(row.id),
            file_name=row.file_name,
            content_type=row.content_type,
            size_bytes=row.size_bytes,
            sha256=row.sha256,
            width=row.width,
            height=row.height,
            duration_seconds=row.duration_seconds,
            file_url=links.to_media(media_address(row.id, str(row.name))),
            poster_url=links.to_media(media_address(row.id, row.poster_name)) if row.poster_name else None,
            provenance=ProvenanceView.from_column(row.provenance),
            created_at=row.created_at,
        )


class UploadAnswer(RootModel[AssetView | UploadView]):
    """The asset, where the file was in the request; else where to send it."""


class AssetList(Page):
    """A page of your files, newest first."""

    data: list[AssetView]
    """The files."""


def asset_uri(asset_id: UUID) -> str:
    return f"asset:{asset_id}"

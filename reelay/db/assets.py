"""Files that users bring. Every change is guarded by the state before it, and says whether it happened."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import String, cast, delete, exists, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.generations import StoredFile
from reelay.db.tables import Asset, AssetState, GenerationJob
from reelay.domain.generation import ACTIVE, MediaFile


async def insert_upload(session: AsyncSession, asset: Asset) -> None:
    """Write down that a file is about to come."""
    session.add(asset)
    await session.flush()


async def find_upload(session: AsyncSession, user_id: UUID, asset_id: UUID) -> Asset | None:
    """The user's asset, also while its bytes are still to come."""
    return await _find(session, user_id, asset_id, AssetState.PENDING, AssetState.READY)


async def find_asset(session: AsyncSession, user_id: UUID, asset_id: UUID) -> Asset | None:
    return await _find(session, user_id, asset_id, AssetState.READY)


async def _find(session: AsyncSession, user_id: UUID, asset_id: UUID, *states: AssetState) -> Asset | None:
    statement = select(Asset).where(
        col(Asset.user_id) == user_id, col(Asset.id) == asset_id, col(Asset.state).in_(states)
    )
    return (await session.scalars(statement)).first()


async def find_stored_asset(session: AsyncSession, user_id: UUID, asset_id: UUID, name: str) -> StoredFile | None:
    """The asset's file or poster of that name."""
    asset = await find_asset(session, user_id, asset_id)
    if asset and asset.file_path and asset.name == name:
        return StoredFile(asset.file_path, asset.content_type, asset.sha256)
    if asset and asset.poster_path and asset.poster_name == name:
        return StoredFile(asset.poster_path, "image/jpeg", asset.sha256)
    return None


async def newest_assets(
    session: AsyncSession, user_id: UUID, *, limit: int, before: tuple[datetime, UUID] | None = None
) -> Sequence[Asset]:
    """The user's assets, newest first, older than `before` (created_at, id)."""
    place = tuple_(col(Asset.created_at), col(Asset.id))
    statement = select(Asset).where(col(Asset.user_id) == user_id, col(Asset.state) == AssetState.READY)
    if before:
        statement = statement.where(place < tuple_(*before))
    newest_first = (col(Asset.created_at).desc(), col(Asset.id).desc())
    return (await session.scalars(statement.order_by(*newest_first).limit(limit))).all()


async def complete_upload(session: AsyncSession, user_id: UUID, asset_id: UUID, file: MediaFile) -> bool:
    """Its bytes are in the archive, and checked. False when that was written down before, or it was deleted."""
    completed = (
        update(Asset)
        .where(col(Asset.user_id) == user_id, col(Asset.id) == asset_id, col(Asset.state) == AssetState.PENDING)
        .values(
            state=AssetState.READY,
            content_type=file.content_type,
            size_bytes=file.size_bytes,
            name=file.name,
            file_path=file.key,
            sha256=file.sha256,
            duration_seconds=file.duration_seconds,
            width=file.width,
            height=file.height,
            poster_name=file.poster_name,
            poster_path=file.poster_key,
            provenance=asdict(file.provenance) if file.provenance else None,
        )
        .returning(col(Asset.id))
    )
    return (await session.execute(completed)).first() is not None


async def is_input_of_active_job(session: AsyncSession, user_id: UUID, asset_id: UUID) -> bool:
    """Whether a job of the user's that has not ended names the asset, or one of its addresses."""
    using = exists().where(
        col(GenerationJob.user_id) == user_id,
        col(GenerationJob.status).in_(ACTIVE),
        or_(
            cast(col(GenerationJob.arguments), String).contains(str(asset_id)),
            cast(col(GenerationJob.input_params), String).contains(str(asset_id)),
        ),
    )
    return bool(await session.scalar(select(using)))


async def mark_asset_deleted(session: AsyncSession, user_id: UUID, asset_id: UUID) -> bool:
    """Nobody sees it from now on. False when there is none."""
    marked = (
        update(Asset)
        .where(col(Asset.user_id) == user_id, col(Asset.id) == asset_id, col(Asset.state) != AssetState.DELETED)
        .values(state=AssetState.DELETED)
        .returning(col(Asset.id))
    )
    return (await session.execute(marked)).first() is not None


async def mark_abandoned_uploads(session: AsyncSession, *, older_than: timedelta, at_most: int) -> Sequence[Asset]:
    """Uploads that were not completed in that time become deleted. Returns all that are, and still have objects."""
    abandoned = (
        update(Asset)
        .where(col(Asset.state) == AssetState.PENDING, col(Asset.created_at) < func.now() - older_than)
        .values(state=AssetState.DELETED)
    )
    await session.execute(abandoned)
    deleted = select(Asset).where(col(Asset.state) == AssetState.DELETED).order_by(col(Asset.created_at))
    return (await session.scalars(deleted.limit(at_most))).all()


async def remove_deleted_asset(session: AsyncSession, user_id: UUID, asset_id: UUID) -> None:
    """Once its objects are deleted."""
    await session.execute(
        delete(Asset).where(
            col(Asset.user_id) == user_id, col(Asset.id) == asset_id, col(Asset.state) == AssetState.DELETED
        )
    )

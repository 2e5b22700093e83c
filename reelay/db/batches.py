"""Batches: many jobs of one user that were created together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from reelay.db.generations import WITHOUT_RESULT
from reelay.db.tables import Batch, GenerationJob, MediaFileRow
from reelay.domain.generation import Status


@dataclass(frozen=True)
class BatchCounts:
    """What has become of a batch's jobs."""

    by_status: Mapping[Status, int]
    charged_cents: int
    progress: float
    """Of all jobs, in percent: one that has ended counts whole."""


async def insert_batch(session: AsyncSession, batch: Batch) -> tuple[Batch, bool]:
    """The row as it is stored, and whether it is new: else one with its id was there already."""
    values: dict[Any, Any] = batch.model_dump(exclude_none=True)
    values[col(Batch.metadata_)] = values.pop("metadata_")
    inserted = upsert(Batch).values(values).on_conflict_do_nothing(index_elements=["id"]).returning(col(Batch.id))
    is_new = (await session.execute(inserted)).first() is not None
    return (await session.scalars(_of_user(batch.user_id, batch.id))).one(), is_new


async def find_batch(session: AsyncSession, user_id: UUID, batch_id: UUID) -> Batch | None:
    return (await session.scalars(_of_user(user_id, batch_id))).first()


async def jobs_of_batch(session: AsyncSession, user_id: UUID, batch_id: UUID) -> Sequence[GenerationJob]:
    """In the order of the request, without `result_data`."""
    of_batch = select(GenerationJob).where(
        col(GenerationJob.user_id) == user_id, col(GenerationJob.batch_id) == batch_id
    )
    return (await session.scalars(of_batch.options(WITHOUT_RESULT).order_by(col(GenerationJob.batch_position)))).all()


async def files_of_batch(session: AsyncSession, user_id: UUID, batch_id: UUID) -> Sequence[MediaFileRow]:
    of_batch = select(col(GenerationJob.id)).where(
        col(GenerationJob.user_id) == user_id, col(GenerationJob.batch_id) == batch_id
    )
    files = select(MediaFileRow).where(col(MediaFileRow.user_id) == user_id, col(MediaFileRow.job_id).in_(of_batch))
    return (await session.scalars(files.order_by(col(MediaFileRow.job_id), col(MediaFileRow.position)))).all()


async def count_batch(session: AsyncSession, user_id: UUID, batch_id: UUID) -> BatchCounts:
    counted = (
        select(
            col(GenerationJob.status),
            func.count(),
            func.coalesce(func.sum(col(GenerationJob.charged_cents)), 0),
            func.sum(col(GenerationJob.progress_percent)),
        )
        .where(col(GenerationJob.user_id) == user_id, col(GenerationJob.batch_id) == batch_id)
        .group_by(col(GenerationJob.status))
    )
    rows = (await session.execute(counted)).all()
    total = sum(count for _, count, _, _ in rows)
    done = sum(100 * count if Status(status).is_final else percent for status, count, _, percent in rows)
    return BatchCounts(
        by_status={Status(status): count for status, count, _, _ in rows},
        charged_cents=sum(int(cents) for _, _, cents, _ in rows),
        progress=done / total if total else 100.0,
    )


def _of_user(user_id: UUID, batch_id: UUID) -> SelectOfScalar[Batch]:
    return select(Batch).where(col(Batch.user_id) == user_id, col(Batch.id) == batch_id)

"""Generations in the order of their changes, as streams read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.generations import files_of
from db.tables import GenerationJob, JobEvent, MediaFileRow
from domain.generation import ACTIVE, Status

PAGE = 500
RECENT = 50
ACTIVE_AT_MOST = 500


@dataclass(frozen=True)
class Change:
    number: int
    """The event up to which this generation is told."""
    row: GenerationJob
    files: Sequence[MediaFileRow]


@dataclass(frozen=True)
class Batch:
    changes: Sequence[Change]
    """By number."""
    upto: int
    """The event up to which these are all."""
    is_whole: bool = True
    """False: there is more to read already."""
    is_last: bool = False
    """Nothing can follow."""


async def change_of_generation(session: AsyncSession, generation_id: UUID, *, after: int) -> Batch:
    """The generation as it is, if it has changed since the event `after`.

    One statement, so that the row is not newer than its number. No two transactions write events of one generation at
    once, because each locks its row first: the newest number visible is the last one given.
    """
    newest = select(func.max(JobEvent.id)).where(col(JobEvent.job_id) == col(GenerationJob.id)).scalar_subquery()
    statement = select(GenerationJob, newest).where(col(GenerationJob.id) == generation_id)
    row = (await session.execute(statement)).first()
    if row is None or (row[1] or 0) <= after:
        return Batch([], after, is_last=row is not None and Status(row[0].status).is_final)
    job, number = row
    changes = await _with_files(session, {job.id: number}, [job])
    return Batch(changes, number, is_last=Status(job.status).is_final)


async def changes_of_user(session: AsyncSession, user_id: UUID, *, after: int, upto: int) -> Batch:
    """What changed after one event and up to another, each generation once."""
    statement = (
        select(col(JobEvent.id), col(JobEvent.job_id))
        .where(col(JobEvent.user_id) == user_id, col(JobEvent.id) > after, col(JobEvent.id) <= upto)
        .order_by(col(JobEvent.id))
        .limit(PAGE)
    )
    events = (await session.execute(statement)).all()
    newest = {job_id: number for number, job_id in events}
    is_whole = len(events) < PAGE
    return Batch(await _load(session, newest), max(after, upto) if is_whole else events[-1].id, is_whole)


async def standing_of_user(session: AsyncSession, *, upto: int) -> Batch:
    """The session's user's active generations and the latest others, told up to an event."""
    rows = select(GenerationJob).order_by(col(GenerationJob.created_at).desc(), col(GenerationJob.id).desc())
    active = rows.where(col(GenerationJob.status).in_(ACTIVE)).limit(ACTIVE_AT_MOST)
    found = {row.id for which in (active, rows.limit(RECENT)) for row in await session.scalars(which)}
    statement = (
        select(col(JobEvent.job_id), func.max(JobEvent.id))
        .where(col(JobEvent.job_id).in_(found), col(JobEvent.id) <= upto)
        .group_by(col(JobEvent.job_id))
    )
    newest = {job_id: number for job_id, number in await session.execute(statement)}
    return Batch(await _load(session, newest), upto)


async def _load(session: AsyncSession, newest: dict[UUID, int]) -> list[Change]:
    if not newest:
        return []
    rows = (await session.scalars(select(GenerationJob).where(col(GenerationJob.id).in_(newest)))).all()
    return await _with_files(session, newest, rows)


async def _with_files(session: AsyncSession, newest: dict[UUID, int], rows: Sequence[GenerationJob]) -> list[Change]:
    completed = [row.id for row in rows if row.status == Status.COMPLETED]
    files = await files_of(session, completed) if completed else []
    changes = [Change(newest[row.id], row, [file for file in files if file.job_id == row.id]) for row in rows]
    return sorted(changes, key=lambda change: change.number)

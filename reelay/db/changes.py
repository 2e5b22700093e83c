"""Generations in the order of their changes, as streams read them."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.generations import files_of
from reelay.db.tables import GenerationJob, JobEvent, MediaFileRow
from reelay.domain.generation import ACTIVE, Status

PAGE = 500
RECENT = 50
ACTIVE_AT_MOST = 500


@dataclass(frozen=True)
class Change:
    number: int
    """That of the row's newest event."""
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


async def change_of_generation(session: AsyncSession, user_id: UUID, generation_id: UUID, *, after: int) -> Batch:
    """The generation as it is, if it has changed since the event `after`.

    No two transactions write events of one generation at once, because each locks its row first: the newest number
    visible is the last one given.
    """
    (change,) = await _load(session, user_id, {generation_id}) or (None,)
    if change is None:
        return Batch([], after)
    is_new = change.number > after
    is_last = Status(change.row.status).is_final
    return Batch([change] if is_new else [], change.number if is_new else after, is_last=is_last)


async def changes_of_user(session: AsyncSession, user_id: UUID, *, after: int, upto: int) -> Batch:
    """What changed after one event and up to another. What has changed since then again belongs to the next batch."""
    statement = (
        select(col(JobEvent.id), col(JobEvent.job_id))
        .where(col(JobEvent.user_id) == user_id, col(JobEvent.id) > after, col(JobEvent.id) <= upto)
        .order_by(col(JobEvent.id))
        .limit(PAGE)
    )
    events = (await session.execute(statement)).all()
    is_whole = len(events) < PAGE
    end = max(after, upto) if is_whole else events[-1].id
    return Batch(await _load(session, user_id, {event.job_id for event in events}, upto=end), end, is_whole)


async def snapshot_of_user(session: AsyncSession, user_id: UUID, *, upto: int) -> Batch:
    """The user's active generations and the latest others. What has changed since `upto` belongs to the next batch."""
    newest_first = (col(GenerationJob.created_at).desc(), col(GenerationJob.id).desc())
    ids = select(col(GenerationJob.id)).where(col(GenerationJob.user_id) == user_id).order_by(*newest_first)
    active = ids.where(col(GenerationJob.status).in_(ACTIVE)).limit(ACTIVE_AT_MOST)
    found = {job_id for which in (active, ids.limit(RECENT)) for job_id in await session.scalars(which)}
    return Batch(await _load(session, user_id, found, upto=upto), upto)


async def _load(
    session: AsyncSession, user_id: UUID, generation_ids: Set[UUID], *, upto: int | None = None
) -> list[Change]:
    """Those that no event after `upto` has changed. Row and number by one statement, so that they belong together."""
    if not generation_ids:
        return []
    newest = (
        select(func.coalesce(func.max(JobEvent.id), 0))
        .where(col(JobEvent.user_id) == user_id, col(JobEvent.job_id) == col(GenerationJob.id))
        .scalar_subquery()
    )
    statement = select(GenerationJob, newest).where(
        col(GenerationJob.user_id) == user_id, col(GenerationJob.id).in_(generation_ids)
    )
    found = [(row, number) for row, number in await session.execute(statement) if upto is None or number <= upto]
    completed = [row.id for row, _ in found if row.status == Status.COMPLETED]
    files = await files_of(session, user_id, completed) if completed else []
    changes = [Change(number, row, [file for file in files if file.job_id == row.id]) for row, number in found]
    return sorted(changes, key=lambda change: change.number)

"""What providers print while they work on a generation, kept in its timeline."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.tables import GenerationJob, JobEvent
from reelay.domain.generation import ACTIVE, Stage, Status

MOST_LINES = 500
"""Of one generation. What is printed after them is not kept."""


async def read_log(session: AsyncSession, user_id: UUID, generation_id: UUID) -> list[str]:
    """The lines so far, in the order in which they were printed."""
    lines_of = col(JobEvent.data)["lines"]
    statement = select(lines_of).where(
        col(JobEvent.user_id) == user_id, col(JobEvent.job_id) == generation_id, lines_of.is_not(None)
    )
    return [line for lines in await session.scalars(statement.order_by(col(JobEvent.id))) for line in lines]


async def append_log(session: AsyncSession, user_id: UUID, generation_id: UUID, lines: Sequence[str]) -> None:
    """Add what is new of the provider's last lines to the timeline, as one event; nothing once it has ended."""
    if not await _new_lines(session, user_id, generation_id, lines):
        return
    # Locked like for any other event: two may bring the same lines at once, and streams count on the events' order.
    job = await session.get(GenerationJob, generation_id, with_for_update=True)
    new = await _new_lines(session, user_id, generation_id, lines)
    if job is not None and Status(job.status) in ACTIVE and new:
        event = JobEvent(
            user_id=job.user_id,
            job_id=job.id,
            status=Status(job.status),
            stage=Stage(job.stage),
            detail=f"{len(new)} line{'s' * (len(new) > 1)} of {job.provider}'s log",
            data={"lines": new},
        )
        await session.execute(insert(JobEvent).values(event.model_dump(exclude_none=True)))


async def _new_lines(session: AsyncSession, user_id: UUID, generation_id: UUID, last: Sequence[str]) -> list[str]:
    kept = await read_log(session, user_id, generation_id)
    return new_lines(kept, last)[: MOST_LINES - len(kept)]


def new_lines(kept: Sequence[str], last: Sequence[str]) -> list[str]:
    """Those of the provider's last lines that come after what is kept: it repeats what it said before, or its end."""
    overlap = next(length for length in range(min(len(kept), len(last)), -1, -1) if ends_with(kept, last[:length]))
    return list(last[overlap:])


def ends_with(lines: Sequence[str], end: Sequence[str]) -> bool:
    return list(lines[len(lines) - len(end) :]) == list(end)

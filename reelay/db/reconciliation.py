"""The rows that the reconciliation checks, and what it writes into their timelines."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import and_, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from reelay.db.credits import end_hold
from reelay.db.external import is_ours_to_run
from reelay.db.tables import AttemptState, GenerationJob, JobEvent, SubmissionAttempt
from reelay.domain.generation import ACTIVE, ProviderName, Stage, Status
from reelay.domain.progress import progress_sentence


@dataclass(frozen=True)
class StaleGeneration:
    """An open row that nothing has changed for a while, with its newest attempt: that of the model it follows."""

    job: GenerationJob
    attempt: SubmissionAttempt | None


async def stale_generations(
    session: AsyncSession, *, unchanged_for: timedelta, after: UUID | None, limit: int
) -> list[StaleGeneration]:
    """Rows that are ours to run, in the order of their ids, those beyond `after`."""
    attempt, earlier = aliased(SubmissionAttempt), aliased(SubmissionAttempt)
    followed = col(GenerationJob.attempts_before) + col(GenerationJob.attempts)
    newest = (
        select(func.max(earlier.number))
        .where(
            col(earlier.job_id) == col(GenerationJob.id),
            or_(col(GenerationJob.hedged_at).is_(None), col(earlier.number) <= followed),
        )
        .scalar_subquery()
    )
    statement = (
        select(GenerationJob, attempt)
        .outerjoin(attempt, and_(col(attempt.job_id) == col(GenerationJob.id), col(attempt.number) == newest))
        .where(
            col(GenerationJob.status).in_(ACTIVE),
            is_ours_to_run(),
            col(GenerationJob.stage_at) < func.now() - unchanged_for,
        )
        .order_by(col(GenerationJob.id))
        .limit(limit)
    )
    if after:
        statement = statement.where(col(GenerationJob.id) > after)
    return [StaleGeneration(job, attempt) for job, attempt in await session.execute(statement)]


async def accepted_beside(session: AsyncSession, job: GenerationJob) -> Sequence[SubmissionAttempt]:
    """Attempts at the model that is at work beside the one that the row follows."""
    if job.beside_provider is None:
        return ()
    statement = select(SubmissionAttempt).where(
        col(SubmissionAttempt.job_id) == job.id,
        col(SubmissionAttempt.provider) == job.beside_provider,
        col(SubmissionAttempt.state) == AttemptState.ACCEPTED,
        ~col(SubmissionAttempt.number).between(job.attempts_before + 1, job.all_attempts),
    )
    return (await session.scalars(statement)).all()


async def claim_repair(session: AsyncSession, job: GenerationJob, detail: str) -> bool:
    """Write into the timeline what is about to be done. False when the row has changed since it was read.

    Of several that read it at once, one gets True.
    """
    claimed = (
        update(GenerationJob)
        .where(
            col(GenerationJob.id) == job.id,
            col(GenerationJob.status).in_(ACTIVE),
            col(GenerationJob.stage_at) == job.stage_at,
        )
        .values(
            stage_at=func.now(),
            progress_message=str(progress_sentence(Status(job.status), Stage(job.stage), ProviderName(job.provider))),
            waiting_for=None,
            queue_position=None,
        )
        .returning(col(GenerationJob.id))
    )
    if (await session.execute(claimed)).first() is None:
        return False
    await _write_event(session, job, detail)
    return True


async def end_orphaned_hold(session: AsyncSession, generation_id: UUID) -> bool:
    """End the hold that an ended generation has left open, and say so in its timeline. False when there is none."""
    if not await end_hold(session, generation_id):
        return False
    job = await session.get_one(GenerationJob, generation_id)
    detail = "Reconciled: its credits were still held; they are settled or released now"
    await _write_event(session, job, detail)
    return True


async def _write_event(session: AsyncSession, job: GenerationJob, detail: str) -> None:
    event = JobEvent(
        user_id=job.user_id, job_id=job.id, status=Status(job.status), stage=Stage(job.stage), detail=detail
    )
    await session.execute(insert(JobEvent).values(event.model_dump(exclude_none=True)))

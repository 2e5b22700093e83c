"""Submissions whose answer may not have reached their client: for a while, the same submission is the same job."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# Two submissions alike were wanted as two jobs, and so each is taken over once.
TAKE_OVER = text("""
    with alike as materialized (
        select job_id from undelivered_submissions
        where user_id = :user_id and fingerprint = :fingerprint and until > now()
        order by until limit 1 for update skip locked
    ), expired as (
        delete from undelivered_submissions where user_id = :user_id and until <= now()
    )
    delete from undelivered_submissions where user_id = :user_id and job_id in (select job_id from alike)
    returning job_id
""")
LOCK_ALIKE = text("select pg_advisory_xact_lock(hashtextextended(:user_id || encode(:fingerprint, 'hex'), 0))")
RECORD = text("""
    insert into undelivered_submissions as known (user_id, job_id, fingerprint, until)
    values (:user_id, :job_id, :fingerprint, now() + cast(:kept as interval))
    on conflict (user_id, job_id) do update set until = greatest(known.until, excluded.until)
""")
FORGET = text("delete from undelivered_submissions where user_id = :user_id and job_id = :job_id")


async def take_over_submission(session: AsyncSession, user_id: UUID, fingerprint: bytes) -> UUID | None:
    """The job of an undelivered submission alike, which is then none any more."""
    alike = {"user_id": user_id, "fingerprint": fingerprint}
    return (await session.execute(TAKE_OVER, alike)).scalar()


async def lock_submissions_alike(session: AsyncSession, user_id: UUID, fingerprint: bytes) -> None:
    """Until the end of the transaction: of two at once, the second finds what the first has recorded."""
    await session.execute(LOCK_ALIKE, {"user_id": str(user_id), "fingerprint": fingerprint})


async def record_undelivered(
    session: AsyncSession, user_id: UUID, job_id: UUID, fingerprint: bytes, kept: timedelta
) -> None:
    """The job, which need not be there yet, is that of all submissions alike for so long."""
    values = {"user_id": user_id, "job_id": job_id, "fingerprint": fingerprint, "kept": kept}
    await session.execute(RECORD, values)


async def forget_undelivered(session: AsyncSession, user_id: UUID, job_id: UUID) -> None:
    await session.execute(FORGET, {"user_id": user_id, "job_id": job_id})

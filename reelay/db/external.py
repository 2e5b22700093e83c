"""Rows that another backend wrote: what it has submitted is followed, and nothing is submitted for it.

`docs/decisions/006-reconciliation.md` has the reasons.
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.tables import AttemptState, GenerationJob, JobEvent, SubmissionAttempt
from reelay.domain.generation import ACTIVE, Generation, Origin, ProviderName, Stage, Status, Submission

APP_IN_ADDRESS = re.compile(r"https?://[^/?#]+/((?:[A-Za-z0-9_][A-Za-z0-9._-]*/)+)requests/")


def is_ours_to_run() -> ColumnElement[bool]:
    """Of a row: we made it, or have taken it over, and it is not for its pipeline to run."""
    taken_over = exists().where(col(SubmissionAttempt.job_id) == col(GenerationJob.id))
    return ((col(GenerationJob.origin) == Origin.REELAY) | taken_over) & ~is_run_by_pipeline()


def is_run_by_pipeline() -> ColumnElement[bool]:
    """Of a row: it is a step that has not begun, or a mix, which has no run of its own."""
    return col(GenerationJob.is_planned) | (col(GenerationJob.provider) == ProviderName.REELAY)


async def external_requests(
    session: AsyncSession, *, unchanged_for: timedelta, after: UUID | None, limit: int
) -> Sequence[GenerationJob]:
    """Open rows of others that name a provider's request which nobody follows, by their ids, those beyond `after`."""
    statement = (
        select(GenerationJob)
        .where(
            col(GenerationJob.status).in_(ACTIVE),
            ~is_ours_to_run(),
            col(GenerationJob.provider_request_id).is_not(None),
            col(GenerationJob.stage_at) < func.now() - unchanged_for,
        )
        .order_by(col(GenerationJob.id))
        .limit(limit)
    )
    if after:
        statement = statement.where(col(GenerationJob.id) > after)
    return (await session.scalars(statement)).all()


def app_of(job: GenerationJob) -> str | None:
    """The provider's app, as the addresses that the other backend kept have it.

    Nothing else of them is used: whoever writes a row must not choose where our key is sent.
    """
    for address in (job.provider_status_url, job.provider_response_url):
        if found := APP_IN_ADDRESS.match(address or ""):
            return found[1].rstrip("/")
    return None


async def take_over(session: AsyncSession, generation: Generation, submission: Submission, timing: Any) -> bool:
    """Write the other backend's request down as an accepted attempt of ours, so that its run finds it submitted.

    False when another job has the request.
    """
    attempt = SubmissionAttempt(
        job_id=generation.id,
        number=submission.attempt,
        user_id=generation.user_id,
        provider=generation.provider,
        state=AttemptState.ACCEPTED,
        request_id=submission.request_id,
        status_url=submission.status_url,
        response_url=submission.response_url,
        cancel_url=submission.cancel_url,
    )
    taken = (
        upsert(SubmissionAttempt)
        .values(attempt.model_dump(exclude_none=True))
        .on_conflict_do_nothing()
        .returning(col(SubmissionAttempt.number))
    )
    if (await session.execute(taken)).first() is None:
        return False
    values = {"model": generation.model, "endpoint": generation.endpoint, "timing": timing}
    changed = (
        update(GenerationJob)
        .where(col(GenerationJob.id) == generation.id)
        .values(attempts=submission.attempt, submitted_at=func.coalesce(GenerationJob.submitted_at, func.now()))
        .values(values)
    )
    await session.execute(changed)
    return True


async def allow_submission(
    session: AsyncSession,
    job: GenerationJob,
    *,
    provider: ProviderName,
    model: str,
    endpoint: str,
    arguments: dict[str, Any],
    timing: Any,
    tariff: Any,
) -> bool:
    """An operator lets a row of another backend be submitted: from now on it is one of ours that was never started.

    False when it is not, or no more, an open row of others without a request.
    """
    statement = (
        update(GenerationJob)
        .where(
            col(GenerationJob.id) == job.id,
            col(GenerationJob.status).in_(ACTIVE),
            ~is_ours_to_run(),
            col(GenerationJob.provider_request_id).is_(None),
        )
        .values(origin=Origin.REELAY, status=Status.PENDING, stage=Stage.RESERVING, stage_at=func.now())
        .values(provider=provider, model=model, endpoint=endpoint, arguments=arguments, timing=timing, tariff=tariff)
        .returning(col(GenerationJob.id))
    )
    if (await session.execute(statement)).first() is None:
        return False
    event = JobEvent(
        user_id=job.user_id,
        job_id=job.id,
        status=Status.PENDING,
        stage=Stage.RESERVING,
        detail="An operator lets it be submitted",
    )
    await session.execute(insert(JobEvent).values(event.model_dump(exclude_none=True)))
    return True

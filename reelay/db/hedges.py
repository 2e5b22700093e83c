"""Two models at work on one generation: which of them its row follows, and what its timeline says of the other.

The row's own columns are those of one of them. The other one holds its slot by `beside_provider` and
`beside_endpoint`, and moves nothing but the timeline.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.generations import advance_generation, make_row_that_of
from reelay.db.statuses import ACTIVE_STATUSES
from reelay.db.tables import GenerationJob, SubmissionAttempt
from reelay.domain.failure import Failure
from reelay.domain.generation import Generation, Stage, Status, Submission, state_at_acceptance
from reelay.domain.messages import Sentence
from reelay.domain.money import Charge

DATA = bindparam("data", type_=JSONB)
# Parts of the statement that opens an attempt: `opened` has it, and the row may follow another model.
BEGINNING = (
    f"""
    beside as (
        update generation_jobs as job
        set hedged_at = now(), beside_provider = :provider, beside_endpoint = :beside_endpoint
        from opened
        where job.id = :job and job.status in ({ACTIVE_STATUSES}) and opened.is_new
            and job.attempts_before <> :own_attempts_before and job.hedged_at is null
        returning job.user_id, job.id, job.status, job.stage
    )
    """,
    """
    beside_event as (
        insert into job_events (user_id, job_id, status, stage, detail, data)
        select user_id, id, status, stage, :beside_detail, cast(:beside_data as jsonb) from beside
    )
    """,
)
TELL_STOP = text(f"""
    insert into job_events (user_id, job_id, status, stage, detail, data)
    select user_id, id, status, stage, :detail, :data from generation_jobs as job
    where id = :job and status in ({ACTIVE_STATUSES}) and not exists (
        select from job_events where job_id = job.id and data -> 'hedge' ->> 'event' = 'stopped'
    )
    for no key update of job  -- its last line stays the last
""").bindparams(DATA)
SET_BESIDE = text("""
    update generation_jobs set beside_provider = :provider, beside_endpoint = :endpoint where id = :job
""")
WRITE_EVENT = text("""
    insert into job_events (user_id, job_id, status, stage, detail, data)
    select user_id, id, status, stage, :detail, :data from generation_jobs where id = :job
""").bindparams(DATA)


class HedgeEvent(StrEnum):
    """What the timeline says of two models at work, under `hedge` in an event's data."""

    BEGUN = "begun"
    ENDED_FIRST = "ended_first"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Stopped:
    """What became of a request that another model overtook."""

    answer: str
    """The provider's."""
    cost_cents: int
    """What it has cost at its provider, as far as it has ended."""
    charged_cents: int
    """What of it its user pays."""


async def is_followed(session: AsyncSession, generation: Generation) -> bool:
    """Whether the row follows this model."""
    statement = select(col(GenerationJob.attempts_before)).where(col(GenerationJob.id) == generation.id)
    return await session.scalar(statement) == generation.attempts_before


def beginning_of(generation: Generation) -> dict[str, Any]:
    """The parameters of `BEGINNING`: this model begins beside the one that the row follows."""
    return {
        "beside_endpoint": generation.endpoint,
        "beside_detail": f"It takes long, so {generation.model} at {generation.provider} begins beside it",
        "beside_data": _data(generation, HedgeEvent.BEGUN),
    }


async def lead(
    session: AsyncSession,
    generation: Generation,
    submission: Submission | None,
    other: Generation,
    failure: Failure | None,
    charge: Charge | None = None,
) -> bool:
    """Have the row follow this model. `failure`: of the other one, which is over; None: that one works on beside it.
    `charge`: for the other one's result that is not kept.

    False when nothing changed: it was so already, or the generation has ended.
    """
    job = await session.get(GenerationJob, generation.id, with_for_update=True)
    if job is None or Status(job.status).is_final:
        return False
    is_followed = job.attempts_before == generation.attempts_before
    if is_followed and (failure is None or job.beside_provider is None):
        return False
    if not is_followed:
        attempts = await _attempts(session, generation)
        candidate = 1 if generation.attempts_before else 0
        await make_row_that_of(session, generation, candidate=candidate, attempts=attempts, submission=submission)
    beside = None if failure else other
    holds = {"provider": beside and beside.provider, "endpoint": beside and beside.endpoint}
    await session.execute(SET_BESIDE, {"job": generation.id, **holds})
    if failure:
        message = Sentence("hedge_failed", failed=other.model, model=generation.model)
        detail = f"{failure.message}. Going on with {generation.model} at {generation.provider} alone"
        data = _data(
            other,
            HedgeEvent.FAILED,
            code=failure.code,
            goesOnWith=generation.model,
            follows=generation.provider,
            costCents=charge.cost_cents if charge else 0,
            chargedCents=charge.charged_cents if charge else 0,
        )
    else:
        message = Sentence("hedge_ended_first", model=generation.model)
        detail = f"{generation.model} at {generation.provider} has ended first"
        data = _data(generation, HedgeEvent.ENDED_FIRST, follows=generation.provider)
    if is_followed:
        await session.execute(WRITE_EVENT, {"job": generation.id, "detail": detail, "data": data})
        return True
    status, stage = Status.PENDING, Stage.SUBMITTING
    if submission:
        status, stage = state_at_acceptance(generation.provider, submission)
    return await advance_generation(
        session,
        generation.id,
        status=status,
        stage=stage,
        detail=detail,
        provider=generation.provider,
        message=message,
        data=data,
    )


async def tell_stop(session: AsyncSession, generation: Generation, stopped: Stopped) -> None:
    """In the timeline, once. The slot of this model ends with the row: the provider may take its time to stop."""
    paid = f"it has ended all the same, which costs {stopped.cost_cents} cents" if stopped.cost_cents else "not charged"
    data = _data(
        generation,
        HedgeEvent.STOPPED,
        answer=stopped.answer,
        costCents=stopped.cost_cents,
        chargedCents=stopped.charged_cents,
    )
    detail = f"Stopped {generation.model} at {generation.provider} ({stopped.answer}): {paid}"
    await session.execute(TELL_STOP, {"job": generation.id, "detail": detail, "data": data})


async def _attempts(session: AsyncSession, generation: Generation) -> int:
    newest = select(func.max(col(SubmissionAttempt.number))).where(
        col(SubmissionAttempt.job_id) == generation.id,
        col(SubmissionAttempt.number) > generation.attempts_before,
        col(SubmissionAttempt.number) <= generation.last_attempt,
    )
    return (await session.scalar(newest) or generation.attempts_before) - generation.attempts_before


def _data(generation: Generation, event: HedgeEvent, **more: Any) -> dict[str, Any]:
    return {"hedge": {"event": event, "model": generation.model, "provider": generation.provider, **more}}

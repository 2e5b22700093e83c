"""The attempt log: every paid POST is written down before it is sent."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, Required, TypedDict, Unpack
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import bindparam, exists, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import ReturningUpdate
from sqlmodel import col

from reelay.db.tables import AttemptState, GenerationJob, SubmissionAttempt
from reelay.domain.generation import Generation, ProviderName, Submission

SUBMISSION = TypeAdapter(Submission)
SETTLED = (AttemptState.ACCEPTED, AttemptState.REFUSED)


class Opened(StrEnum):
    """An attempt that may be sent now."""

    NEW = "new"
    AGAIN = "again"
    """It was refused before, so it created no request."""


class GenerationEnded(Exception):
    """Nothing may be sent for it any more."""


# `xmax` tells a row that was inserted from one that was updated. The lock is the one that `cancel_unsubmitted` takes.
OPEN_ATTEMPT = text("""
    with living as (
        select from generation_jobs
        where id = :job and status in ('pending', 'submitted', 'in_progress') and not (slot_withheld and attempts = 0)
        for no key update
    )
    insert into submission_attempts as attempt (job_id, number, user_id, provider, state, webhook_expected, arguments)
    select :job, :number, :user, :provider, 'sending', false, :arguments from living
    on conflict (job_id, number) do update
    set state = 'sending', sent_at = now(), answered_at = null, answer = null, arguments = excluded.arguments
    where attempt.state = 'refused'
    returning xmax = 0
""").bindparams(bindparam("arguments", type_=JSONB(none_as_null=True)))


IS_WITHHELD = text("select slot_withheld from generation_jobs where id = :job and status = 'pending'")


async def open_attempt(
    session: AsyncSession, generation: Generation, number: int, arguments: dict[str, Any] | None = None
) -> Opened | SubmissionAttempt | None:
    """Write the attempt down as `sending`, so that it may be sent. Else the attempt that is in the way, or None: an
    operator holds the job back.

    `arguments`: what is sent, where it is not the generation's own.

    Raises: GenerationEnded.
    """
    values = {
        "job": generation.id,
        "number": number,
        "user": generation.user_id,
        "provider": generation.provider,
        "arguments": arguments,
    }
    is_new = await session.scalar(OPEN_ATTEMPT, values)
    if is_new is not None:
        return Opened.NEW if is_new else Opened.AGAIN
    attempt = await session.get(SubmissionAttempt, (generation.id, number))
    if attempt is None and await session.scalar(IS_WITHHELD, {"job": generation.id}):
        return None
    if attempt is None or attempt.state == AttemptState.REFUSED:
        raise GenerationEnded
    return attempt


async def attempt_of(session: AsyncSession, generation_id: UUID, number: int) -> SubmissionAttempt:
    return await session.get_one(SubmissionAttempt, (generation_id, number))


async def lost_at(session: AsyncSession, attempt: SubmissionAttempt) -> datetime:
    """When the answer was missed: now, while nobody has written that down. By the clock that `sent_at` is of."""
    return attempt.answered_at or (await session.execute(select(func.now()))).scalar_one()


async def record_acceptance(session: AsyncSession, generation_id: UUID, submission: Submission) -> datetime | None:
    """The provider took it, whatever was believed before. When it was sent; None when an acceptance was recorded
    already."""
    return await _answer(
        session,
        generation_id,
        submission.attempt,
        unless=(AttemptState.ACCEPTED,),
        state=AttemptState.ACCEPTED,
        request_id=submission.request_id,
        status_url=submission.status_url,
        response_url=submission.response_url,
        cancel_url=submission.cancel_url,
        webhook_expected=submission.webhook_expected,
        queue_position=submission.queue_position,
    )


async def record_refusal(session: AsyncSession, generation_id: UUID, number: int, answer: str) -> bool:
    recorded = await _answer(session, generation_id, number, unless=SETTLED, state=AttemptState.REFUSED, answer=answer)
    return recorded is not None


async def record_uncertainty(session: AsyncSession, generation_id: UUID, number: int, answer: str) -> bool:
    recorded = await _answer(
        session, generation_id, number, unless=SETTLED, state=AttemptState.UNCERTAIN, answer=answer
    )
    return recorded is not None


async def mark_ended_by_poll(session: AsyncSession, generation_id: UUID, number: int) -> None:
    """A poll has found the end before its webhook came. The first one counts."""
    await session.execute(
        update(SubmissionAttempt)
        .where(
            col(SubmissionAttempt.job_id) == generation_id,
            col(SubmissionAttempt.number) == number,
            col(SubmissionAttempt.ended_by_poll_at).is_(None),
        )
        .values(ended_by_poll_at=func.now())
    )


ANOTHER_REQUEST = text("""
    select number from submission_attempts
    where (job_id, number) = (:job, :number) and request_id <> :request
        or (job_id, number) <> (:job, :number) and provider = :provider and request_id = :request
    limit 1
""")


async def is_another_request(
    session: AsyncSession, provider: ProviderName, generation_id: UUID, number: int, request_id: str
) -> bool:
    """Whether the request is known not to be this attempt's: it is another one's, or this one became another request.

    False for every request while an attempt waits to learn which one it became.
    """
    attempt = {"provider": provider, "job": generation_id, "number": number, "request": request_id}
    return (await session.execute(ANOTHER_REQUEST, attempt)).first() is not None


class Answer(TypedDict, total=False):
    """What becomes of an attempt: its columns."""

    state: Required[AttemptState]
    request_id: str
    status_url: str
    response_url: str
    cancel_url: str
    webhook_expected: bool
    queue_position: int | None
    answer: str


async def _answer(
    session: AsyncSession,
    generation_id: UUID,
    number: int,
    *,
    unless: tuple[AttemptState, ...],
    **answer: Unpack[Answer],
) -> datetime | None:
    """When the attempt was sent; None when nothing changed."""
    params = {"of_job": generation_id, "of_number": number} | {f"new_{name}": value for name, value in answer.items()}
    connection = await session.connection()
    return (await connection.execute(_answering(unless, tuple(answer)), params)).scalar()


@cache
def _answering(unless: tuple[AttemptState, ...], columns: tuple[str, ...]) -> ReturningUpdate[datetime]:
    """Its parameters: `of_job`, `of_number`, and `new_...` for each column."""
    return (
        update(SubmissionAttempt)
        .where(
            col(SubmissionAttempt.job_id) == bindparam("of_job"),
            col(SubmissionAttempt.number) == bindparam("of_number"),
            col(SubmissionAttempt.state).not_in(unless),
        )
        .values({name: bindparam(f"new_{name}") for name in columns} | {"answered_at": func.now()})
        .returning(col(SubmissionAttempt.sent_at))
    )


async def unclaimed_requests(session: AsyncSession, provider: ProviderName, request_ids: Sequence[str]) -> list[str]:
    """Those that no attempt has."""
    claimed = select(col(SubmissionAttempt.request_id)).where(
        col(SubmissionAttempt.provider) == provider, col(SubmissionAttempt.request_id).in_(request_ids)
    )
    taken = set(await session.scalars(claimed))
    return [request_id for request_id in request_ids if request_id not in taken]


async def has_identical_lost_attempt(
    session: AsyncSession, generation: Generation, attempt: SubmissionAttempt, *, slack: timedelta
) -> bool:
    """Whether another generation lost the answer to the very same input at about the same time.

    A request in the provider's list could then be the one's or the other's.
    """
    double = exists().where(
        col(GenerationJob.id) == col(SubmissionAttempt.job_id),
        col(GenerationJob.id) != generation.id,
        col(GenerationJob.endpoint) == generation.endpoint,
        func.coalesce(col(SubmissionAttempt.arguments), col(GenerationJob.arguments))
        == literal(attempt.arguments or generation.arguments, JSONB),
        col(SubmissionAttempt.provider) == generation.provider,
        col(SubmissionAttempt.state).in_([AttemptState.SENDING, AttemptState.UNCERTAIN]),
        col(SubmissionAttempt.sent_at) <= (attempt.answered_at or func.now()) + slack,
        func.coalesce(col(SubmissionAttempt.answered_at), func.now()) >= attempt.sent_at - slack,
    )
    return bool(await session.scalar(select(double)))


def submission_of(attempt: SubmissionAttempt) -> Submission:
    """An accepted attempt as the workflow knows it."""
    # A row that was read holds plain text for these two, of which pydantic would warn.
    columns = attempt.model_dump(exclude={"state", "provider"})
    return SUBMISSION.validate_python({**columns, "attempt": attempt.number})

"""The attempt log: every paid POST is written down before it is sent."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import delete, exists, func, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.accounts import AccountParked
from reelay.db.generations import IS_FOLLOWED, Transition, follows, run_transition
from reelay.db.hedges import BEGINNING, beginning_of
from reelay.db.statuses import ACTIVE_STATUSES
from reelay.db.tables import AttemptState, GenerationJob, ProviderAccount, SubmissionAttempt
from reelay.domain.generation import (
    Generation,
    ProviderName,
    Stage,
    Status,
    Submission,
    WaitingFor,
    state_at_acceptance,
)

SUBMISSION = TypeAdapter(Submission)


class Opened(StrEnum):
    """An attempt that may be sent now."""

    NEW = "new"
    AGAIN = "again"
    """It was refused before, so it created no request."""


class GenerationEnded(Exception):
    """Nothing may be sent for it any more."""


# The lock on the job is the one that `cancel_unsubmitted` takes. `xmax` tells a row that was inserted from one that was
# updated. A probe has its parked account to itself for the lease, or until its answer is noted.
OPENING = Transition(
    first=f"""
        living as (
            select id from generation_jobs
            where id = :job and status in ({ACTIVE_STATUSES})
                and not (slot_withheld and attempts = 0)
            for no key update
        ), probe as (
            update provider_accounts
            set probe_at = now() + cast(:lease as interval), probed_at = now(), probes = probes + 1
            from living
            where provider = :provider and account = :account and parked_at is not null and probe_at <= now()
                and not exists (
                    select from submission_attempts where job_id = :job and number = :number and state <> 'refused'
                )
            returning account
        ), opened as (
            insert into submission_attempts as attempt
                (job_id, number, user_id, provider, state, webhook_expected, arguments)
            select id, :number, :user, :provider, 'sending', false, cast(:arguments as jsonb) from living
            where exists (select from probe) or not exists (
                select from provider_accounts
                where provider = :provider and account = :account and parked_at is not null
            )
            on conflict (job_id, number) do update
            set state = 'sending', sent_at = now(), answered_at = null, answer = null, arguments = excluded.arguments
            where attempt.state = 'refused'
            returning xmax = 0 as is_new
        )
    """,
    source="opened",
    only_if="opened.is_new",
    answer="select is_new from opened",
)
OPENING_BESIDE = replace(OPENING, only_if=f"opened.is_new and {IS_FOLLOWED}", then=BEGINNING)
STATE_OF_JOB = text(f"""
    select status in ({ACTIVE_STATUSES}) as is_living, slot_withheld and attempts = 0 as is_withheld
    from generation_jobs where id = :job
""")


async def open_attempt(
    session: AsyncSession,
    generation: Generation,
    number: int,
    arguments: dict[str, Any] | None = None,
    *,
    account: str,
    lease: timedelta,
) -> Opened | SubmissionAttempt | None:
    """Write the attempt down as `sending`, so that it may be sent. Else the attempt that is in the way, or None: an
    operator holds the job back.

    `arguments`: what is sent, where it is not the generation's own. `lease`: how long a parked account is left alone
    should this be its probe.

    Raises: AccountParked, GenerationEnded.
    """
    parameters = {
        "number": number,
        "user": generation.user_id,
        "provider": generation.provider,
        "account": account,
        "lease": lease,
        "arguments": arguments,
    }
    if own := follows(generation):
        parameters |= own | beginning_of(generation)
    opened = await run_transition(
        session,
        generation.id,
        OPENING_BESIDE if own else OPENING,
        parameters,
        status=Status.PENDING,
        stage=Stage.SUBMITTING,
        detail=f"Submitting to {generation.provider}" + " again" * (number > 1),
        provider=generation.provider,
        attempts=number - generation.attempts_before,
    )
    if opened is not None:
        return Opened.NEW if opened.is_new else Opened.AGAIN
    attempt = await session.get(SubmissionAttempt, (generation.id, number))
    if attempt is not None and attempt.state != AttemptState.REFUSED:
        return attempt
    job = (await session.execute(STATE_OF_JOB, {"job": generation.id})).first()
    if job is None or not job.is_living:
        raise GenerationEnded
    if job.is_withheld:
        return None
    raise AccountParked(await session.get_one(ProviderAccount, (generation.provider, account)))


async def attempt_of(session: AsyncSession, generation_id: UUID, number: int) -> SubmissionAttempt:
    return await session.get_one(SubmissionAttempt, (generation_id, number))


# Whoever opens the attempt at the same time finds it expired, or has opened it before.
EXPIRING = text("""
    insert into submission_attempts as attempt (job_id, number, user_id, provider, state, answered_at)
    select id, :number, user_id, :provider, 'expired', now() from generation_jobs where id = :job
    on conflict (job_id, number) do update set state = 'expired' where attempt.state in ('refused', 'inherited')
""")
NOT_SENT = (AttemptState.REFUSED, AttemptState.INHERITED)


async def sent_attempt_of(session: AsyncSession, generation: Generation, number: int) -> SubmissionAttempt | None:
    """The attempt, if it may have been sent. None: it was not sent in time, and is not sent any more."""
    key = (generation.id, number)
    attempt = await session.get(SubmissionAttempt, key)
    if attempt is None or attempt.state in NOT_SENT:
        values = {"job": generation.id, "number": number, "provider": generation.provider}
        await session.execute(EXPIRING, values)
        attempt = await session.get(SubmissionAttempt, key, populate_existing=True)
    return None if attempt is None or attempt.state == AttemptState.EXPIRED else attempt


async def lost_at(session: AsyncSession, attempt: SubmissionAttempt) -> datetime:
    """When the answer was missed: now, while nobody has written that down. By the clock that `sent_at` is of."""
    return attempt.answered_at or (await session.execute(select(func.now()))).scalar_one()


# The provider dealt with the submission, so the account is not locked (any more). Its row is locked after the job's, as
# where an attempt is opened.
ACCEPTANCE = Transition(
    first="""
        accepted as (
            update submission_attempts
            set state = 'accepted', request_id = :fal_request_id, status_url = :fal_status_url,
                response_url = :fal_response_url, cancel_url = :cancel_url, webhook_expected = :webhook_expected,
                queue_position = :ahead, answered_at = now()
            where job_id = :job and number = :number and state not in ('accepted', 'expired')
            returning sent_at
        )
    """,
    source="accepted",
    then=(
        """
        resumed as (
            update provider_accounts as parked set parked_at = null from accepted left join moved on true
            where provider = :provider and account = :account and parked_at < accepted.sent_at
            returning account
        )
        """,
    ),
    answer="select sent_at, exists (select from resumed) as has_resumed from accepted",
)
ACCEPTANCE_BESIDE = replace(ACCEPTANCE, only_if=IS_FOLLOWED)


@dataclass(frozen=True)
class Acceptance:
    sent_at: datetime
    has_resumed: bool
    """It ended the parking of the account."""


async def accept_submission(
    session: AsyncSession, generation: Generation, submission: Submission, how: str, *, account: str
) -> Acceptance | None:
    """The provider took it, whatever was believed before. None when an acceptance was recorded already."""
    ahead = submission.queue_position
    status, stage = state_at_acceptance(generation.provider, submission)
    parameters = {
        "number": submission.attempt,
        "cancel_url": submission.cancel_url,
        "webhook_expected": submission.webhook_expected,
        "ahead": ahead,
        "provider": generation.provider,
        "account": account,
    }
    own = follows(generation)
    accepted = await run_transition(
        session,
        generation.id,
        ACCEPTANCE_BESIDE if own else ACCEPTANCE,
        parameters | own,
        status=status,
        stage=stage,
        detail=f"{how}, {ahead} ahead in its queue" if ahead else how,
        provider=generation.provider,
        waiting_for=WaitingFor.QUEUE if stage is Stage.QUEUED else None,
        queue_position=ahead if stage is Stage.QUEUED else None,
        data={"requestId": submission.request_id, "attempt": submission.attempt},
        fal_request_id=submission.request_id,
        fal_status_url=submission.status_url,
        fal_response_url=submission.response_url,
        stamped="submitted_at",
    )
    return None if accepted is None else Acceptance(accepted.sent_at, accepted.has_resumed)


async def record_refusal(session: AsyncSession, generation_id: UUID, number: int, answer: str) -> bool:
    return await _record_answer(session, generation_id, number, AttemptState.REFUSED, answer)


async def record_uncertainty(session: AsyncSession, generation_id: UUID, number: int, answer: str) -> bool:
    return await _record_answer(session, generation_id, number, AttemptState.UNCERTAIN, answer)


ANSWER = text("""
    update submission_attempts set state = :state, answer = :answer, answered_at = now()
    where job_id = :job and number = :number and state not in ('accepted', 'refused')
    returning number
""")


async def _record_answer(
    session: AsyncSession, generation_id: UUID, number: int, state: AttemptState, answer: str
) -> bool:
    """False when it is known already what became of the attempt."""
    values = {"job": generation_id, "number": number, "state": state, "answer": answer}
    return (await session.execute(ANSWER, values)).first() is not None


async def inherit_request(session: AsyncSession, generation_id: UUID, earlier: UUID) -> None:
    """What was accepted for the earlier job of the transaction's user becomes this new one's, if anything was."""
    await session.execute(select(func.inherit_request(generation_id, earlier)))


async def forget_inherited(session: AsyncSession, generation_id: UUID, number: int) -> None:
    """It has no result, so that the generation is submitted as any other."""
    await session.execute(
        delete(SubmissionAttempt).where(
            col(SubmissionAttempt.job_id) == generation_id,
            col(SubmissionAttempt.number) == number,
            col(SubmissionAttempt.state) == AttemptState.INHERITED,
        )
    )


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
        or_(
            col(GenerationJob.endpoint) == generation.endpoint,
            col(GenerationJob.beside_endpoint) == generation.endpoint,
        ),
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

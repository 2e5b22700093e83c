"""Of a submission and what keeps it from being sent at the same time, one comes first."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from reelay.db.attempts import GenerationEnded, Opened, open_attempt, record_refusal, sent_attempt_of
from reelay.db.engine import Sessions, make_engine, make_sessions, one_statement
from reelay.db.generations import cancel_unsubmitted, generation_of, insert_generation
from reelay.db.tables import AttemptState, GenerationJob, SubmissionAttempt, User
from reelay.domain.generation import JobType, ProviderName
from tests.servers import Postgres

ACCOUNT = "an account"
TIMING = {
    "expected": "PT1S",
    "patience": "PT1S",
    "poll_interval": "PT1S",
    "adoption_window": "PT1S",
    "deadline": "PT1S",
}


@pytest.fixture
async def sessions(postgres: Postgres) -> AsyncIterator[Sessions]:
    engine = make_engine((await postgres.copy()).admin_url)
    yield make_sessions(engine)
    await engine.dispose()


async def new_job(sessions: Sessions) -> GenerationJob:
    async with sessions.begin() as session:
        user = User(name=str(uuid4()))
        session.add(user)
        await session.flush()
        job = GenerationJob(
            id=uuid4(),
            user_id=user.id,
            job_type=JobType.VIDEO,
            provider=ProviderName.FAL,
            model="a model",
            endpoint="an/endpoint",
            input_params={},
            arguments={},
            timing=TIMING,
        )
        assert await insert_generation(session, job)
    return job


async def opened(session: AsyncSession, job: GenerationJob) -> Opened | SubmissionAttempt | None:
    return await open_attempt(session, generation_of(job), 1, account=ACCOUNT, lease=timedelta(minutes=1))


async def is_opened(sessions: Sessions, job: GenerationJob) -> bool:
    try:
        async with sessions.begin() as session:
            return isinstance(await opened(session, job), Opened)
    except GenerationEnded:
        return False


async def test_nothing_is_sent_of_a_job_that_an_operator_holds_back(sessions: Sessions) -> None:
    """Though its provider has no limit any more, and its run was lost and begun anew."""
    job = await new_job(sessions)
    async with sessions.begin() as session:
        await session.execute(text("update generation_jobs set slot_withheld = true where id = :id"), {"id": job.id})
    async with sessions.begin() as session:
        assert await opened(session, job) is None
    async with sessions.begin() as session:
        await session.execute(text("update generation_jobs set slot_withheld = false where id = :id"), {"id": job.id})
    assert await is_opened(sessions, job)


async def is_canceled(sessions: Sessions, job: GenerationJob) -> bool:
    async with sessions.begin() as session:
        return await cancel_unsubmitted(session, job.user_id, job.id)


@pytest.mark.fault("S12")
async def test_job_is_either_submitted_or_canceled(sessions: Sessions) -> None:
    jobs = [await new_job(sessions) for _ in range(20)]
    for place, job in enumerate(jobs):
        acts = [is_opened(sessions, job), is_canceled(sessions, job)]
        done = await asyncio.gather(*(acts if place % 2 else reversed(acts)))
        assert sorted(done) == [False, True]


async def test_refused_attempt_is_no_submission_and_nothing_is_sent_after_it(sessions: Sessions) -> None:
    job = await new_job(sessions)
    assert await is_opened(sessions, job)
    assert not await is_canceled(sessions, job)
    async with sessions.begin() as session:
        assert await record_refusal(session, job.id, 1, "too many requests")

    assert await is_canceled(sessions, job)
    assert not await is_opened(sessions, job)


async def is_expired(sessions: Sessions, job: GenerationJob) -> bool:
    async with one_statement(sessions) as session:
        return await sent_attempt_of(session, generation_of(job), 1) is None


async def test_attempt_is_either_opened_or_expired(sessions: Sessions) -> None:
    jobs = [await new_job(sessions) for _ in range(20)]
    for place, job in enumerate(jobs):
        acts = [is_opened(sessions, job), is_expired(sessions, job)]
        done = await asyncio.gather(*(acts if place % 2 else reversed(acts)))
        assert sorted(done) == [False, True]


@pytest.mark.parametrize("state", [AttemptState.REFUSED, AttemptState.INHERITED])
async def test_attempt_that_expired_is_not_sent_again_and_no_submission(sessions: Sessions, state: str) -> None:
    job = await new_job(sessions)
    assert await is_opened(sessions, job)
    assert not await is_expired(sessions, job)
    async with sessions.begin() as session:
        await session.execute(
            text("update submission_attempts set state = :state where job_id = :id"), {"state": state, "id": job.id}
        )

    assert await is_expired(sessions, job)
    assert not await is_opened(sessions, job)
    assert await is_expired(sessions, job)
    assert await is_canceled(sessions, job)


async def test_somebody_elses_job_is_not_canceled(sessions: Sessions) -> None:
    job = await new_job(sessions)
    async with sessions.begin() as session:
        assert not await cancel_unsubmitted(session, uuid4(), job.id)
    assert await is_opened(sessions, job)

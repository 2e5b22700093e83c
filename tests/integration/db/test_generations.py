"""A generation's row: what moves it, and what does not any more."""

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from reelay.db.engine import Sessions, make_engine, make_sessions
from reelay.db.generations import (
    advance_generation,
    cancel_generation,
    complete_generation,
    fail_generation,
    insert_generation,
    timeline,
)
from reelay.db.tables import GenerationJob, User
from reelay.domain.failure import Failure, FailureCode
from reelay.domain.generation import JobType, ProviderName, Stage, Status
from reelay.domain.money import Charge
from tests.servers import Postgres

Change = Callable[[AsyncSession, GenerationJob], Awaitable[bool]]


@pytest.fixture
async def owner(postgres: Postgres) -> AsyncIterator[Sessions]:
    engine = make_engine((await postgres.copy()).admin_url)
    yield make_sessions(engine)
    await engine.dispose()


async def completed(session: AsyncSession, job: GenerationJob) -> bool:
    return await complete_generation(session, job.id, files=(), result_url=None, charge=FREE)


async def failed(session: AsyncSession, job: GenerationJob) -> bool:
    failure = Failure(code=FailureCode.PROVIDER_ERROR, message="It broke")
    return await fail_generation(session, job.id, failure, reason=failure.message)


async def canceled(session: AsyncSession, job: GenerationJob) -> bool:
    return await cancel_generation(session, job.id, "Canceled")


async def moved_on(session: AsyncSession, job: GenerationJob) -> bool:
    return await advance_generation(
        session,
        job.id,
        status=Status.IN_PROGRESS,
        stage=Stage.GENERATING,
        detail="Generating",
        provider=ProviderName.FAL,
    )


FREE = Charge(cost_cents=0, charged_cents=0)
ENDS: dict[Status, Change] = {Status.COMPLETED: completed, Status.FAILED: failed, Status.CANCELED: canceled}


async def new_job(session: AsyncSession) -> GenerationJob:
    user = User(name=str(uuid4()))
    session.add(user)
    await session.flush()
    words: dict[str, object] = {"prompt": "a harbour"}
    job = GenerationJob(
        id=uuid4(),
        user_id=user.id,
        job_type=JobType.VIDEO,
        provider=ProviderName.FAL,
        model="veo3.1",
        endpoint="fal-ai/veo3.1",
        input_params=words,
        arguments=words,
        timing={},
    )
    assert await insert_generation(session, job)
    return job


@pytest.mark.fault("W13", "S8")
@pytest.mark.parametrize("end", ENDS)
async def test_the_first_end_is_for_ever(owner: Sessions, end: Status) -> None:
    async with owner.begin() as session:
        job = await new_job(session)
        assert await moved_on(session, job)
        assert await ENDS[end](session, job)
        trail = [event.id for event in await timeline(session, job.user_id, job.id)]
        for change in (*ENDS.values(), moved_on):
            assert not await change(session, job)
        row = await session.get_one(GenerationJob, job.id, populate_existing=True)

        assert row.status == end
        assert [event.id for event in await timeline(session, job.user_id, job.id)] == trail

"""A generation's row: what moves it, and what does not any more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from reelay.db.clips import remove_clip
from reelay.db.engine import Sessions, make_engine, make_sessions
from reelay.db.generations import (
    advance_generation,
    cancel_generation,
    complete_generation,
    fail_generation,
    files_of,
    insert_generation,
    timeline,
)
from reelay.db.pipelines import lock_planned_jobs
from reelay.db.tables import Campaign, Clip, GenerationJob, MediaFileRow, PipelineRow, User
from reelay.domain.failure import Failure, FailureCode
from reelay.domain.generation import JobType, ProviderName, Stage, Status
from reelay.domain.money import Charge
from tests.eventually import eventually
from tests.lock_waits import waits_for_a_lock
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


LOCK = text("select from generation_jobs where id = :id for update nowait")
FREE = Charge(cost_cents=0, charged_cents=0)
ENDS: dict[Status, Change] = {Status.COMPLETED: completed, Status.FAILED: failed, Status.CANCELED: canceled}


async def new_user(session: AsyncSession) -> UUID:
    user = User(name=str(uuid4()))
    session.add(user)
    await session.flush()
    return user.id


async def new_job(session: AsyncSession, user_id: UUID | None = None, **values: Any) -> GenerationJob:
    words: dict[str, object] = {"prompt": "a harbour"}
    job = GenerationJob(
        id=values.pop("id", None) or uuid4(),
        user_id=user_id or await new_user(session),
        job_type=JobType.VIDEO,
        provider=ProviderName.FAL,
        model="veo3.1",
        endpoint="fal-ai/veo3.1",
        input_params=words,
        arguments=words,
        timing={},
        **values,
    )
    assert await insert_generation(session, job)
    return job


async def test_the_end_writes_all_that_is_known_of_a_file(owner: Sessions) -> None:
    async with owner.begin() as session:
        job = await new_job(session)
    file = MediaFileRow(
        user_id=job.user_id,
        job_id=job.id,
        name="video.mp4",
        position=1,
        file_path="a key",
        file_url="https://an.example/address",
        format="video/mp4",
        file_size=2**40,
        sha256="a hash",
        duration_seconds=1.5,
        width=2,
        height=3,
        aspect_ratio="2:3",
        poster_name="poster.jpg",
        poster_path="another key",
        file_name="theirs.mp4",
        flagged=True,
        provenance={"signed": {"by": ["somebody"]}},
        metadata_={"fps": 24},
    )
    written = file.model_dump(exclude={"created_at"})
    assert all(written.values())  # a column that is forgotten here could be forgotten there
    async with owner.begin() as session:
        assert await complete_generation(session, job.id, files=[file], result_url="its address", charge=FREE)
    async with owner() as session:
        (stored,) = await files_of(session, job.user_id, [job.id])
    assert stored.model_dump(exclude={"created_at"}) == written


async def removes_clip(session: AsyncSession, of: GenerationJob) -> None:
    await session.execute(text("select set_config('app.user_id', :user, true)"), {"user": str(of.user_id)})
    assert of.clip_id
    assert await remove_clip(session, of.user_id, of.clip_id)


async def begins_step(session: AsyncSession, of: GenerationJob) -> None:
    assert of.pipeline_id
    await lock_planned_jobs(session, of.pipeline_id)


@pytest.mark.parametrize("change", [removes_clip, begins_step])
async def test_jobs_are_locked_in_the_order_of_their_ids(
    owner: Sessions, change: Callable[[AsyncSession, GenerationJob], Awaitable[None]]
) -> None:
    """So that no two who lock several of them wait for each other."""
    ids = sorted(uuid4() for _ in range(2))
    async with owner.begin() as session:
        user_id = await new_user(session)
        campaign = Campaign(user_id=user_id, name="Winter")
        session.add(campaign)
        await session.flush()
        clip = Clip(user_id=user_id, campaign_id=campaign.id)
        pipeline = PipelineRow(id=uuid4(), user_id=user_id, steps={})
        session.add_all([clip, pipeline])
        await session.flush()
        jobs = [
            await new_job(session, user_id, id=each, clip_id=clip.id, pipeline_id=pipeline.id, is_planned=True)
            for each in reversed(ids)  # the last is found first
        ]

    async def both() -> None:
        async with owner.begin() as session:
            await change(session, jobs[0])

    async with owner.begin() as holder, owner.begin() as asker:
        await holder.execute(LOCK, {"id": ids[0]})
        changing = asyncio.create_task(both())
        await eventually(lambda: waits_for_a_lock(owner))
        await asker.execute(LOCK, {"id": ids[1]})
    await changing


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

"""Pipelines and their steps. Every change is guarded by the state before it, and says whether it happened."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.generations import WITHOUT_RESULT, cancel_generation, generation_of
from reelay.db.tables import Clip, GenerationJob, MediaFileRow, PipelineRow, PipelineStepRow
from reelay.domain.generation import Status
from reelay.domain.pipeline import Begun, Pipeline, PipelineStatus, PlannedStep, Step, StepStatus
from reelay.domain.references import with_addresses

CHECK_EVERY = timedelta(minutes=5)
"""How often somebody sees to it that a pipeline's workflow runs."""
FIRST_CHECK = timedelta(seconds=10)
NOT_NEEDED = "Not needed: an earlier result is reused"
RANDOM_SEEDS = (-1, "random")
"""What asks for another result each time."""


@dataclass(frozen=True)
class StepOfPipeline:
    """A step with the job that stands for it; None where that was deleted."""

    row: PipelineStepRow
    job: GenerationJob | None

    @property
    def status(self) -> StepStatus:
        """Where it stands now: of one that runs, its job knows."""
        if self.row.status != StepStatus.RUNNING:
            return StepStatus(self.row.status)
        if self.job is None:
            return StepStatus.FAILED
        if self.job.status == Status.COMPLETED:
            return StepStatus.COMPLETED
        return StepStatus.FAILED if Status(self.job.status).is_final else StepStatus.RUNNING

    @property
    def is_approved(self) -> bool | None:
        """Of a step with an approval: what was decided. None before that, and of one whose job did not complete."""
        if self.job is None or self.job.status != Status.COMPLETED:
            return None
        return {StepStatus.COMPLETED: True, StepStatus.FAILED: False}.get(StepStatus(self.row.status))


async def insert_pipeline(session: AsyncSession, pipeline: PipelineRow) -> tuple[PipelineRow, bool]:
    """The row as it is stored, and whether it is new: else one with its id was there already."""
    values: dict[Any, Any] = pipeline.model_dump(exclude_none=True)
    values[col(PipelineRow.metadata_)] = values.pop("metadata_")
    values["check_at"] = func.now() + FIRST_CHECK
    inserted = (
        upsert(PipelineRow).values(values).on_conflict_do_nothing(index_elements=["id"]).returning(col(PipelineRow.id))
    )
    is_new = (await session.execute(inserted)).first() is not None
    stored = select(PipelineRow).where(col(PipelineRow.user_id) == pipeline.user_id, col(PipelineRow.id) == pipeline.id)
    return (await session.scalars(stored)).one(), is_new


async def write_steps(session: AsyncSession, steps: Sequence[PipelineStepRow]) -> None:
    """Of a new pipeline, or in place of those that a retry makes again."""
    for step in steps:
        values = step.model_dump()
        await session.execute(
            upsert(PipelineStepRow)
            .values(values)
            .on_conflict_do_update(
                index_elements=["user_id", "pipeline_id", "id"],
                set_={name: values[name] for name in ("status", "job_id", "note")},
            )
        )


async def find_pipeline(
    session: AsyncSession, user_id: UUID, pipeline_id: UUID, *, lock: bool = False
) -> PipelineRow | None:
    statement = select(PipelineRow).where(col(PipelineRow.user_id) == user_id, col(PipelineRow.id) == pipeline_id)
    if lock:
        statement = statement.with_for_update()
    return (await session.scalars(statement)).first()


async def newest_pipelines(
    session: AsyncSession,
    user_id: UUID,
    *,
    limit: int,
    before: tuple[datetime, UUID] | None = None,
    campaign_id: UUID | None = None,
) -> Sequence[PipelineRow]:
    """The user's, newest first, older than `before` (created_at, id); of all clips, or those of one campaign."""
    place = (col(PipelineRow.created_at), col(PipelineRow.id))
    statement = select(PipelineRow).where(col(PipelineRow.user_id) == user_id)
    if before:
        statement = statement.where(tuple_(*place) < tuple_(*before))
    if campaign_id:
        clips = select(col(Clip.id)).where(col(Clip.user_id) == user_id, col(Clip.campaign_id) == campaign_id)
        statement = statement.where(col(PipelineRow.clip_id).in_(clips))
    return (await session.scalars(statement.order_by(*(each.desc() for each in place)).limit(limit))).all()


async def steps_of(
    session: AsyncSession, user_id: UUID, pipeline_ids: Sequence[UUID]
) -> Mapping[UUID, list[StepOfPipeline]]:
    """By pipeline, in the order of the request."""
    statement = (
        select(PipelineStepRow, GenerationJob)
        .outerjoin(
            GenerationJob,
            (col(GenerationJob.id) == col(PipelineStepRow.job_id)) & (col(GenerationJob.user_id) == user_id),
        )
        .options(WITHOUT_RESULT)
        .where(col(PipelineStepRow.user_id) == user_id, col(PipelineStepRow.pipeline_id).in_(pipeline_ids))
        .order_by(col(PipelineStepRow.position))
    )
    found: dict[UUID, list[StepOfPipeline]] = {pipeline_id: [] for pipeline_id in pipeline_ids}
    for row, job in await session.execute(statement):
        found[row.pipeline_id].append(StepOfPipeline(row, job))
    return found


async def plan_of(session: AsyncSession, pipeline: PipelineRow) -> Pipeline:
    """The workflow's input, from the rows alone: a run can be started by whoever finds them."""
    steps = (await steps_of(session, pipeline.user_id, [pipeline.id]))[pipeline.id]
    return Pipeline(
        id=pipeline.id,
        user_id=pipeline.user_id,
        steps=tuple(
            PlannedStep(
                id=step.row.id,
                status=StepStatus(step.row.status),
                needs=tuple(step.row.needs),
                needs_approval=step.row.id in pipeline.approvals,
            )
            for step in steps
        ),
        ended_by=pipeline.ended_by,
    )


CLAIM_CHECKS = text("""
    update pipelines set check_at = now() + cast(:every as interval)
    where id in (
        select id from pipelines where status = 'running' and check_at <= now()
        order by check_at limit :at_most for update skip locked
    )
    returning id
""")


async def claim_pipelines_to_check(session: AsyncSession, *, at_most: int) -> Sequence[PipelineRow]:
    """Everybody's that run, and were not looked at for a while. Of several that ask at once, one gets each."""
    ids = (await session.scalars(CLAIM_CHECKS, {"every": CHECK_EVERY, "at_most": at_most})).all()
    return (await session.scalars(select(PipelineRow).where(col(PipelineRow.id).in_(ids)))).all()


async def find_reusable(session: AsyncSession, user_id: UUID, key: str) -> GenerationJob | None:
    """The user's newest completed job of that content whose files are all there."""
    has_files = select(col(MediaFileRow.id)).where(col(MediaFileRow.job_id) == col(GenerationJob.id)).exists()
    statement = (
        select(GenerationJob)
        .options(WITHOUT_RESULT)
        .where(
            col(GenerationJob.user_id) == user_id,
            col(GenerationJob.content_key) == key,
            col(GenerationJob.status) == Status.COMPLETED,
            has_files,
        )
        .order_by(col(GenerationJob.completed_at).desc())
        .limit(1)
    )
    return (await session.scalars(statement)).first()


def content_key(job: GenerationJob, sums: Mapping[str, str]) -> str | None:
    """The hash of what is asked for, with the sha256 of each input file in its place; None for what is to be random."""
    if job.arguments.get("seed") in RANDOM_SEEDS:
        return None
    content = with_addresses(job.arguments, {place: f"sha256:{sums[place]}" for place in job.input_references})
    return hashlib.sha256(json.dumps([job.endpoint, content], sort_keys=True).encode()).hexdigest()


# ---- what happens to a step


async def lock_planned_jobs(session: AsyncSession, pipeline_id: UUID) -> None:
    """For who may change several of them: in the order of their ids, as everybody locks jobs."""
    await session.execute(PLANNED_JOBS, {"pipeline": pipeline_id})


async def lock_step(session: AsyncSession, step: Step) -> StepOfPipeline | None:
    """With the job that stands for it. None when it was deleted with its user."""
    found = select(PipelineStepRow).where(
        col(PipelineStepRow.pipeline_id) == step.pipeline_id, col(PipelineStepRow.id) == step.id
    )
    row = (await session.scalars(found.with_for_update())).first()
    if row is None:
        return None
    job = select(GenerationJob).where(col(GenerationJob.user_id) == row.user_id, col(GenerationJob.id) == row.job_id)
    return StepOfPipeline(row, (await session.scalars(job.with_for_update(key_share=True))).first())


async def begin_step(session: AsyncSession, row: PipelineStepRow, job: GenerationJob, key: str | None) -> Begun:
    """From now on its job is one like any other, and as old as one that is created now."""
    await session.execute(
        update(GenerationJob)
        .where(col(GenerationJob.id) == job.id)
        .values(is_planned=False, content_key=key, created_at=func.now(), stage_at=func.now())
    )
    await set_step(session, row, StepStatus.RUNNING)
    return Begun(status=StepStatus.RUNNING, generation=generation_of(job))


PLANNED_JOBS = text("""
    select from generation_jobs where pipeline_id = :pipeline and is_planned and status = 'pending'
    order by id for no key update
""")
INPUTS_OF_REUSED = text("""
    update generation_jobs
    set arguments = replace(arguments::text, :planned, :reused)::jsonb,
        input_params = replace(input_params::text, :planned, :reused)::jsonb
    where pipeline_id = :pipeline and is_planned and status = 'pending'
""")


async def reuse_job(
    session: AsyncSession, row: PipelineStepRow, planned: GenerationJob, earlier: GenerationJob
) -> None:
    """The earlier job stands for the step; what was planned for it ends without a cost."""
    await cancel_generation(session, planned.id, NOT_NEEDED)
    await session.execute(
        INPUTS_OF_REUSED,
        {"pipeline": row.pipeline_id, "planned": f"job:{planned.id}", "reused": f"job:{earlier.id}"},
    )
    await set_step(session, row, StepStatus.REUSED, job_id=earlier.id)


async def set_step(
    session: AsyncSession, row: PipelineStepRow, status: StepStatus, *, job_id: UUID | None = None, note: str = ""
) -> None:
    values: dict[str, Any] = {"status": status}
    if job_id:
        values["job_id"] = job_id
    if note:
        values["note"] = note
    await session.execute(
        update(PipelineStepRow)
        .where(col(PipelineStepRow.pipeline_id) == row.pipeline_id, col(PipelineStepRow.id) == row.id)
        .values(values)
    )


async def skip_step(session: AsyncSession, row: PipelineStepRow, job: GenerationJob | None, reason: str) -> None:
    """It is not begun any more; what was held for it is released."""
    if job is not None and job.is_planned:
        await cancel_generation(session, job.id, reason)
    await set_step(session, row, StepStatus.SKIPPED, note=reason)


async def forget_content(session: AsyncSession, job: GenerationJob) -> None:
    """It is not reused from now on."""
    await session.execute(update(GenerationJob).where(col(GenerationJob.id) == job.id).values(content_key=None))


async def end_pipeline(session: AsyncSession, pipeline_id: UUID, run_id: str) -> PipelineStatus:
    """All of its steps have ended. Twice by a run is once; one that was deleted with its user was canceled."""
    pipeline = await _lock(session, pipeline_id)
    if pipeline is None:
        return PipelineStatus.CANCELED
    if _is_to_end(pipeline, run_id):
        steps = (await steps_of(session, pipeline.user_id, [pipeline_id]))[pipeline_id]
        if all(step.status.is_done or step.status.is_lost for step in steps):
            done = all(step.status.is_done for step in steps)
            await _end(session, pipeline, PipelineStatus.COMPLETED if done else PipelineStatus.FAILED, run_id)
    return PipelineStatus(pipeline.status)


async def cancel_steps(session: AsyncSession, pipeline_id: UUID, run_id: str) -> Sequence[GenerationJob]:
    """All of its steps that have not begun: what was held for these is released. With them the pipeline itself, unless
    jobs of it run: these are returned. Twice by a run is once."""
    pipeline = await _lock(session, pipeline_id)
    if pipeline is None or not _is_to_end(pipeline, run_id):
        return ()
    await lock_planned_jobs(session, pipeline_id)
    steps = (await steps_of(session, pipeline.user_id, [pipeline_id]))[pipeline_id]
    for step in steps:
        match step.row.status:
            case StepStatus.WAITING:
                await skip_step(session, step.row, step.job, "Canceled")
            case StepStatus.WAITING_FOR_APPROVAL:
                await set_step(session, step.row, StepStatus.FAILED, note="Canceled")
    running = [step.job for step in steps if step.job and step.status is StepStatus.RUNNING]
    if not running:
        await _end(session, pipeline, PipelineStatus.CANCELED, run_id)
    return running


async def _lock(session: AsyncSession, pipeline_id: UUID) -> PipelineRow | None:
    return await session.get(PipelineRow, pipeline_id, with_for_update=True)


def _is_to_end(pipeline: PipelineRow, run_id: str) -> bool:
    """Not by a run that has ended it already: it was retried since, and goes on by another one."""
    return pipeline.status == PipelineStatus.RUNNING and pipeline.ended_by != run_id


async def _end(session: AsyncSession, pipeline: PipelineRow, status: PipelineStatus, run_id: str) -> None:
    pipeline.status, pipeline.completed_at, pipeline.ended_by = status, datetime.now(UTC), run_id
    await session.flush()


async def resume_pipeline(session: AsyncSession, pipeline: PipelineRow, estimated_cost_cents: int) -> None:
    """It runs again, for those of its steps that were written anew."""
    await session.execute(
        update(PipelineRow)
        .where(col(PipelineRow.user_id) == pipeline.user_id, col(PipelineRow.id) == pipeline.id)
        .values(
            status=PipelineStatus.RUNNING,
            completed_at=None,
            estimated_cost_cents=estimated_cost_cents,
            check_at=func.now() + FIRST_CHECK,
        )
    )

"""The steps of a pipeline: begun, reused, approved, skipped; and its end."""

from datetime import timedelta
from uuid import UUID

from temporalio import activity

from activities.errors import still_running
from activities.inputs import Decided
from activities.stopping import Runs, stop_job
from reelay.db.engine import Sessions
from reelay.db.generations import fail_generation, generation_of
from reelay.db.inputs import input_sums
from reelay.db.pipelines import (
    StepOfPipeline,
    begin_step,
    cancel_steps,
    content_key,
    end_pipeline,
    find_reusable,
    forget_content,
    lock_planned_jobs,
    lock_step,
    reuse_job,
    set_step,
    skip_step,
)
from reelay.db.tables import PipelineRow
from reelay.domain.failure import Failure, FailureCode
from reelay.domain.generation import Status
from reelay.domain.pipeline import Begun, PipelineStatus, Step, StepStatus
from reelay.domain.provider_words import told_to_user

LOOK_AGAIN_IN = timedelta(seconds=5)
INPUT_GONE = Failure(code=FailureCode.INPUT_UNAVAILABLE, message="A file that the step needs is no longer there")


class PipelineActivities:
    def __init__(self, sessions: Sessions, runs: Runs) -> None:
        self._sessions = sessions
        self._runs = runs

    @activity.defn
    async def begin_step(self, step: Step) -> Begun:
        """Its turn has come: an earlier job with the same content stands for it, or its own begins. Twice is once."""
        async with self._sessions.begin() as session:
            await lock_planned_jobs(session, step.pipeline_id)
            found = await lock_step(session, step)
            if found is None:
                return Begun(status=StepStatus.FAILED)
            row, job = found.row, found.job
            if row.status != StepStatus.WAITING:
                return _begun_before(found)
            if job is None or Status(job.status).is_final:
                await set_step(session, row, StepStatus.FAILED)
                return Begun(status=StepStatus.FAILED)
            sums = await input_sums(session, job)
            if sums is None:
                await fail_generation(session, job.id, INPUT_GONE, reason=told_to_user(INPUT_GONE, job.arguments))
                await set_step(session, row, StepStatus.FAILED)
                return Begun(status=StepStatus.FAILED)
            key = content_key(job, sums)
            pipeline = await session.get_one(PipelineRow, step.pipeline_id)
            if pipeline.reuse and key and (earlier := await find_reusable(session, row.user_id, key)):
                await reuse_job(session, row, job, earlier)
                return Begun(status=StepStatus.REUSED)
            return await begin_step(session, row, job, key)

    @activity.defn
    async def wait_for_job(self, step: Step) -> StepStatus:
        """How the step's job ended, by its row. Its retries are the waiting."""
        async with self._sessions() as session:
            found = await lock_step(session, step)
        status = found.status if found else StepStatus.FAILED
        if status is StepStatus.RUNNING:
            raise still_running(f"The job of {step.id} runs", ask_again_in=LOOK_AGAIN_IN)
        return status

    @activity.defn
    async def ask_for_approval(self, step: Step) -> None:
        async with self._sessions.begin() as session:
            found = await lock_step(session, step)
            if found and found.row.status == StepStatus.RUNNING:
                await set_step(session, found.row, StepStatus.WAITING_FOR_APPROVAL)

    @activity.defn
    async def decide(self, decided: Decided) -> None:
        """What was rejected is not reused either."""
        async with self._sessions.begin() as session:
            found = await lock_step(session, decided.step)
            if found is None or found.row.status != StepStatus.WAITING_FOR_APPROVAL:
                return
            status = StepStatus.COMPLETED if decided.is_approved else StepStatus.FAILED
            await set_step(session, found.row, status, note=decided.note)
            if found.job is not None and not decided.is_approved:
                await forget_content(session, found.job)

    @activity.defn
    async def skip_step(self, step: Step) -> None:
        """What it needs is not there; what was held for it is released."""
        async with self._sessions.begin() as session:
            found = await lock_step(session, step)
            if found and found.row.status == StepStatus.WAITING:
                await skip_step(session, found.row, found.job, "A step that it needs was not completed")

    @activity.defn
    async def end_pipeline(self, pipeline_id: UUID) -> PipelineStatus:
        """Completed if all of its steps are."""
        async with self._sessions.begin() as session:
            return await end_pipeline(session, pipeline_id, _run_id())

    @activity.defn
    async def cancel_pipeline(self, pipeline_id: UUID) -> None:
        """What has not begun is skipped. A step that began meanwhile, or by another run, is stopped: the retries are
        the wait for its end."""
        async with self._sessions.begin() as session:
            running = await cancel_steps(session, pipeline_id, _run_id())
        for job in running:
            await stop_job(self._sessions, self._runs, job)
        if running:
            raise still_running("Its jobs are being stopped", ask_again_in=LOOK_AGAIN_IN)


def _run_id() -> str:
    """Of the pipeline's run."""
    run_id = activity.info().workflow_run_id
    assert run_id is not None
    return run_id


def _begun_before(step: StepOfPipeline) -> Begun:
    runs = step.job is not None and step.status is StepStatus.RUNNING
    return Begun(status=step.status, generation=generation_of(step.job) if step.job and runs else None)

"""Sees to it that each pipeline that runs has a workflow, also after a process died or Temporal forgot it."""

from contextlib import AbstractAsyncContextManager
from functools import partial

import structlog

from reelay.background import TaskSupervisor, every
from reelay.db.engine import Sessions
from reelay.db.pipelines import claim_pipelines_to_check, plan_of
from reelay.domain.pipeline import Pipeline
from workflows.runs import PipelineRuns, TemporalFailed

SWEEP_EVERY_SECONDS = 5.0
CHECKED_AT_ONCE = 100

log = structlog.get_logger()


def keeping_pipelines(
    tasks: TaskSupervisor, sessions: Sessions, runs: PipelineRuns
) -> AbstractAsyncContextManager[None]:
    """While the block runs, the pipelines that are due for it are started, unless they run."""
    return tasks.running("pipelines", every(SWEEP_EVERY_SECONDS, partial(start_due, sessions, runs)))


async def start_due(sessions: Sessions, runs: PipelineRuns) -> None:
    async with sessions.begin() as session:
        due = await claim_pipelines_to_check(session, at_most=CHECKED_AT_ONCE)
        plans = [(await plan_of(session, pipeline), pipeline.name) for pipeline in due]
    for plan, name in plans:
        await start_or_leave_to_sweeper(runs, plan, name)


async def start_or_leave_to_sweeper(runs: PipelineRuns, plan: Pipeline, name: str) -> None:
    """The rows are committed: should Temporal be away, the workflow is started when Temporal is back."""
    try:
        await runs.start(plan, name)
    except TemporalFailed as error:
        log.warning("pipeline_start_deferred", pipeline_id=str(plan.id), error=str(error))

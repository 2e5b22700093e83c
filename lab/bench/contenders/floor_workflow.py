"""The job's steps as a Temporal workflow, written in the most direct way."""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from lab.bench.job import WEBHOOK_WITHIN, JobRows, Kept, Steps

TASK_QUEUE = "floor"
TABLE = "floor_jobs"
LIMIT = timedelta(seconds=60)


@dataclass
class Fetched:
    job: str
    url: str


@dataclass
class Completed:
    job: str
    kept: Kept


class FloorActivities:
    def __init__(self, steps: Steps, rows: JobRows) -> None:
        self._steps = steps
        self._rows = rows

    @activity.defn
    async def submit(self, job: str) -> str:
        request_id = await self._steps.submit(job)
        await self._rows.submitted(job, request_id)
        return request_id

    @activity.defn
    async def fetch(self, request_id: str) -> str:
        return await self._steps.fetch(request_id)

    @activity.defn
    async def archive(self, fetched: Fetched) -> Kept:
        return await self._steps.keep(fetched.job, fetched.url)

    @activity.defn
    async def update(self, completed: Completed) -> None:
        await self._rows.completed(completed.job, completed.kept)


@workflow.defn(name="Floor")
class FloorWorkflow:
    def __init__(self) -> None:
        self.signaled = False

    @workflow.run
    async def run(self, job: str) -> None:
        request_id = await workflow.execute_activity_method(FloorActivities.submit, job, start_to_close_timeout=LIMIT)
        await workflow.wait_condition(lambda: self.signaled, timeout=WEBHOOK_WITHIN)
        url = await workflow.execute_activity_method(FloorActivities.fetch, request_id, start_to_close_timeout=LIMIT)
        kept = await workflow.execute_activity_method(
            FloorActivities.archive, Fetched(job, url), start_to_close_timeout=LIMIT
        )
        await workflow.execute_activity_method(
            FloorActivities.update, Completed(job, kept), start_to_close_timeout=LIMIT
        )

    @workflow.signal
    def webhook(self) -> None:
        self.signaled = True

    @workflow.query
    def is_signaled(self) -> bool:
        return self.signaled

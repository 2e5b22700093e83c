"""The least that a generation is to Temporal: five steps that do nothing, and a signal that it waits for."""

from datetime import timedelta

from temporalio import activity, workflow

TASK_QUEUE = "skeletons"


@activity.defn
async def nothing() -> None: ...


@workflow.defn(name="Skeleton")
class SkeletonWorkflow:
    def __init__(self) -> None:
        self.signaled = False

    @workflow.run
    async def run(self) -> None:
        await self.steps(2)
        await workflow.wait_condition(lambda: self.signaled, timeout=timedelta(minutes=4))
        await self.steps(3)

    @workflow.signal
    def webhook(self) -> None:
        self.signaled = True

    @workflow.query
    def is_signaled(self) -> bool:
        return self.signaled

    async def steps(self, count: int) -> None:
        for _ in range(count):
            await workflow.execute_activity(nothing, start_to_close_timeout=timedelta(seconds=30))

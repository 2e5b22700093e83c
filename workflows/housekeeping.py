"""One pass over what is to be deleted. A schedule starts it, or an operator."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from activities.housekeeping import HousekeepingActivities
    from reelay.domain.housekeeping import Pruned
from workflows.task_queues import transfers_queue

LASTING = timedelta(minutes=20)
"""Of one pass. The next goes on."""


@workflow.defn(name="Housekeeping")
class HousekeepingWorkflow:
    @workflow.run
    async def run(self) -> Pruned:
        """What was deleted."""
        return await workflow.execute_activity_method(
            HousekeepingActivities.prune,
            LASTING,
            activity_id="prune",
            task_queue=transfers_queue(workflow.info().task_queue),  # whose workers have the archive's credentials
            start_to_close_timeout=LASTING + timedelta(minutes=5),
            heartbeat_timeout=timedelta(seconds=30),
            # What remains undone is found again by the next pass.
            retry_policy=RetryPolicy(maximum_attempts=3),
        )

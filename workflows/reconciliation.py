"""One pass over the rows that may have lost their run. A schedule starts it."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from activities.reconciliation import ReconciliationActivities
    from reelay.domain.reconciliation import Reconciled


@workflow.defn(name="Reconciliation")
class ReconciliationWorkflow:
    @workflow.run
    async def run(self, grace: timedelta) -> Reconciled:
        """What was found and done; rows that changed within the grace period are left alone."""
        return await workflow.execute_activity_method(
            ReconciliationActivities.reconcile,
            grace,
            activity_id="reconcile",
            start_to_close_timeout=timedelta(minutes=5),
            heartbeat_timeout=timedelta(seconds=15),
            # What remains undone is found again by the next pass.
            retry_policy=RetryPolicy(maximum_attempts=3),
        )

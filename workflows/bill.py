"""One pass over what a provider has billed. A schedule starts it, or an operator."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from activities.bill import BillActivities
    from reelay.domain.bill import BillReconciled, BillToRead
from workflows.task_queues import transfers_queue


@workflow.defn(name="BillReconciliation")
class BillReconciliationWorkflow:
    @workflow.run
    async def run(self, wanted: BillToRead) -> BillReconciled:
        """What was found."""
        return await workflow.execute_activity_method(
            BillActivities.reconcile_bill,
            wanted,
            activity_id="reconcile_bill",
            task_queue=transfers_queue(workflow.info().task_queue),  # whose workers have the key that may read the bill
            start_to_close_timeout=timedelta(minutes=30),
            heartbeat_timeout=timedelta(seconds=30),
            # What remains undone is read again by the next pass.
            retry_policy=RetryPolicy(maximum_attempts=5),
        )

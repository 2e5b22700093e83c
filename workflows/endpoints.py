"""The API has no provider's key: it asks a worker, by this, for what a provider publishes of an endpoint."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from activities.endpoints import EndpointActivities
    from reelay.domain.endpoint import EndpointAnswer


@workflow.defn(name="Endpoint")
class EndpointWorkflow:
    @workflow.run
    async def run(self, endpoint_id: str) -> EndpointAnswer:
        return await workflow.execute_activity_method(
            EndpointActivities.fetch_endpoint,
            endpoint_id,
            activity_id="fetch_endpoint",
            start_to_close_timeout=timedelta(seconds=30),
            retry_policy=RetryPolicy(maximum_attempts=2),
        )

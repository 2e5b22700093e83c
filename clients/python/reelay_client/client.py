"""The calls of the API, for programs without asyncio: each waits for its answer."""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar
from uuid import UUID

from anyio.from_thread import BlockingPortal, start_blocking_portal

from reelay_client.async_client import BATCH_POLL_SECONDS, PATIENCE_SECONDS, AsyncReelay, Clips
from reelay_client.models import (
    Asset,
    Batch,
    BatchEstimate,
    BatchResult,
    Campaign,
    Clip,
    Created,
    CreatedBatch,
    Credits,
    Estimate,
    File,
    Job,
    Model,
    Pipeline,
    PipelineCreated,
    PipelinePlan,
    Produced,
    ProducePlan,
    TimelineEvent,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)

T = TypeVar("T")


class Reelay:
    """`AsyncReelay`, run by an event loop in a thread of its own. Use it as a context manager."""

    def __init__(self, url: str, key: str, *, patience: float = PATIENCE_SECONDS) -> None:
        """`patience`: seconds for which calls that are safe to repeat are repeated while the API does not answer."""
        self._client = AsyncReelay(url, key, patience=patience)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._portal: BlockingPortal = self._open.enter_context(start_blocking_portal())
        self._open.enter_context(self._portal.wrap_async_context_manager(self._client))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def create(self, kind_or_model: str, /, *, idempotency_key: str | None = None, **inputs: Any) -> Created:
        """As `AsyncReelay.create`."""
        create = partial(self._client.create, kind_or_model, idempotency_key=idempotency_key, **inputs)
        return self._portal.call(create)

    def create_at(
        self, path: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> Created:
        """The same by a creating call's own path and body."""
        return self._portal.call(partial(self._client.create_at, path, body, idempotency_key=idempotency_key))

    def retry(
        self,
        job_id: UUID,
        *,
        input: Mapping[str, Any] | None = None,
        confirm: bool = False,
        idempotency_key: str | None = None,
    ) -> Created:
        """As `AsyncReelay.retry`."""
        retry = partial(self._client.retry, job_id, input=input, confirm=confirm, idempotency_key=idempotency_key)
        return self._portal.call(retry)

    def create_batch(
        self,
        jobs: Sequence[Mapping[str, Any]],
        *,
        webhook_url: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> CreatedBatch:
        """As `AsyncReelay.create_batch`."""
        create = partial(self._client.create_batch, jobs, webhook_url=webhook_url, metadata=metadata)
        return self._portal.call(partial(create, idempotency_key=idempotency_key))

    def estimate_batch(self, jobs: Sequence[Mapping[str, Any]]) -> BatchEstimate:
        """As `AsyncReelay.estimate_batch`."""
        return self._portal.call(partial(self._client.estimate_batch, jobs))

    def batch(self, batch_id: UUID) -> Batch:
        return self._portal.call(self._client.batch, batch_id)

    def watch_batch(self, batch_id: UUID, *, poll_seconds: float = BATCH_POLL_SECONDS) -> Iterator[Batch]:
        """The batch now, at each change that is seen, and when all of its jobs have ended."""
        return self._iterate(self._client.watch_batch(batch_id, poll_seconds=poll_seconds))

    def cancel_batch(self, batch_id: UUID) -> Batch:
        """Cancel those of its jobs that have not ended."""
        return self._portal.call(self._client.cancel_batch, batch_id)

    def batch_results(self, batch_id: UUID) -> list[BatchResult]:
        """What its jobs have made so far, in the order of the request."""
        return self._portal.call(self._client.batch_results, batch_id)

    def job(self, job_id: UUID) -> Job:
        return self._portal.call(self._client.job, job_id)

    def jobs(self, **filters: str | int | None) -> Iterator[Job]:
        """The caller's jobs, newest first. Filters are the query's: `status`, `type`, `clipId`, ..."""
        return self._iterate(self._client.jobs(**filters))

    def pages(self, path: str, **query: str | int | None) -> Iterator[dict[str, Any]]:
        """Every entry of a listing call, page after page."""
        return self._iterate(self._client.pages(path, **query))

    def cancel(self, job_id: UUID) -> Job:
        return self._portal.call(self._client.cancel, job_id)

    def delete(self, job_id: UUID) -> None:
        """Delete an ended job with its files. Nothing where it is deleted already. Raises: Refused while it runs."""
        self._portal.call(self._client.delete, job_id)

    def poll(self, job_id: UUID) -> Job:
        """Have the provider asked now."""
        return self._portal.call(self._client.poll, job_id)

    def history(self, job_id: UUID) -> list[TimelineEvent]:
        return self._portal.call(self._client.history, job_id)

    def models(self) -> list[Model]:
        return self._portal.call(self._client.models)

    def estimate(self, model: str, /, **inputs: Any) -> Estimate:
        """What `create` with the same model and inputs would cost."""
        return self._portal.call(partial(self._client.estimate, model, **inputs))

    def credits(self) -> Credits:
        return self._portal.call(self._client.credits)

    def create_campaign(self, name: str, *, metadata: Mapping[str, Any] | None = None) -> Campaign:
        return self._portal.call(partial(self._client.create_campaign, name, metadata=metadata))

    def campaign(self, campaign_id: UUID) -> Campaign:
        return self._portal.call(self._client.campaign, campaign_id)

    def create_clip(
        self, campaign_id: UUID, *, title: str = "", position: int = 0, metadata: Mapping[str, Any] | None = None
    ) -> Clip:
        create = partial(self._client.create_clip, campaign_id, title=title, position=position, metadata=metadata)
        return self._portal.call(create)

    def clip(self, clip_id: UUID) -> Clip:
        return self._portal.call(self._client.clip, clip_id)

    def create_webhook_endpoint(
        self, url: str, *, events: Sequence[str] | None = None, description: str = ""
    ) -> WebhookEndpoint:
        """As `AsyncReelay.create_webhook_endpoint`."""
        return self._portal.call(
            partial(self._client.create_webhook_endpoint, url, events=events, description=description)
        )

    def webhook_endpoints(self) -> list[WebhookEndpoint]:
        return self._portal.call(self._client.webhook_endpoints)

    def webhook_endpoint(self, endpoint_id: UUID) -> WebhookEndpoint:
        return self._portal.call(self._client.webhook_endpoint, endpoint_id)

    def change_webhook_endpoint(self, endpoint_id: UUID, **changes: Any) -> WebhookEndpoint:
        """`status` (`enabled` or `disabled`), `url`, `events`, `description`."""
        return self._portal.call(partial(self._client.change_webhook_endpoint, endpoint_id, **changes))

    def delete_webhook_endpoint(self, endpoint_id: UUID) -> None:
        self._portal.call(self._client.delete_webhook_endpoint, endpoint_id)

    def rotate_webhook_secret(self, endpoint_id: UUID) -> WebhookEndpoint:
        """With the new `secret`. For 24 hours both sign."""
        return self._portal.call(self._client.rotate_webhook_secret, endpoint_id)

    def test_webhook_endpoint(self, endpoint_id: UUID) -> WebhookEndpoint:
        """Have it sent a `webhook.test`."""
        return self._portal.call(self._client.test_webhook_endpoint, endpoint_id)

    def webhook_deliveries(self, endpoint_id: UUID, **filters: str | int | None) -> Iterator[WebhookDelivery]:
        """As `AsyncReelay.webhook_deliveries`."""
        return self._iterate(self._client.webhook_deliveries(endpoint_id, **filters))

    def redeliver_webhook(self, endpoint_id: UUID, delivery_id: UUID) -> WebhookDelivery:
        return self._portal.call(self._client.redeliver_webhook, endpoint_id, delivery_id)

    def redeliver_webhooks(self, endpoint_id: UUID, since: datetime) -> int:
        """All events since then, the oldest 1,000: how many."""
        return self._portal.call(self._client.redeliver_webhooks, endpoint_id, since)

    def webhook_signing_secret(self) -> str:
        """Of the events to the `webhookUrl`s of your jobs and batches."""
        return self._portal.call(self._client.webhook_signing_secret)

    def event_log(self, *, after: int = 0) -> Iterator[WebhookEvent]:
        """As `AsyncReelay.event_log`."""
        return self._iterate(self._client.event_log(after=after))

    def upload(self, file: Path | BinaryIO, *, name: str | None = None) -> Asset:
        """As `AsyncReelay.upload`."""
        return self._portal.call(partial(self._client.upload, file, name=name))

    def assets(self) -> Iterator[Asset]:
        """The files that the caller brought, newest first."""
        return self._iterate(self._client.assets())

    def produce(self, clip_id: UUID, /, *, idempotency_key: str | None = None, **parts: Any) -> PipelineCreated:
        """As `AsyncReelay.produce`."""
        return self._portal.call(partial(self._client.produce, clip_id, idempotency_key=idempotency_key, **parts))

    def produce_campaign(
        self, campaign_id: UUID, clips: Clips, /, *, idempotency_key: str | None = None, **more: Any
    ) -> Produced:
        """As `AsyncReelay.produce_campaign`."""
        produce = partial(self._client.produce_campaign, campaign_id, clips, idempotency_key=idempotency_key, **more)
        return self._portal.call(produce)

    def plan_campaign(self, campaign_id: UUID, clips: Clips, /, **more: Any) -> ProducePlan:
        """What `produce_campaign` with the same would cost."""
        return self._portal.call(partial(self._client.plan_campaign, campaign_id, clips, **more))

    def create_pipeline(
        self, steps: Mapping[str, Any], /, *, idempotency_key: str | None = None, **more: Any
    ) -> PipelineCreated:
        """As `AsyncReelay.create_pipeline`."""
        create = partial(self._client.create_pipeline, steps, idempotency_key=idempotency_key, **more)
        return self._portal.call(create)

    def plan_pipeline(self, steps: Mapping[str, Any], /, **more: Any) -> PipelinePlan:
        """What `create_pipeline` with the same would do and cost."""
        return self._portal.call(partial(self._client.plan_pipeline, steps, **more))

    def pipeline(self, pipeline_id: UUID) -> Pipeline:
        return self._portal.call(self._client.pipeline, pipeline_id)

    def pipelines(self, *, campaign_id: UUID | None = None) -> Iterator[Pipeline]:
        """The caller's pipelines, or those of a campaign's clips, newest first."""
        return self._iterate(self._client.pipelines(campaign_id=campaign_id))

    def approve_step(self, pipeline_id: UUID, step: str, *, note: str = "") -> Pipeline:
        """What needs the step begins."""
        return self._portal.call(partial(self._client.approve_step, pipeline_id, step, note=note))

    def reject_step(self, pipeline_id: UUID, step: str, *, note: str = "") -> Pipeline:
        """What needs the step is skipped."""
        return self._portal.call(partial(self._client.reject_step, pipeline_id, step, note=note))

    def cancel_pipeline(self, pipeline_id: UUID) -> Pipeline:
        return self._portal.call(self._client.cancel_pipeline, pipeline_id)

    def retry_pipeline(self, pipeline_id: UUID) -> Pipeline:
        """Go on with one that failed or was canceled."""
        return self._portal.call(self._client.retry_pipeline, pipeline_id)

    def rerun_pipeline(
        self, pipeline_id: UUID, steps: Mapping[str, Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> PipelineCreated:
        """As `AsyncReelay.rerun_pipeline`."""
        rerun = partial(self._client.rerun_pipeline, pipeline_id, steps, idempotency_key=idempotency_key)
        return self._portal.call(rerun)

    def plan_rerun(self, pipeline_id: UUID, steps: Mapping[str, Mapping[str, Any]]) -> PipelinePlan:
        """What `rerun_pipeline` with the same would do and cost."""
        plan: PipelinePlan = self._portal.call(self._client.plan_rerun, pipeline_id, steps)
        return plan

    def watch_pipeline(self, pipeline_id: UUID) -> Iterator[Pipeline]:
        """The pipeline now, at each change of a step, and at its end."""
        return self._iterate(self._client.watch_pipeline(pipeline_id))

    def watch(self, job_id: UUID) -> Iterator[Job]:
        """The job now, at each change, and at its end."""
        return self._iterate(self._client.watch(job_id))

    def changes(self) -> Iterator[Job]:
        """All jobs of the caller's: the active and the latest ones, then each that changes. Without an end."""
        return self._iterate(self._client.changes())

    def wait(self, job_id: UUID, *, timeout: float | None = None) -> Job:
        """The completed job. `timeout`: seconds. Raises: GenerationFailed, WaitTimeout."""
        return self._portal.call(partial(self._client.wait, job_id, timeout=timeout))

    def download(
        self,
        job: Job,
        to: Path,
        *,
        name: str | None = None,
        on_bytes: Callable[[int, int], None] = lambda received, size: None,
    ) -> File:
        """As `AsyncReelay.download`; `on_bytes` is called in the client's thread."""
        return self._portal.call(partial(self._client.download, job, to, name=name, on_bytes=on_bytes))

    def get(self, path: str, **query: str | int | None) -> Any:
        """Any other call that changes nothing."""
        return self._portal.call(partial(self._client.get, path, **query))

    def delete_at(self, path: str) -> Any:
        """Any other call that deletes something."""
        return self._portal.call(self._client.delete_at, path)

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None) -> Any:
        """Any other call. It is sent once; with a key, where the call takes one, again until it is answered."""
        return self._portal.call(partial(self._client.post, path, body, idempotency_key=idempotency_key))

    def _iterate(self, generator: AsyncGenerator[T]) -> Iterator[T]:
        async def following() -> T | None:
            return await anext(generator, None)

        try:
            while (item := self._portal.call(following)) is not None:
                yield item
        finally:
            self._portal.call(generator.aclose)

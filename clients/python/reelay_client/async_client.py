"""The calls of the API, for asyncio. They outlast an API that is restarted, and a stream that a proxy holds back."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx

from reelay_client.download import Download
from reelay_client.errors import GenerationFailed, NoMedia, NotReachable, WaitTimeout, refusal
from reelay_client.events import Event, read_events
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

Followed = TypeVar("Followed", Job, Pipeline)

KINDS = ("video", "first-frame", "voice", "ambient", "transcribe")
BESIDE_INPUT = (
    "campaignId",
    "clipId",
    "confirm",
    "externalId",
    "fallbacks",
    "hedgeAfterSeconds",
    "maxCostCents",
    "maxExtraCents",
    "maxWaitSeconds",
    "metadata",
    "priority",
    "webhookUrl",
)
"""Members of the body of `POST /api/jobs` that are no input of the model."""
PROGRESS = {"progress": "true"}
Clips = Mapping[UUID, Mapping[str, Any]]
"""What each clip is made of, by its id."""
DRY_RUN = {"dryRun": "true"}
WAIT_SECONDS = 20
UPLOAD_SECONDS = 120
"""Of one write of an upload, and of the look into the file after the last one."""
SILENCE_SECONDS = 30
"""The API sends at least a comment every 15 s on a stream: one that is silent for longer is held back by a proxy."""
PATIENCE_SECONDS = 20
"""With an API that does not answer: it may be restarting."""
PAUSE_SECONDS = 0.5
BATCH_POLL_SECONDS = 2.0


class AsyncReelay:
    """A caller with an API key or a token. Every method raises ReelayError."""

    def __init__(self, url: str, key: str, *, patience: float = PATIENCE_SECONDS) -> None:
        """`patience`: seconds for which calls that may be repeated are repeated while the API does not answer."""
        self.url = url
        self._patience = patience
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {key}"},
            timeout=WAIT_SECONDS + 10,
            # No proxy belongs between two processes of one machine.
            trust_env=urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def create(self, kind_or_model: str, /, *, idempotency_key: str | None = None, **inputs: Any) -> Created:
        """Create a job of a kind (`video`, `first-frame`, `voice`, `ambient`, `transcribe`) or of a model.

        `inputs` is the body in the API's names: prompt, duration, clipId, confirm, ... However often the call has to be
        repeated on the way, the job is started once.
        """
        if kind_or_model in KINDS:
            return await self.create_at(f"/api/generate/{kind_or_model}", inputs, idempotency_key=idempotency_key)
        return await self.create_at("/api/jobs", _job(kind_or_model, inputs), idempotency_key=idempotency_key)

    async def create_at(
        self, path: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> Created:
        """The same by a creating call's own path and body."""
        return Created.read(await self._create(path, body or {}, idempotency_key))

    async def retry(
        self,
        job_id: UUID,
        *,
        input: Mapping[str, Any] | None = None,
        confirm: bool = False,
        idempotency_key: str | None = None,
    ) -> Created:
        """A new job from a failed or canceled one. `input` changes fields of its input; None removes one."""
        body = {"input": dict(input or {}), "confirm": confirm}
        return await self.create_at(f"/api/jobs/{job_id}/retry", body, idempotency_key=idempotency_key)

    async def create_batch(
        self,
        jobs: Sequence[Mapping[str, Any]],
        *,
        webhook_url: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> CreatedBatch:
        """Up to 1,000 jobs, each the body of `POST /api/jobs` (`model`, `input`, ...): all of them or none.

        `webhook_url` is told, once, when the last of them has ended.
        """
        body = {"jobs": [dict(job) for job in jobs], "webhookUrl": webhook_url, "metadata": metadata or {}}
        return CreatedBatch.read(await self._create("/api/batches", body, idempotency_key))

    async def estimate_batch(self, jobs: Sequence[Mapping[str, Any]]) -> BatchEstimate:
        """What `create_batch` with the same jobs would cost. Nothing is created; what it would refuse is refused."""
        body = {"jobs": [dict(job) for job in jobs]}
        return BatchEstimate.read(await self._request_with_retries("POST", "/api/batches", params=DRY_RUN, json=body))

    async def batch(self, batch_id: UUID) -> Batch:
        return Batch.read(await self.get(f"/api/batches/{batch_id}"))

    async def watch_batch(self, batch_id: UUID, *, poll_seconds: float = BATCH_POLL_SECONDS) -> AsyncGenerator[Batch]:
        """The batch now, at each change that is seen, and when all of its jobs have ended."""
        last: Batch | None = None
        while last is None or not last.has_ended:
            if last is not None:
                await asyncio.sleep(poll_seconds)
            batch = await self.batch(batch_id)
            if batch != last:
                yield batch
            last = batch

    async def cancel_batch(self, batch_id: UUID) -> Batch:
        """Cancel those of its jobs that have not ended."""
        return Batch.read(await self._request_with_retries("POST", f"/api/batches/{batch_id}/cancel"))

    async def batch_results(self, batch_id: UUID) -> list[BatchResult]:
        """What its jobs have made so far, in the order of the request."""
        return [BatchResult.read(each) for each in (await self.get(f"/api/batches/{batch_id}/results"))["data"]]

    async def job(self, job_id: UUID) -> Job:
        return Job.read(await self.get(f"/api/jobs/{job_id}"))

    async def jobs(self, **filters: str | int | None) -> AsyncGenerator[Job]:
        """The caller's jobs, newest first, page after page. Filters are the query's: `status`, `type`, `clipId`, ..."""
        async with aclosing(self.pages("/api/jobs", **filters)) as documents:
            async for document in documents:
                yield Job.read(document)

    async def pages(self, path: str, **query: str | int | None) -> AsyncGenerator[dict[str, Any]]:
        """Every entry of a listing call, page after page."""
        while True:
            page = await self.get(path, **query)
            for document in page["data"]:
                yield document
            if not page["hasMore"]:
                return
            query["after"] = page["nextCursor"]

    async def cancel(self, job_id: UUID) -> Job:
        return Job.read(await self._request_with_retries("POST", f"/api/jobs/{job_id}/cancel"))

    async def delete(self, job_id: UUID) -> None:
        """Delete an ended job with its files. Nothing where it is deleted already. Raises: Refused while it runs."""
        await self._request_with_retries("DELETE", f"/api/jobs/{job_id}")

    async def poll(self, job_id: UUID) -> Job:
        """Have the provider asked now."""
        return Job.read(await self._request_with_retries("POST", f"/api/jobs/{job_id}/poll"))

    async def history(self, job_id: UUID) -> list[TimelineEvent]:
        return [TimelineEvent.read(event) for event in (await self.get(f"/api/jobs/{job_id}/history"))["data"]]

    async def models(self) -> list[Model]:
        return [Model.read(model) for model in (await self.get("/api/models"))["data"]]

    async def estimate(self, model: str, /, **inputs: Any) -> Estimate:
        """What `create` with the same model and inputs would cost."""
        body = _job(model, inputs)
        return Estimate.read(await self._request_with_retries("POST", "/api/estimate", json=body))

    async def credits(self) -> Credits:
        return Credits.read(await self.get("/api/credits"))

    async def create_campaign(self, name: str, *, metadata: Mapping[str, Any] | None = None) -> Campaign:
        body = {"name": name, "metadata": metadata or {}}
        return Campaign.read(await self._request_with_retries("POST", "/api/campaigns", json=body, headers=_once()))

    async def campaign(self, campaign_id: UUID) -> Campaign:
        return Campaign.read(await self.get(f"/api/campaigns/{campaign_id}"))

    async def create_clip(
        self, campaign_id: UUID, *, title: str = "", position: int = 0, metadata: Mapping[str, Any] | None = None
    ) -> Clip:
        path = f"/api/campaigns/{campaign_id}/clips"
        body = {"title": title, "position": position, "metadata": metadata or {}}
        return Clip.read(await self._request_with_retries("POST", path, json=body, headers=_once()))

    async def clip(self, clip_id: UUID) -> Clip:
        return Clip.read(await self.get(f"/api/clips/{clip_id}"))

    async def create_webhook_endpoint(
        self, url: str, *, events: Sequence[str] | None = None, description: str = ""
    ) -> WebhookEndpoint:
        """`events`: which types; all, unless given. Its `secret` is in this answer alone."""
        body = {"url": url, "events": None if events is None else list(events), "description": description}
        return WebhookEndpoint.read(await self.post("/api/webhook-endpoints", body))

    async def webhook_endpoints(self) -> list[WebhookEndpoint]:
        return [WebhookEndpoint.read(each) for each in (await self.get("/api/webhook-endpoints"))["data"]]

    async def webhook_endpoint(self, endpoint_id: UUID) -> WebhookEndpoint:
        return WebhookEndpoint.read(await self.get(_endpoint(endpoint_id)))

    async def change_webhook_endpoint(self, endpoint_id: UUID, **changes: Any) -> WebhookEndpoint:
        """`status` (`enabled` or `disabled`), `url`, `events`, `description`."""
        return WebhookEndpoint.read(await self._request_with_retries("PATCH", _endpoint(endpoint_id), json=changes))

    async def delete_webhook_endpoint(self, endpoint_id: UUID) -> None:
        await self._call("DELETE", _endpoint(endpoint_id))

    async def rotate_webhook_secret(self, endpoint_id: UUID) -> WebhookEndpoint:
        """With the new `secret`. For 24 hours both sign."""
        return WebhookEndpoint.read(await self.post(f"{_endpoint(endpoint_id)}/rotate-secret"))

    async def test_webhook_endpoint(self, endpoint_id: UUID) -> WebhookEndpoint:
        """Have it sent a `webhook.test`."""
        return WebhookEndpoint.read(await self.post(f"{_endpoint(endpoint_id)}/test"))

    async def webhook_deliveries(
        self, endpoint_id: UUID, **filters: str | int | None
    ) -> AsyncGenerator[WebhookDelivery]:
        """The newest first, page after page. Filters are the query's: `state`, `type`, `limit`."""
        async with aclosing(self.pages(f"{_endpoint(endpoint_id)}/deliveries", **filters)) as documents:
            async for document in documents:
                yield WebhookDelivery.read(document)

    async def redeliver_webhook(self, endpoint_id: UUID, delivery_id: UUID) -> WebhookDelivery:
        return WebhookDelivery.read(await self.post(f"{_endpoint(endpoint_id)}/deliveries/{delivery_id}/redeliver"))

    async def redeliver_webhooks(self, endpoint_id: UUID, since: datetime) -> int:
        """All events since then, the oldest 1,000: how many."""
        answer = await self.post(f"{_endpoint(endpoint_id)}/redeliver", {"since": since.isoformat()})
        return int(answer["count"])

    async def webhook_signing_secret(self) -> str:
        """Of the events to the `webhookUrl`s of your jobs and batches."""
        return str((await self.get("/api/webhook-endpoints/signing-secret"))["secret"])

    async def event_log(self, *, after: int = 0) -> AsyncGenerator[WebhookEvent]:
        """How your jobs ended, in order, beyond that `sequence`, until there is no more for now."""
        async with aclosing(self.pages("/api/event-log", after=after, limit=100)) as documents:
            async for document in documents:
                yield WebhookEvent.read(document)

    async def upload(self, file: Path | BinaryIO, *, name: str | None = None) -> Asset:
        """Bring a picture, a video or a sound, streamed from the disk; an input takes its `uri`. It is sent once.

        `name`: yours for it; that of the path unless given.
        """
        if isinstance(file, Path):
            with file.open("rb") as content:
                return await self.upload(content, name=name or file.name)
        timeout = httpx.Timeout(UPLOAD_SECONDS, connect=WAIT_SECONDS)
        form = {"file": (name or "file", file)}
        return Asset.read(await self._call("POST", "/api/uploads", files=form, timeout=timeout))

    async def assets(self) -> AsyncGenerator[Asset]:
        """The files that the caller brought, newest first, page after page."""
        async with aclosing(self.pages("/api/assets")) as documents:
            async for document in documents:
                yield Asset.read(document)

    async def produce(self, clip_id: UUID, /, *, idempotency_key: str | None = None, **parts: Any) -> PipelineCreated:
        """A finished clip: `video` with the inputs of its job, and perhaps `firstFrame`, `voice`, `ambient`,
        `captions`; `approvals`, `budgetCents`, ... beside them."""
        return await self._create_pipeline(f"/api/clips/{clip_id}/produce", parts, idempotency_key)

    async def produce_campaign(
        self, campaign_id: UUID, clips: Clips, /, *, idempotency_key: str | None = None, **more: Any
    ) -> Produced:
        """Films of several clips, all of them or none: the parts of each by the clip's id, `{}` for those that its
        `metadata["parts"]` says. `more` in the API's names: `approvals`, `budgetCents`, ..."""
        path, body = _produce(campaign_id, clips, more)
        return Produced.read(await self._create(path, body, idempotency_key))

    async def plan_campaign(self, campaign_id: UUID, clips: Clips, /, **more: Any) -> ProducePlan:
        """What `produce_campaign` with the same would cost."""
        path, body = _produce(campaign_id, clips, more)
        return ProducePlan.read(await self._request_with_retries("POST", path, json=body, params=DRY_RUN))

    async def create_pipeline(
        self, steps: Mapping[str, Any], /, *, idempotency_key: str | None = None, **more: Any
    ) -> PipelineCreated:
        """A plan of steps by ids of your own; `more` in the API's names: `approvals`, `budgetCents`, `clipId`, ..."""
        return await self._create_pipeline("/api/pipelines", {"steps": steps, **more}, idempotency_key)

    async def plan_pipeline(self, steps: Mapping[str, Any], /, **more: Any) -> PipelinePlan:
        """What `create_pipeline` with the same would do and cost."""
        body = {"steps": steps, **more}
        return PipelinePlan.read(await self._request_with_retries("POST", "/api/pipelines", json=body, params=DRY_RUN))

    async def pipeline(self, pipeline_id: UUID) -> Pipeline:
        return Pipeline.read(await self.get(_pipeline(pipeline_id)))

    async def pipelines(self, *, campaign_id: UUID | None = None) -> AsyncGenerator[Pipeline]:
        """The caller's pipelines, or those of a campaign's clips, newest first, page after page."""
        only = {"campaignId": str(campaign_id)} if campaign_id else {}
        async with aclosing(self.pages("/api/pipelines", **only)) as documents:
            async for document in documents:
                yield Pipeline.read(document)

    async def approve_step(self, pipeline_id: UUID, step: str, *, note: str = "") -> Pipeline:
        """What needs the step begins."""
        return Pipeline.read(await self.post(f"{_pipeline(pipeline_id)}/approve", {"step": step, "note": note}))

    async def reject_step(self, pipeline_id: UUID, step: str, *, note: str = "") -> Pipeline:
        """What needs the step is skipped."""
        return Pipeline.read(await self.post(f"{_pipeline(pipeline_id)}/reject", {"step": step, "note": note}))

    async def cancel_pipeline(self, pipeline_id: UUID) -> Pipeline:
        return Pipeline.read(await self._request_with_retries("POST", f"{_pipeline(pipeline_id)}/cancel"))

    async def retry_pipeline(self, pipeline_id: UUID) -> Pipeline:
        """Go on with one that failed or was canceled."""
        return Pipeline.read(await self.post(f"{_pipeline(pipeline_id)}/retry"))

    async def rerun_pipeline(
        self, pipeline_id: UUID, steps: Mapping[str, Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> PipelineCreated:
        """A new one, in which these steps have other inputs: `{"voice": {"text": ...}}`. The rest is reused."""
        return await self._create_pipeline(f"{_pipeline(pipeline_id)}/rerun", _changes(steps), idempotency_key)

    async def plan_rerun(self, pipeline_id: UUID, steps: Mapping[str, Mapping[str, Any]]) -> PipelinePlan:
        """What `rerun_pipeline` with the same would do and cost."""
        path = f"{_pipeline(pipeline_id)}/rerun"
        return PipelinePlan.read(await self._request_with_retries("POST", path, json=_changes(steps), params=DRY_RUN))

    def watch_pipeline(self, pipeline_id: UUID) -> AsyncGenerator[Pipeline]:
        """The pipeline now, whenever one of its steps changes, and at its end. As `watch` follows a job."""
        return self._follow(partial(self._read_pipeline, pipeline_id))

    def watch(self, job_id: UUID) -> AsyncGenerator[Job]:
        """The job now, whenever it or its estimated progress changes, and at its end.

        By events, by polling where these do not come through; outlasts an API that is restarted.
        """
        return self._follow(partial(self._read_states, job_id))

    async def changes(self) -> AsyncGenerator[Job]:
        """All jobs of the caller's: the active and the latest ones, then each that changes. Without an end.

        By events alone; outlasts an API that is restarted.
        """
        state = WatchState()
        patience = Patience(self._patience)
        while True:
            try:
                async with aclosing(self._events("/api/events", state)) as events:
                    async for event in events:
                        patience.renew()
                        if event.name == "job.updated" and (job := state.job_after(event)):
                            yield job
                patience.renew()
            except NotReachable:
                if patience.is_over:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def wait(self, job_id: UUID, *, timeout: float | None = None) -> Job:
        """The completed job. `timeout`: seconds. Raises: GenerationFailed, WaitTimeout."""
        last: Job | None = None
        try:
            async with asyncio.timeout(timeout), aclosing(self.watch(job_id)) as states:
                async for job in states:
                    last = job
        except TimeoutError:
            raise WaitTimeout(last) from None
        assert last is not None, "a watch ends with the ended job"
        if last.status != "completed":
            raise GenerationFailed(last)
        return last

    async def download(
        self,
        job: Job,
        to: Path,
        *,
        name: str | None = None,
        on_bytes: Callable[[int, int], None] = lambda received, size: None,
    ) -> File:
        """Store the job's first file, or the one of that name, at `to`; nothing is there until it is complete.

        `on_bytes` is called with (bytes received, size in bytes). Raises: NoMedia, DamagedDownload.
        """
        file = next((file for file in job.files if name in (None, file.name)), None)
        if file is None:
            raise NoMedia(f"job {job.id} has no file{f' {name}' if name else ''}: it is {job.status}")
        try:
            # At our address, whatever the service believes its own to be. The key does not follow to another host.
            request = self._http.stream("GET", urlsplit(file.file_url).path, follow_redirects=True)
            async with request as response:
                await _check(response)
                with Download(to, file, on_bytes) as download:
                    async for part in response.aiter_bytes():
                        await asyncio.to_thread(download.write, part)
        except httpx.TransportError as error:
            raise self._not_reachable(error) from error
        return file

    async def get(self, path: str, **query: str | int | None) -> Any:
        """Any other call that changes nothing."""
        params = {name: value for name, value in query.items() if value is not None}
        return await self._request_with_retries("GET", path, params=params)

    async def delete_at(self, path: str) -> Any:
        """Any other call that deletes something."""
        return await self._request_with_retries("DELETE", path)

    async def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> Any:
        """Any other call. It is sent once; with a key, where the call takes one, again until it is answered."""
        if idempotency_key is None:
            return await self._call("POST", path, json=body or {})
        headers = {"idempotency-key": idempotency_key}
        return await self._request_with_retries("POST", path, json=body or {}, headers=headers)

    async def _create(self, path: str, body: Mapping[str, Any], idempotency_key: str | None) -> Any:
        key = idempotency_key or str(uuid4())
        try:
            return await self._request_with_retries("POST", path, json=body, headers={"idempotency-key": key})
        except NotReachable as error:
            raise NotReachable(f"{error}; to repeat this safely, use the idempotency key {key}") from error

    async def _follow(self, read: Callable[["WatchState"], AsyncGenerator[Followed]]) -> AsyncGenerator[Followed]:
        """What is read, again and again, to its end; outlasts an API that is restarted. Raises: NotReachable."""
        state = WatchState()
        patience = Patience(self._patience)
        while True:
            try:
                async with aclosing(read(state)) as states:
                    async for each in states:
                        patience.renew()
                        yield each
                        if each.has_ended:
                            return
                patience.renew()
            except NotReachable:
                if patience.is_over:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def _read_states(self, job_id: UUID, state: "WatchState") -> AsyncGenerator[Job]:
        if state.by_events:
            async with aclosing(self._events(f"/api/jobs/{job_id}/events", state)) as events:
                async for event in events:
                    if job := state.job_after(event):
                        yield job
        else:
            yield Job.read(await self._call("GET", f"/api/jobs/{job_id}", params={"wait": WAIT_SECONDS}))

    async def _read_pipeline(self, pipeline_id: UUID, state: "WatchState") -> AsyncGenerator[Pipeline]:
        path = _pipeline(pipeline_id)
        if state.by_events:
            async with aclosing(self._events(f"{path}/events", state, with_progress=False)) as events:
                async for event in events:
                    yield Pipeline.read(event.data)
        else:
            yield Pipeline.read(await self._call("GET", path))

    async def _create_pipeline(
        self, path: str, body: Mapping[str, Any], idempotency_key: str | None
    ) -> PipelineCreated:
        return PipelineCreated.read(await self._create(path, body, idempotency_key))

    async def _events(self, path: str, state: "WatchState", *, with_progress: bool = True) -> AsyncGenerator[Event]:
        """Until the stream ends. After one that is no stream, or silent, polling takes over."""
        timeout = httpx.Timeout(WAIT_SECONDS, read=SILENCE_SECONDS)
        headers = {"accept": "text/event-stream", "last-event-id": state.after}
        try:
            async with self._http.stream(
                "GET", path, params=PROGRESS if with_progress else {}, headers=headers, timeout=timeout
            ) as response:
                await _check(response)
                state.by_events = response.headers.get("content-type", "").startswith("text/event-stream")
                async with aclosing(read_events(response)) as events:
                    async for event in events:
                        yield event
        except httpx.ReadTimeout:
            state.by_events = False
        except httpx.TransportError as error:
            raise self._not_reachable(error) from error

    async def _request_with_retries(self, method: str, path: str, **options: Any) -> Any:
        """A call that may be repeated, because it changes nothing, or nothing twice."""
        patience = Patience(self._patience)
        while True:
            try:
                return await self._call(method, path, **options)
            except NotReachable:
                if patience.is_over:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = await self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise self._not_reachable(error) from error
        await _check(response)
        return response.json() if response.content else None

    def _not_reachable(self, error: httpx.TransportError) -> NotReachable:
        return NotReachable(f"{self.url} does not answer ({type(error).__name__})")


def _endpoint(endpoint_id: UUID) -> str:
    return f"/api/webhook-endpoints/{endpoint_id}"


def _produce(campaign_id: UUID, clips: Clips, more: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    body = {"clips": {str(clip_id): dict(parts) for clip_id, parts in clips.items()}, **more}
    return f"/api/campaigns/{campaign_id}/produce", body


def _pipeline(pipeline_id: UUID) -> str:
    return f"/api/pipelines/{pipeline_id}"


def _changes(steps: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {"steps": {name: {"input": dict(inputs)} for name, inputs in steps.items()}}


def _job(model: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The body of `POST /api/jobs`."""
    beside = {name: inputs[name] for name in BESIDE_INPUT if name in inputs}
    return {"model": model, "input": {name: inputs[name] for name in inputs if name not in beside}, **beside}


def _once() -> dict[str, str]:
    return {"idempotency-key": str(uuid4())}


class WatchState:
    """How far a job has been followed."""

    def __init__(self) -> None:
        self.by_events = True
        self.after = "0"
        self._job: Job | None = None

    def job_after(self, event: Event) -> Job | None:
        if event.name == "job.updated":
            self.after = event.id or self.after
            self._job = Job.read(event.data)
        elif event.name == "job.progress" and self._job:
            self._job = self._job.with_progress(event.data)
        else:
            return None
        return self._job


class Patience:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        self._until = asyncio.get_running_loop().time() + self._seconds

    @property
    def is_over(self) -> bool:
        return asyncio.get_running_loop().time() > self._until


async def _check(response: httpx.Response) -> None:
    """Raises: Refused, NotReachable."""
    if not response.is_error:
        return
    await response.aread()
    error = refusal(response)
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise NotReachable(f"the service is not able to answer now: {error}")
    raise error

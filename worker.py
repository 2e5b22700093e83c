"""The worker process: where workflows and activities meet what they need."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import MetricMeter, VersioningBehavior, WorkerDeploymentVersion
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig

from activities.abandoned_uploads import SWEEP_EVERY_SECONDS, AbandonedUploads
from activities.archive import ArchiveActivities
from activities.bill import BillActivities
from activities.catalog_watch import watching_catalog
from activities.conclusion import ConclusionActivities
from activities.endpoints import EndpointActivities
from activities.final_pushes import StoredFinalPushes
from activities.housekeeping import HousekeepingActivities
from activities.input_files import InputFileActivities
from activities.metrics import ACTIVITY_SECONDS, SECONDS, MetricsInterceptor, counting_task_failures
from activities.mixing import MixActivities
from activities.outgoing import SECONDS_TO_DELIVERY, OutgoingActivities
from activities.pipelines import PipelineActivities
from activities.polling import PollingActivities
from activities.reconciliation import ReconciliationActivities
from activities.retries import RetryInterceptor, Timeline
from activities.slot_learning import LEARN_EVERY_SECONDS, SlotLearning
from activities.slots import Slots
from activities.submission import SubmissionActivities
from api.notifications.payloads import WebhookPayloads
from reelay.background import TaskSupervisor, every
from reelay.catalog.loader import load_catalog
from reelay.content_credentials import ContentCredentials, read_signatory
from reelay.db.engine import Sessions, make_engine, make_sessions
from reelay.media.decoder_pool import DecoderPool
from reelay.media.download import open_sources
from reelay.media.signer import Signer
from reelay.media.storage import Storage, open_storage
from reelay.media.time_stamps import TimeStampAuthority
from reelay.outbound import OutboundProxies, open_client
from reelay.outgoing.fal import fal_signing_key
from reelay.outgoing.secrets import EndpointSecrets
from reelay.outgoing.sender import ReceiverPolicy, Sender
from reelay.providers.registry import Providers, open_bill, open_platform, open_providers
from reelay.settings import FlaggedResults, Settings
from reelay.tracing.spans import tracing
from reelay.worker_health import WorkerHealth, serving_health
from workflows.bill import BillReconciliationWorkflow
from workflows.client import connect
from workflows.endpoints import EndpointWorkflow
from workflows.generation import GenerationWorkflow
from workflows.housekeeping import HousekeepingWorkflow
from workflows.outgoing import waking_receivers
from workflows.pipeline import PipelineWorkflow
from workflows.reconciliation import ReconciliationWorkflow
from workflows.runs import GenerationRuns
from workflows.schedule import keeping_bill_reconciliation, keeping_housekeeping, keeping_schedule
from workflows.task_queues import TaskQueue, transfers_queue, webhooks_queue

# Of one worker. After 300 webhooks within a second, 200 at once kept each other from their heartbeats, timed out and
# began again, without end.
TRANSFERS_AT_ONCE = 16
# Beats are sent at most this often; the archive activity hears of a cancellation no later.
HEARTBEAT_THROTTLE = timedelta(seconds=1)
# Each waits for one receiver, and most of them for nothing else: with few, absent receivers would keep others waiting.
RECEIVERS_AT_ONCE = 1000


async def run_worker(settings: Settings, queues: Collection[TaskQueue]) -> None:
    """Work until SIGTERM or SIGINT; what is under way then is finished or handed over within the grace period."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        stack.enter_context(tracing("reelay-worker"))
        metrics = unused_loopback_address()
        runtime = measured(metrics) if settings.worker_health_port else None
        client = await connect(settings.encryption_keys, runtime=runtime)
        health = await stack.enter_async_context(working(settings, client, queues))
        if settings.worker_health_port:
            await stack.enter_async_context(
                serving_health(
                    health,
                    host=settings.worker_health_host,
                    port=settings.worker_health_port,
                    metrics_url=f"http://{metrics}/metrics",
                )
            )
        await stop.wait()
        health.is_draining = True
        await shut_down(health.pollers)


def unused_loopback_address() -> str:
    """The SDK serves metrics itself, and does not tell at which port it did where it is given none."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def measured(address: str) -> Runtime:
    """A runtime that serves Prometheus the worker's metrics, the SDK's and ours, at that host and port."""
    prometheus = PrometheusConfig(
        bind_address=address,
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
        histogram_bucket_overrides={ACTIVITY_SECONDS: SECONDS, SECONDS_TO_DELIVERY: SECONDS},
    )
    return Runtime(telemetry=TelemetryConfig(metrics=prometheus))


@asynccontextmanager
async def working(
    settings: Settings,
    client: Client,
    queues: Collection[TaskQueue] = tuple(TaskQueue),
    *,
    transfers_at_once: int = TRANSFERS_AT_ONCE,
) -> AsyncIterator[WorkerHealth]:
    """While the block runs, tasks of the queues are taken: by one worker each, with all that they need."""
    engine = make_engine(settings.service_url, pool_size=settings.database_pool_size_worker)
    tasks = TaskSupervisor(counting_task_failures(meter_of(client)))
    storage = None
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        sessions = make_sessions(engine)
        workers = []
        if TaskQueue.WEBHOOKS in queues:
            workers.append(await open_webhooks_worker(settings, client, sessions, tasks, stack))
        if set(queues) - {TaskQueue.WEBHOOKS}:  # that one calls no provider
            providers = await stack.enter_async_context(open_providers(settings, StoredFinalPushes(sessions)))
        if TaskQueue.GENERATIONS in queues:
            workers.append(await open_generations_worker(settings, client, sessions, providers, tasks, stack))
        if TaskQueue.TRANSFERS in queues:
            storage = open_storage(
                settings.archive_location,
                scratch=settings.data_dir / "scratch",
                allow_http=settings.archive_allows_http,
                public_url=settings.archive_public_url,
            )
            workers.append(
                await open_transfers_worker(
                    settings, client, sessions, providers, storage, tasks, stack, at_once=transfers_at_once
                )
            )
        for worker in workers:
            await stack.enter_async_context(worker)
        stack.push_async_callback(shut_down, workers)
        yield WorkerHealth(client=client, sessions=sessions, storage=storage, tasks=tasks, pollers=workers)


async def shut_down(workers: Sequence[Worker]) -> None:
    """All at once: each may take the whole grace period."""
    await asyncio.gather(*(worker.shutdown() for worker in workers))


async def open_generations_worker(
    settings: Settings,
    client: Client,
    sessions: Sessions,
    providers: Providers,
    tasks: TaskSupervisor,
    stack: AsyncExitStack,
) -> Worker:
    runs = GenerationRuns(
        client, settings.task_queue, settings.app_url, with_search_attributes=settings.search_attributes
    )
    slots = Slots(sessions, runs, settings.slots)
    submission = SubmissionActivities(settings, sessions, providers, slots)
    polling = PollingActivities(sessions, providers, settings.account_names)
    conclusion = ConclusionActivities(sessions, providers, settings.language, slots, settings.account_names)
    pipelines = PipelineActivities(sessions, runs)
    catalog = load_catalog(more=settings.catalog_dir)
    reconciliation = ReconciliationActivities(settings, sessions, providers, runs, catalog)
    platform = await stack.enter_async_context(open_platform(settings))
    endpoints = EndpointActivities(sessions, platform)
    await stack.enter_async_context(tasks.running("slots", slots.keep))
    learning = SlotLearning(sessions, providers, settings.slots)
    await stack.enter_async_context(tasks.running("slot_learning", every(LEARN_EVERY_SECONDS, learning.learn)))
    await stack.enter_async_context(watching_catalog(tasks, meter_of(client), catalog, platform))
    await stack.enter_async_context(keeping_schedule(tasks, client, settings.task_queue, settings.reconcile_every))
    await stack.enter_async_context(keeping_housekeeping(tasks, client, settings.task_queue, settings.housekeep_every))
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=[
            GenerationWorkflow,
            PipelineWorkflow,
            ReconciliationWorkflow,
            EndpointWorkflow,
            HousekeepingWorkflow,
            BillReconciliationWorkflow,
        ],
        activities=[
            submission.submit,
            submission.adopt,
            submission.find,
            submission.stored_report,
            polling.poll,
            conclusion.complete,
            conclusion.withdraw,
            conclusion.fall_back,
            conclusion.lead,
            conclusion.stop,
            conclusion.end,
            reconciliation.reconcile,
            endpoints.fetch_endpoint,
            pipelines.begin_step,
            pipelines.wait_for_job,
            pipelines.ask_for_approval,
            pipelines.decide,
            pipelines.skip_step,
            pipelines.end_pipeline,
            pipelines.cancel_pipeline,
        ],
        interceptors=[MetricsInterceptor(), RetryInterceptor(Timeline(sessions))],
        # A replay costs a third of what it does in the sandbox, which the tests run in:
        # docs/decisions/021-workflow-workers.md.
        workflow_runner=UnsandboxedWorkflowRunner(),
        graceful_shutdown_timeout=settings.grace,
        # A run that was cached by a worker that was killed waits this long for it. The SDK's default is 10 s.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=3),
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        max_concurrent_activities=200,
        # Each runs in a thread. The SDK's 100 leave the event loop no time for heartbeats when many wake up at once.
        max_concurrent_workflow_tasks=16,
        max_cached_workflows=settings.max_cached_workflows,
        deployment_config=deployment_of(settings),
    )


async def open_transfers_worker(
    settings: Settings,
    client: Client,
    sessions: Sessions,
    providers: Providers,
    storage: Storage,
    tasks: TaskSupervisor,
    stack: AsyncExitStack,
    *,
    at_once: int,
) -> Worker:
    sources = await stack.enter_async_context(open_sources(settings))
    await asyncio.to_thread(storage.sweep_scratch)
    uploads = AbandonedUploads(sessions, storage)
    await stack.enter_async_context(tasks.running("abandoned_uploads", every(SWEEP_EVERY_SECONDS, uploads.delete)))
    decoders = await stack.enter_async_context(DecoderPool(trust_anchors=settings.content_credentials_trust_anchors))
    archive = ArchiveActivities(
        sessions,
        providers,
        storage,
        sources,
        decoders.inspect,
        collect_logs=settings.provider_logs,
        keep_flagged=settings.flagged_results is FlaggedResults.KEEP,
        account_names=settings.account_names,
    )
    signer = await signer_of(settings, stack)
    mixing = MixActivities(sessions, storage, decoders.inspect, signer, at_most_bytes=settings.archive_max_bytes)
    runs = GenerationRuns(client, settings.task_queue, settings.app_url)
    housekeeping = HousekeepingActivities(settings, sessions, providers, storage, runs)
    bill = await stack.enter_async_context(open_bill(settings))
    if bill is not None:
        await stack.enter_async_context(keeping_bill_reconciliation(tasks, client, settings.task_queue))
    return Worker(
        client,
        task_queue=transfers_queue(settings.task_queue),
        activities=[
            archive.archive,
            housekeeping.prune,
            BillActivities(sessions, bill).reconcile_bill,
            InputFileActivities(sessions, providers, storage).hand_over,
            mixing.mix,
        ],
        interceptors=[MetricsInterceptor(), RetryInterceptor(Timeline(sessions))],
        graceful_shutdown_timeout=settings.grace,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        max_concurrent_activities=at_once,
        deployment_config=deployment_of(settings),
    )


async def open_webhooks_worker(
    settings: Settings, client: Client, sessions: Sessions, tasks: TaskSupervisor, stack: AsyncExitStack
) -> Worker:
    """Of no deployment version: a delivery has no history that its code would have to fit."""
    secret = settings.outgoing_webhook_secret.get_secret_value().encode()
    outgoing = OutgoingActivities(
        sessions,
        Sender(ReceiverPolicy.of(settings), proxies=OutboundProxies.of(settings)),
        EndpointSecrets(secret),
        fal_signing_key(secret),
        WebhookPayloads(settings.language),
        settings.outgoing_webhook_schedule,
    )
    task_queue = webhooks_queue(settings.task_queue)
    await stack.enter_async_context(waking_receivers(tasks, client, sessions, task_queue))
    return Worker(
        client,
        task_queue=task_queue,
        activities=[outgoing.deliver_webhooks],
        graceful_shutdown_timeout=settings.grace,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        max_concurrent_activities=RECEIVERS_AT_ONCE,
    )


async def signer_of(settings: Settings, stack: AsyncExitStack) -> Signer | None:
    """Of what Reelay makes; None: it is not signed. Raises: UnfitCredentials."""
    if settings.content_credentials is ContentCredentials.OFF:
        return None
    signatory = read_signatory(settings.content_credentials_cert, settings.content_credentials_key)
    time_stamps = None
    if url := settings.content_credentials_tsa_url:
        time_stamps = TimeStampAuthority(url, await stack.enter_async_context(open_client(settings)))
    return Signer(signatory, time_stamps)


def meter_of(client: Client) -> MetricMeter:
    return (client.service_client.config.runtime or Runtime.default()).metric_meter


def deployment_of(settings: Settings) -> WorkerDeploymentConfig | None:
    """Where workers are versioned, a run ends on the version that began it, whatever becomes of the workflow's code.

    None: the worker that is there goes on with every run.
    """
    if settings.worker_deployment is None or settings.worker_build_id is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name=settings.worker_deployment, build_id=settings.worker_build_id),
        use_worker_versioning=True,
        # Here and not on the classes: of a worker without a version the server takes no task that says so.
        default_versioning_behavior=VersioningBehavior.PINNED,
    )

"""What the routes work with, opened once per process and closed in reverse order."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, Request
from temporalio.client import Client

from api.catalog.endpoints import Endpoints
from api.chat.models import chat_models
from api.doors.fal.door import FalDoor
from api.doors.fal.replays import Replays
from api.events.changes import Changes, open_changes
from api.events.open_streams import OpenStreams
from api.events.reads import SharedReads
from api.events.revalidation import Revalidation, revalidating
from api.generations.forecasts import Forecasts
from api.generations.start import starting_unstarted
from api.identity.callers import Callers
from api.identity.limits import Limits
from api.identity.tokens import KEYS_KEPT_FOR, KEYS_RENEWED_AFTER, Tokens, parse_token_keys
from api.media.link_key import storing_link_key
from api.metrics import Metrics, refreshing_gauges
from api.pipelines.start import keeping_pipelines
from api.webhooks.delivery_log import DeliveryLog
from api.webhooks.inbox import Inbox
from api.webhooks.redelivery import Redelivery, draining
from api.webhooks.studio import Pushes
from reelay.background import TaskSupervisor
from reelay.catalog.catalog import Catalog
from reelay.catalog.loader import load_catalog
from reelay.catalog.model import JobKind, Model
from reelay.db.engine import Sessions, make_engine, make_sessions
from reelay.db.roles import start_with_row_security
from reelay.domain.generation import ProviderName
from reelay.media.decoder_pool import DecoderPool
from reelay.media.storage import Storage, open_storage
from reelay.outbound import open_client
from reelay.providers.jwks import JwksCache
from reelay.providers.registry import Verifiers, build_verifiers
from reelay.settings import Settings
from reelay.timeouts import Timeouts
from workflows.client import connect
from workflows.runs import GenerationRuns, PipelineRuns


@dataclass(frozen=True, kw_only=True, eq=False)
class Services:
    settings: Settings
    timeouts: Timeouts
    catalog: Catalog
    endpoints: Endpoints
    """What the catalogue does not know."""
    chat_models: Mapping[JobKind, Model]
    """What the chat generates with."""
    sessions: Sessions
    """The API's own role: a transaction shows one user's rows, see `db.engine.as_user`."""
    service_sessions: Sessions
    """The service role, for providers' webhooks and operators. What a user asks for is answered without it, but for the
    cancellation of a job of theirs."""
    temporal: Client
    runs: GenerationRuns
    pipeline_runs: PipelineRuns
    changes: Changes
    open_streams: OpenStreams
    revalidation: Revalidation
    shared_reads: SharedReads
    signing_secret: bytes = field(repr=False)
    """Signs the tokens that open event streams, and the links to media."""
    callers: Callers
    limits: Limits
    forecasts: Forecasts
    verifiers: Verifiers
    inbox: Inbox
    pushes: Pushes
    redelivery: Redelivery
    delivery_log: DeliveryLog
    fal_door: FalDoor
    tasks: TaskSupervisor
    metrics: Metrics
    storage: Storage
    decoders: DecoderPool
    """Look into the files that users bring."""


@asynccontextmanager
async def open_services(settings: Settings, metrics: Metrics, timeouts: Timeouts) -> AsyncIterator[Services]:
    """Raises: ValueError, when a setting names a model that there is not; RoleRefused."""
    catalog = load_catalog(more=settings.catalog_dir)
    models = chat_models(catalog, settings)
    engine, service_engine = (
        make_engine(
            url,
            pool_size=settings.database_pool_size_api,
            connection_seconds=timeouts.connection,
            statement_seconds=timeouts.statement,
        )
        for url in (settings.database_url.get_secret_value(), settings.service_url)
    )
    sessions, service_sessions = make_sessions(engine), make_sessions(service_engine)
    temporal = await connect(settings.encryption_keys, lazy=True)
    runs = GenerationRuns(
        temporal, settings.task_queue, settings.app_url, timeouts, with_search_attributes=settings.search_attributes
    )
    pipeline_runs = PipelineRuns(
        temporal, settings.task_queue, settings.app_url, timeouts, with_search_attributes=settings.search_attributes
    )
    inbox = Inbox(runs, service_sessions, metrics, timeouts)
    pushes = Pushes(service_sessions, inbox, settings.language, timeouts)
    redelivery = Redelivery(service_sessions, inbox, pushes)
    tasks = TaskSupervisor(metrics.count_task_failures)
    signing_secret = settings.api_key_pepper.get_secret_value().encode()
    storage = open_storage(
        settings.archive_location,
        scratch=settings.data_dir / "scratch",
        allow_http=settings.archive_allows_http,
        public_url=settings.archive_public_url,
    )
    try:
        await asyncio.to_thread(storage.sweep_scratch)
        await start_with_row_security(engine)
        async with (
            open_client(settings) as keys_client,
            open_changes(tasks, settings.listen_url) as changes,
            starting_unstarted(tasks, service_sessions, runs),
            keeping_pipelines(tasks, service_sessions, pipeline_runs),
            draining(tasks, redelivery),
            refreshing_gauges(tasks, metrics, service_sessions),
            DecoderPool(trust_anchors=settings.content_credentials_trust_anchors) as decoders,
            AsyncExitStack() as stack,
        ):
            callers = Callers(
                sessions,
                settings.api_key_pepper,
                open_tokens(settings, keys_client),
                service_sessions=service_sessions,
                starting_cents=settings.starting_credits_cents,
            )
            revalidation = await stack.enter_async_context(revalidating(tasks, callers))
            if settings.app_url:
                await stack.enter_async_context(
                    storing_link_key(tasks, service_sessions, origin=settings.app_url, secret=signing_secret)
                )
            yield Services(
                settings=settings,
                timeouts=timeouts,
                catalog=catalog,
                endpoints=Endpoints(service_sessions, runs, is_set_up=ProviderName.FAL in settings.providers),
                chat_models=models,
                sessions=sessions,
                service_sessions=service_sessions,
                temporal=temporal,
                runs=runs,
                pipeline_runs=pipeline_runs,
                changes=changes,
                open_streams=OpenStreams(settings),
                revalidation=revalidation,
                shared_reads=SharedReads(sessions),
                signing_secret=signing_secret,
                callers=callers,
                forecasts=Forecasts(sessions, service_sessions, settings.slots),
                limits=Limits(sessions, settings, timeout=timeouts.quota),
                verifiers=build_verifiers(settings, keys_client),
                inbox=inbox,
                pushes=pushes,
                redelivery=redelivery,
                delivery_log=DeliveryLog(service_sessions),
                fal_door=FalDoor(Replays(sessions, merge=settings.fal_door_merge)),
                tasks=tasks,
                metrics=metrics,
                storage=storage,
                decoders=decoders,
            )
    finally:
        await engine.dispose()
        await service_engine.dispose()


def open_tokens(settings: Settings, client: httpx.AsyncClient) -> Tokens:
    """The identity provider's tokens, as far as the environment names one."""
    keys = settings.jwt_jwks_url and JwksCache(
        client,
        settings.jwt_jwks_url,
        parse=parse_token_keys,
        clock=time.monotonic,
        renewed_after=KEYS_RENEWED_AFTER,
        kept_for=KEYS_KEPT_FOR,
    )
    return Tokens(
        secret=settings.jwt_secret,
        keys=keys or None,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
        admits_anonymous=settings.jwt_anonymous_users,
    )


def services_of(app: FastAPI) -> Services:
    services = app.state.services
    assert isinstance(services, Services)
    return services


# Dependencies are coroutines throughout: FastAPI sends each call of a plain function through a thread.
async def _services(request: Request) -> Services:
    return services_of(request.app)


ServicesDep = Annotated[Services, Depends(_services)]


async def _origin(request: Request, services: ServicesDep) -> str:
    """Where clients reach us: as configured, else as this one did."""
    return services.settings.app_url or str(request.base_url).rstrip("/")


OriginDep = Annotated[str, Depends(_origin)]

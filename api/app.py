"""The API process: routes, middleware and services, put together."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.types import ASGIApp, Receive, Scope, Send

from api import health, metrics, page
from api.admin import accounts, audit_log, bill, codec, deliveries, jobs, keys, outgoing, providers, statistics, users
from api.admin import credits as users_credits
from api.admin import usage as users_usage
from api.assets import routes as assets
from api.assets.schemas import UploadRequest
from api.batches import routes as batches
from api.catalog import routes as catalog
from api.chat.routes import chat_routes
from api.clips import routes as clips
from api.credits import routes as credits
from api.credits import usage
from api.doors.fal import cdn as fal_cdn
from api.doors.fal import routes as fal
from api.doors.fal import storage as fal_storage
from api.doors.fal import webhooks as fal_webhooks
from api.doors.fal.proxy import FalProxy
from api.doors.mcp import routes as mcp
from api.doors.openai import errors as openai_errors
from api.doors.openai import held as openai_held
from api.doors.openai import videos as openai_videos
from api.events import routes as events
from api.generations import fal_jobs, gallery
from api.generations import routes as generations
from api.generations.schemas import ProgressView
from api.http.language import LanguageHeaders
from api.http.middleware import BodyLimit, BodyLimits, DefaultHeaders, RequestId, open_to_origins
from api.http.openapi import ASSETS, DocumentedApi, serve_documentation
from api.http.prefix import PathPrefix
from api.http.problem_handlers import install_problem_handlers
from api.http.query_parameters import KnownQueryParameters
from api.identity import routes as identity
from api.media import routes as media
from api.metrics import Metrics, MetricsMiddleware
from api.notifications import routes as notifications
from api.pipelines import routes as pipelines
from api.services import open_services
from api.webhooks.routes import webhook_routes
from reelay.settings import Settings
from reelay.timeouts import TIMEOUTS, Timeouts
from reelay.tracing.spans import is_probe, tracing

MAX_BODY_BYTES = 1024 * 1024
BODY_TIMEOUT = timedelta(seconds=10)
UPLOAD_TIMEOUT = timedelta(hours=1)
# One span per request, once a process has set up traces.
SPANS: TelemetryConfig = {
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
    "exclude": is_probe,
}

DESCRIPTION = """
Durable generative-media jobs. `POST /api/generate/...` answers with a job id at once; the job is submitted to its
provider once, followed by webhook or polling, archived, and put into its clip, whatever dies on the way.

Names are camelCase, times are RFC 3339 in UTC, money is whole US cents. Errors are `application/problem+json` with a
`code` to act on. Unknown fields and unknown query parameters are refused with `INVALID_PARAMS`.
"""
TAGS = [
    {"name": "generate", "description": "Create jobs."},
    {"name": "generations", "description": "Read jobs, follow them, cancel them."},
    {"name": "batches", "description": "Many jobs by one request."},
    {"name": "pipelines", "description": "Jobs and mixes that depend on each other."},
    {"name": "campaigns", "description": "Campaigns and their clips, which receive the media of jobs."},
    {"name": "models", "description": "The catalogue and its prices."},
    {"name": "credits", "description": "The caller's credits."},
    {"name": "notifications", "description": "Webhooks to your own backend, and the log of events."},
    {"name": "media", "description": "The archived files."},
    {"name": "assets", "description": "The caller's own files, as inputs of jobs."},
    {"name": "identity", "description": "Sign out."},
    {"name": "chat", "description": "Generate from a chat or an n8n workflow."},
    {"name": "webhooks", "description": "For providers: where they report."},
    {"name": "operators", "description": "For operators: needs a key of the scope `admin`."},
    {"name": "health", "description": "For monitoring."},
]
LICENSE = {"name": "Apache License 2.0", "identifier": "Apache-2.0"}


class Api(DocumentedApi):
    """Every answer has its id and the headers for other origins: also that to a bug, which Starlette makes outside of
    the middleware that is added to it."""

    def __init__(
        self, cors_origins: Sequence[str], codec_origins: Sequence[str] = (), *, path_prefix: str = "", **options: Any
    ) -> None:
        """`codec_origins`: whose pages may call the codec endpoint, and nothing else. `path_prefix`: the path of the
        public address."""
        super().__init__(**options)
        self._path_prefix = path_prefix
        self._cors_origins = cors_origins
        self._codec_origins = codec_origins

    def build_middleware_stack(self) -> ASGIApp:
        app = super().build_middleware_stack()
        everywhere = open_to_origins(app, self._cors_origins)
        at_the_codec = open_to_origins(app, [*self._cors_origins, *self._codec_origins])

        async def by_path(scope: Scope, receive: Receive, send: Send) -> None:
            is_codec = scope["type"] == "http" and scope["path"].startswith(codec.PREFIX)
            await (at_the_codec if is_codec else everywhere)(scope, receive, send)

        whole = RequestId(DefaultHeaders(by_path, cacheable=ASSETS))
        return PathPrefix(whole, self._path_prefix) if self._path_prefix else whole


def create_app(settings: Settings, timeouts: Timeouts = TIMEOUTS) -> FastAPI:
    measured = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Here and not around the server: uvicorn ends the process by the signal that it was stopped with.
        with tracing("reelay-api"):
            async with open_services(settings, measured, timeouts) as app.state.services:
                yield

    app = Api(
        settings.cors_origins,
        codec.pages_of_ui(settings),
        path_prefix=settings.path_prefix,
        also=[ProgressView, UploadRequest],
        title="Reelay API",  # its first word would be the package's name of our own client
        version=version("reelay"),
        description=DESCRIPTION,
        license_info=LICENSE,
        servers=[{"url": settings.app_url or "/"}],
        openapi_tags=TAGS,
        dependencies=[Depends(KnownQueryParameters())],
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,  # Starlette's redirects lead wherever the Host header says
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        telemetry=SPANS,
    )
    serve_documentation(app)
    install_problem_handlers(app, doors={openai_errors.PATHS: openai_errors.answer_to})
    app.add_middleware(
        BodyLimits,
        usual=BodyLimit(at_most=MAX_BODY_BYTES, within=BODY_TIMEOUT),
        # The form has a head and a foot, beside the file.
        uploads=BodyLimit(at_most=settings.archive_max_bytes + MAX_BODY_BYTES, within=UPLOAD_TIMEOUT),
    )
    app.add_middleware(LanguageHeaders)
    app.add_middleware(MetricsMiddleware, metrics=measured)
    app.add_middleware(FalProxy, endpoints=settings.fal_proxy_endpoints)
    app.state.metrics = measured
    app.state.readiness = health.shared_readiness()
    app.state.is_draining = False
    app.state.language = settings.language
    for router in (
        generations.creating,
        generations.router,
        gallery.router,
        fal_jobs.router,
        webhook_routes(settings.fal_webhook_path),  # they are tried in order, so what is called most comes first
        events.router,
        fal.router,
        fal_storage.router,
        fal_cdn.router,
        fal_webhooks.router,
        openai_videos.router,
        openai_held.router,
        mcp.router,
        clips.router,
        batches.router,
        pipelines.router,
        catalog.router,
        credits.router,
        usage.router,
        notifications.router,
        media.router,
        assets.router,
        identity.router,
        chat_routes(settings),
        accounts.router,
        audit_log.router,
        users.router,
        keys.router,
        users_credits.router,
        users_usage.router,
        bill.router,
        providers.router,
        codec.router,
        jobs.router,
        health.router,
        deliveries.router,
        outgoing.router,
        statistics.router,
        metrics.router,
        page.router,
    ):
        app.include_router(router)
    app.mount("/web", page.PageFiles())
    return app

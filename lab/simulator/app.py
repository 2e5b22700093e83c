"""The simulator as an ASGI application, and the server that it runs in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.telemetry import TelemetryConfig

from lab.simulator import control, fal, fal_billing, fal_documents, fal_listing, files, replicate, studio, uploads
from lab.simulator.refusals import Refused
from lab.simulator.settings import SimulatorSettings
from lab.simulator.simulator import running_simulator

GRACE_SECONDS = 1


def create_simulator(settings: SimulatorSettings) -> FastAPI:
    """A stand-in for fal and Replicate, their media hosts and their webhooks.

    All state belongs to the application's lifespan.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running_simulator(settings) as app.state.simulator:
            yield

    # FastAPI's spans would wrap `receive`, by which `connections` finds the connection that it cuts.
    untraced = TelemetryConfig(tracing=False, metrics=False, logs=False)
    app = FastAPI(title="Reelay simulator", lifespan=lifespan, openapi_url=None, telemetry=untraced)
    app.add_exception_handler(Refused, _answer_refusal)
    # fal's queue takes anything under two path segments, so it comes last.
    for router in (
        control.router,
        files.router,
        studio.router,
        uploads.public,
        uploads.storage,
        uploads.files,
        fal.public,
        fal_documents.public,
        fal_documents.router,
        fal_billing.router,
        fal_listing.router,
        replicate.router,
        fal.router,
    ):
        app.include_router(router)
    return app


def simulator_server(
    settings: SimulatorSettings, *, port: int, certificate: Path | None = None, private_key: Path | None = None
) -> uvicorn.Server:
    """The simulator on a loopback port, over TLS when it has a certificate.

    Stops within about a second, also while a fault keeps connections open.
    """
    config = uvicorn.Config(
        create_simulator(settings),
        host="127.0.0.1",
        port=port,
        ssl_certfile=certificate,
        ssl_keyfile=private_key,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return uvicorn.Server(config)


async def _answer_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return JSONResponse(error.body, error.status_code, error.headers)

"""A worker as a process of its own, to be killed with a submission at a chosen point."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

from sqlmodel import select

from reelay.db.tables import SubmissionAttempt
from reelay.domain.generation import FINAL
from reelay.settings import Settings
from tests.eventually import eventually
from tests.lock_waits import waits_for_a_lock
from tests.reelay_process import ReelayProcess, start_reelay
from tests.running import Job, Service


@asynccontextmanager
async def worker_process(settings: Settings, *options: str) -> AsyncIterator[ReelayProcess]:
    """`reelay worker`. Killed at the end of the block, if it was not before."""
    process = await start_reelay("worker", *options, environment={**os.environ, **environment_of(settings)})
    try:
        yield process
    finally:
        await kill(process)


async def kill(process: ReelayProcess) -> None:
    process.kill()
    await process.wait()


def environment_of(settings: Settings) -> dict[str, str]:
    secrets = {
        "DATABASE_URL": settings.database_url,
        "DATABASE_SERVICE_URL": settings.database_service_url,
        "FAL_KEY": settings.fal_key,
        "FAL_ADMIN_KEY": settings.fal_admin_key,
        "FAL_WEBHOOK_SECRET": settings.webhook_token_secret,
        "API_KEY_PEPPER": settings.api_key_pepper,
        "OUTGOING_WEBHOOK_SECRET": settings.outgoing_webhook_secret,
    }
    return {
        "ENVIRONMENT": settings.environment,
        "APP_URL": settings.app_url or "",
        "REELAY_DATA_DIR": str(settings.data_dir),
        "REELAY_TASK_QUEUE": settings.task_queue,
        "FAL_CONCURRENCY": "" if settings.fal_concurrency is None else str(settings.fal_concurrency),
        "FAL_QUEUE_BASE": settings.fal_queue_base,
        "FAL_API_BASE": settings.fal_api_base,
        "FAL_PLATFORM_BASE": settings.fal_platform_base,
        "FAL_JWKS_URL": settings.fal_jwks_url,
        "TEMPORAL_WORKER_DEPLOYMENT": settings.worker_deployment or "",
        "TEMPORAL_WORKER_BUILD_ID": settings.worker_build_id or "",
        **{name: secret.get_secret_value() for name, secret in secrets.items() if secret},
    }


async def accepted(service: Service, job_id: str) -> None:
    """Wait until the simulator has taken the submission."""

    async def is_accepted() -> bool:
        return bool((await service.simulated(job_id))["accepted"])

    await eventually(is_accepted)


@asynccontextmanager
async def unrecordable(service: Service, job_id: str) -> AsyncIterator[None]:
    """Hold the attempt's row; entered once the worker, its answer in hand, waits to write it down."""
    async with service.sessions.begin() as session:
        attempt = select(SubmissionAttempt).where(SubmissionAttempt.job_id == UUID(job_id))
        (await session.scalars(attempt.with_for_update())).one()
        await eventually(partial(waits_for_a_lock, service.sessions))
        yield


async def ended(service: Service, job_id: str) -> Job:
    # A dead worker is noticed when its submission has not sent a heartbeat for 15 s.
    return await service.until(job_id, *FINAL)

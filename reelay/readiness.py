"""Whether what a process needs answers, in a word for each part."""

import asyncio
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.service import RPCError

from reelay.media.errors import MediaError
from reelay.media.storage import Storage

OK = "ok"

log = structlog.get_logger()


async def temporal_state(client: Client, *, seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            await client.service_client.check_health(timeout=timedelta(seconds=seconds))
    except (RPCError, RuntimeError, TimeoutError) as error:
        return does_not_answer("temporal", error)
    return OK


async def archive_state(storage: Storage, *, seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            await storage.head("readiness")  # that it takes objects, a transfer finds out
    except (MediaError, TimeoutError) as error:
        return does_not_answer("archive", error)
    return OK


def does_not_answer(part: str, error: Exception) -> str:
    """Why, is for the log: strangers may ask."""
    log.warning("part_not_ready", part=part, error_type=type(error).__name__, error=str(error))
    return "does not answer"

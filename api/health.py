"""Whether this process lives, and whether it can work."""

import asyncio
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, status
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from api.services import Services, ServicesDep
from reelay.media.errors import MediaError

router = APIRouter(tags=["health"])
LOOK_SECONDS = 2.0


@router.get("/healthz")
async def alive() -> dict[str, str]:
    """The process answers. Says nothing of what it depends on."""
    return {"status": "ok"}


@router.get("/readyz")
async def ready(services: ServicesDep) -> JSONResponse:
    """200 when all that a request may need answers; else 503, naming what does not."""
    looks = {"postgres": look_at_postgres, "temporal": look_at_temporal, "archive": look_at_archive}
    answers = await asyncio.gather(*(look(services) for look in looks.values()))
    parts: dict[str, Any] = dict(zip(looks, answers, strict=True))
    ok = all(answer == "ok" for answer in answers)
    body = {"status": "ok" if ok else "unavailable", "parts": parts}
    return JSONResponse(body, status.HTTP_200_OK if ok else status.HTTP_503_SERVICE_UNAVAILABLE)


async def look_at_postgres(services: Services) -> str:
    try:
        async with asyncio.timeout(LOOK_SECONDS), services.sessions() as session:
            await session.execute(text("select 1"))
    except (SQLAlchemyError, OSError, TimeoutError):
        return "does not answer"
    return "ok"


async def look_at_temporal(services: Services) -> str:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await services.temporal.service_client.check_health(timeout=timedelta(seconds=LOOK_SECONDS))
    except (RPCError, RuntimeError, TimeoutError):
        return "does not answer"
    return "ok"


async def look_at_archive(services: Services) -> str:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await services.storage.head("readiness")  # that it takes objects, the worker finds out
    except (MediaError, TimeoutError):
        return "does not answer"
    return "ok"

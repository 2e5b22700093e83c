"""Whether this process lives, and whether it can work."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from async_lru import alru_cache
from fastapi import APIRouter, Request, status
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError

from api.http.wire import Described
from api.services import Services, ServicesDep
from reelay.db.engine import POSTGRES_UNAVAILABLE
from reelay.db.roles import RoleRefused
from reelay.db.schema_check import (
    app_role_trouble,
    known_revisions,
    revision_of,
    revision_trouble,
    service_role_trouble,
)
from reelay.readiness import OK, archive_state, does_not_answer, temporal_state
from workflows.search_attributes import search_attribute_trouble

FRESH_SECONDS = 1.0

router = APIRouter(tags=["health"])


class Alive(Described):
    """That the process answers."""

    status: Literal["ok"]
    """Always `ok`."""


class Revisions(Described):
    """Revisions of the database's schema."""

    database: str | None
    """The revision of the database; null where it cannot be read."""
    code: str
    """The revision that this version brings."""


class Ready(Described):
    """Whether all that a request may need answers."""

    status: Literal["ok", "unavailable"]
    """`ok` with status 200, `unavailable` with 503."""
    parts: dict[str, str]
    """`ok`, or what is wrong, for each of `postgres`, `temporal`, `archive` and the background tasks `change_listener`,
    `stream_revalidation`, `inbox`, `unstarted_generations`, `gauges` and, with a public address, `media_link_key`. A
    process that is about to stop has one part, `process`, which is `draining`."""
    revisions: Revisions = Field(alias="schema")
    """A database that is ahead serves older versions, too."""


@router.get("/healthz")
async def alive() -> Alive:
    """The process answers. Says nothing of what it depends on."""
    return Alive(status="ok")


@router.get(
    "/readyz", response_model=Ready, responses={503: {"model": Ready, "description": "A part does not answer."}}
)
async def ready(request: Request, services: ServicesDep) -> JSONResponse:
    """200 when all that a request may need answers; else 503, naming what does not. A second old at most."""
    if request.app.state.is_draining:
        body = described({"process": "draining"}, None)
    else:
        body = await request.app.state.readiness(services)
    ok = body["status"] == "ok"
    return JSONResponse(body, status.HTTP_200_OK if ok else status.HTTP_503_SERVICE_UNAVAILABLE)


async def readiness(services: Services) -> dict[str, Any]:
    """As `Ready`."""
    seconds = services.timeouts.readiness
    (postgres, revision), temporal, archive = await asyncio.gather(
        check_postgres(services),
        check_temporal(services),
        archive_state(services.storage, seconds=seconds),
    )
    parts = {"postgres": postgres, "temporal": temporal, "archive": archive, **services.tasks.states}
    return described(parts, revision)


def described(parts: dict[str, str], revision: str | None) -> dict[str, Any]:
    ok = set(parts.values()) == {OK}
    return {
        "status": OK if ok else "unavailable",
        "parts": parts,
        "schema": {"database": revision, "code": known_revisions()[0]},
    }


async def check_temporal(services: Services) -> str:
    state = await temporal_state(services.temporal, seconds=services.timeouts.readiness)
    if state != OK or not services.settings.search_attributes:
        return state
    return await search_attribute_trouble(services.temporal) or OK


def shared_readiness() -> Callable[[Services], Awaitable[dict[str, Any]]]:
    """`readiness` of one process: whoever asks while it is found out, or within a second, gets the same answer.

    It needs no key and asks three servers.
    """
    return alru_cache(maxsize=1, ttl=FRESH_SECONDS)(readiness)


async def check_postgres(services: Services) -> tuple[str, str | None]:
    """And the revision of its schema."""
    revision = None
    try:
        async with (
            asyncio.timeout(services.timeouts.readiness),
            services.sessions() as session,
            services.service_sessions() as service_session,
        ):
            revision = await revision_of(service_session)
            trouble = revision_trouble(revision, known_revisions())
            trouble = trouble or await app_role_trouble(session) or await service_role_trouble(service_session)
    except RoleRefused as refused:
        return str(refused), revision
    except (*POSTGRES_UNAVAILABLE, SQLAlchemyError) as error:
        return does_not_answer("postgres", error), revision
    return trouble or OK, revision

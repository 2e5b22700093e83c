"""Whether a worker lives, whether it can work, and its metrics, by HTTP: what Kubernetes and Prometheus ask."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import httpx
import uvicorn
from async_lru import alru_cache
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.client import Client
from temporalio.worker import Worker

from reelay.background import TaskSupervisor
from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions
from reelay.db.schema_check import known_revisions, revision_of, revision_trouble, service_role_trouble
from reelay.media.storage import Storage
from reelay.readiness import OK, archive_state, does_not_answer, temporal_state

ANSWER_SECONDS = 2.0
FRESH_SECONDS = 1.0


@dataclass
class WorkerHealth:
    client: Client
    sessions: Sessions
    storage: Storage | None
    """None where no transfers are taken."""
    tasks: TaskSupervisor
    pollers: Sequence[Worker]
    """Each takes the tasks of one queue."""
    is_draining: bool = False
    """No new task is taken: the process is about to end."""

    @property
    def is_alive(self) -> bool:
        return self.is_draining or not any(poller.is_shutdown for poller in self.pollers)

    async def parts(self) -> dict[str, str]:
        """`ok`, or what is wrong, of each part."""
        if self.is_draining:
            return {"process": "draining"}
        postgres, temporal, archive = await asyncio.gather(
            self._postgres(), temporal_state(self.client, seconds=ANSWER_SECONDS), self._archive()
        )
        pollers = OK if all(poller.is_running for poller in self.pollers) else "stopped"
        return {"pollers": pollers, "postgres": postgres, "temporal": temporal, **archive, **self.tasks.states}

    async def _postgres(self) -> str:
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self.sessions() as session:
                trouble = revision_trouble(await revision_of(session), known_revisions())
                return trouble or await service_role_trouble(session) or OK
        except (*POSTGRES_UNAVAILABLE, SQLAlchemyError) as error:
            return does_not_answer("postgres", error)

    async def _archive(self) -> dict[str, str]:
        return {"archive": await archive_state(self.storage, seconds=ANSWER_SECONDS)} if self.storage else {}


def health_app(health: WorkerHealth, metrics_url: str) -> Starlette:
    """`metrics_url`: where the SDK serves the process's metrics."""

    @alru_cache(maxsize=1, ttl=FRESH_SECONDS)
    async def parts() -> dict[str, str]:
        return await health.parts()

    async def alive(_: Request) -> Response:
        """The event loop turns, since it answers, and tasks are asked for."""
        return _answer({"pollers": OK if health.is_alive else "stopped"})

    async def ready(_: Request) -> Response:
        return _answer(await (health.parts() if health.is_draining else parts()))

    async def metrics(_: Request) -> Response:
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as client:
            text = await client.get(metrics_url)
        return Response(text.content, media_type=text.headers["content-type"])

    return Starlette(routes=[Route("/healthz", alive), Route("/readyz", ready), Route("/metrics", metrics)])


def _answer(parts: dict[str, str]) -> Response:
    is_ok = set(parts.values()) <= {OK}
    return JSONResponse({"status": OK if is_ok else "unavailable", "parts": parts}, 200 if is_ok else 503)


class HealthServer(uvicorn.Server):
    """Leaves the process's signals to the worker."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving_health(health: WorkerHealth, *, host: str, port: int, metrics_url: str) -> AsyncIterator[None]:
    """While the block runs. Raises: SystemExit, when the port is taken."""
    config = uvicorn.Config(
        health_app(health, metrics_url),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = HealthServer(config)
    serving = asyncio.create_task(server.serve([config.bind_socket()]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving

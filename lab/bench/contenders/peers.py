"""What one would have instead of Reelay: contenders that bring an API of their own, as processes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lab.bench.contender import Contender
from lab.bench.contenders.floor_workflow import TASK_QUEUE
from lab.bench.contenders.restate_server import SERVED_AT, RestateServer, find_binary
from lab.bench.ground import Ground, origin_of, part, polls, process, serves
from lab.bench.http_clients import clients
from lab.bench.job import Place
from lab.bench.over_http import Creating, OverHttp
from lab.bench.serving import HEALTH
from lab.devstack.ports import free_ports

CREATING = Creating(path="/jobs", body={"prompt": "..."}, id_field="id", status_path="/jobs/{job}")
NO_ENVIRONMENT: Mapping[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class Served:
    place: Place
    pid: int


@asynccontextmanager
async def serving(
    ground: Ground, module: str, environment: Mapping[str, str] = NO_ENVIRONMENT
) -> AsyncIterator[Served]:
    """The contender's API as its own process, on the stack's Postgres."""
    folder = ground.data_dir.path / module
    folder.mkdir()
    (port,) = free_ports(1)
    place = Place(
        origin=origin_of(port),
        provider=ground.provider_url,
        database=ground.stack.database_admin_url,
        folder=str(folder),
    )
    program = part(
        ground.data_dir,
        f"contenders.{module}",
        *place.arguments(),
        environment=environment,
        answers=serves(f"{place.origin}{HEALTH}"),
    )
    async with process(program) as pid:
        yield Served(place=place, pid=pid)


@asynccontextmanager
async def open_floor(ground: Ground) -> AsyncIterator[Contender]:
    """Temporal and the job's steps, written in the most direct way, and nothing that guards them."""
    temporal = await ground.connect_to_new("floor")
    environment = {"TEMPORAL_ADDRESS": ground.stack.temporal_address, "TEMPORAL_NAMESPACE": "floor"}

    async def end_of(job: str) -> None:
        await temporal.get_workflow_handle(job).result()

    async with serving(ground, "floor_app", environment) as served:
        program = part(
            ground.data_dir,
            "contenders.temporal_worker",
            "floor",
            *served.place.arguments(),
            environment=environment,
            answers=polls(temporal, TASK_QUEUE),
        )
        async with process(program) as worker, clients(served.place.origin, ground.provider_url) as (api, provider):
            yield OverHttp(
                name="floor with I/O",
                processes={"api": served.pid, "worker": worker},
                creating=CREATING,
                api=api,
                provider=provider,
                end_of=end_of,
                temporal=temporal,
            )


@asynccontextmanager
async def open_dbos(ground: Ground) -> AsyncIterator[Contender]:
    async with _open_one_process(ground, name="DBOS", module="dbos_app") as contender:
        yield contender


@asynccontextmanager
async def open_plain(ground: Ground) -> AsyncIterator[Contender]:
    """The shape of the documents: FastAPI and SQL, not durable."""
    async with _open_one_process(ground, name="no engine", module="plain_app") as contender:
        yield contender


@asynccontextmanager
async def _open_one_process(ground: Ground, *, name: str, module: str) -> AsyncIterator[Contender]:
    """It serves the API and does the work."""
    async with serving(ground, module) as served, clients(served.place.origin, ground.provider_url) as (api, provider):

        async def end_of(job: str) -> None:
            (await api.get(f"/jobs/{job}/end")).raise_for_status()

        yield OverHttp(
            name=name, processes={"api": served.pid}, creating=CREATING, api=api, provider=provider, end_of=end_of
        )


@asynccontextmanager
async def open_restate(ground: Ground) -> AsyncIterator[Contender]:
    """One process beside Restate's server, whose data is in a folder."""
    binary = find_binary()
    assert binary is not None
    server = RestateServer(binary, ground.data_dir.path / "restate")
    async with (
        process(server.program(ground.data_dir.log_file("restate"))) as engine,
        serving(ground, "restate_app", {"RESTATE_INGRESS": server.ingress_url}) as served,
        clients(served.place.origin, ground.provider_url, server.ingress_url) as (api, provider, ingress),
    ):
        await server.register(f"{served.place.origin}{SERVED_AT}")

        async def end_of(job: str) -> None:
            """By one long poll of the engine."""
            (await ingress.get(f"/restate/workflow/generation/{job}/attach")).raise_for_status()

        yield OverHttp(
            name="Restate",
            processes={"api": served.pid, "restate": engine},
            creating=CREATING,
            api=api,
            provider=provider,
            end_of=end_of,
        )

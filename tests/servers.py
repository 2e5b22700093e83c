"""The real servers that tests share: one Postgres, one Temporal, one simulator for the whole run."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import asyncpg
import httpx
import uvicorn

from lab.devstack.ports import free_ports
from lab.devstack.postgres import EmbeddedPostgres
from lab.devstack.processes import running
from lab.devstack.temporal import EmbeddedTemporal
from lab.simulator.app import create_simulator
from lab.simulator.settings import SimulatorSettings
from reelay.cli.secrets import Secrets
from reelay.db.migrate import migrate
from reelay.tls import tls_context
from tests.eventually import PATIENCE
from workflows.search_attributes import SEARCH_ATTRIBUTES

# Tests lose nothing by a power cut, and their passwords are random: with the usual 4096 rounds each of the dozen
# connections of a service takes some milliseconds of CPU to check one.
NO_DURABILITY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "300",
    "scram_iterations": "1",
}


@dataclass(frozen=True)
class Database:
    admin_url: str
    service_url: str
    app_url: str


@dataclass(frozen=True)
class Postgres:
    """A server with one migrated database, of which each test gets a copy."""

    server: EmbeddedPostgres
    copies: set[str] = field(default_factory=set)
    """Their names."""

    @classmethod
    async def migrated(cls, server: EmbeddedPostgres) -> Self:
        await migrate(server.admin_url, server.app_url, server.service_url)
        return cls(server)

    async def copy(self) -> Database:
        name = f"test_{uuid4().hex}"
        await self._execute(f"create database {name} template reelay owner reelay_owner strategy file_copy")
        self.copies.add(name)
        urls = (self.server.admin_url, self.server.service_url, self.server.app_url)
        return Database(*(url.removesuffix("reelay") + name for url in urls))

    async def drop(self, name: str) -> None:
        """The copy, whoever is still connected to it."""
        await self._execute(f"drop database if exists {name} with (force)")
        self.copies.discard(name)

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.server.superuser_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@asynccontextmanager
async def postgres_server(folder: Path) -> AsyncIterator[Postgres]:
    (port,) = free_ports(1)
    server = EmbeddedPostgres(folder=folder / "postgres", port=port, secrets=Secrets(), settings=NO_DURABILITY)
    async with running(server.program(folder / "postgres.log")):
        yield await Postgres.migrated(server)


@asynccontextmanager
async def temporal_server(folder: Path, **dynamic_config: object) -> AsyncIterator[EmbeddedTemporal]:
    """`dynamic_config`: with `__` for the dots of its names."""
    port, ui_port = free_ports(2)
    server = EmbeddedTemporal(
        database_file=folder / "temporal.db",
        port=port,
        ui_port=ui_port,
        search_attributes=SEARCH_ATTRIBUTES,
        dynamic_config={
            "frontend.WorkflowTimeSkippingEnabled": True,
            **{name.replace("__", "."): value for name, value in dynamic_config.items()},
        },
    )
    async with running(server.program(folder / "temporal.log")):
        yield server


@asynccontextmanager
async def listening(server: uvicorn.Server, bound: socket.socket) -> AsyncIterator[str]:
    """The server on the socket, for as long as the block lasts; its origin."""
    # Closed after 5 s, as uvicorn does, a connection may end in the moment in which a slow client uses it again.
    server.config.timeout_keep_alive = 300
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        while not server.started:
            assert not serving.done(), "the server did not start"
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        bound.close()  # a server whose start failed leaves it open


def loopback_socket(port: int = 0) -> socket.socket:
    # Named as TCP: asyncio switches Nagle's delay (40 ms a call) off only for sockets that say so.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


@asynccontextmanager
async def simulator_server(folder: Path) -> AsyncIterator[str]:
    """A simulator whose generations take 0.3 s and whose webhooks are repeated 120 times faster than fal's.

    It waits longer than fal for the answer to a webhook: a receiver on a busy machine may be slow.
    """
    settings = SimulatorSettings(
        media_dir=folder / "media",
        latency=timedelta(seconds=0.3),
        webhook_timeout=timedelta(minutes=1),
        webhook_compression=120,
        verify_tls=False,
    )
    config = uvicorn.Config(create_simulator(settings), log_level="warning", timeout_graceful_shutdown=1)
    async with listening(uvicorn.Server(config), loopback_socket()) as origin:
        yield origin


@dataclass(frozen=True, kw_only=True)
class Servers:
    postgres: Postgres
    temporal: EmbeddedTemporal
    simulator: str
    folder: Path

    async def simulated_jobs(self) -> dict[str, dict[str, Any]]:
        """The simulator's own counts, by our job id."""
        jobs: dict[str, dict[str, Any]] = (await self._ask_simulator("stats"))["jobs"]
        return jobs

    async def simulated_request(self, request_id: str) -> dict[str, Any]:
        """All that the simulator knows of one request."""
        (request,) = [each for each in await self._ask_simulator("requests") if each["request_id"] == request_id]
        found: dict[str, Any] = request
        return found

    async def end_at_provider(self, job_id: str) -> None:
        """The first request of the job ends now, however long it was to take."""
        await self.end_request((await self.simulated_jobs())[job_id]["requests"][0])

    async def end_all_at_provider(self) -> None:
        """Whatever runs ends now, also what another backend has submitted."""
        for request in await self._ask_simulator("requests"):
            if request["ended"] is None:
                await self.end_request(request["request_id"])

    async def end_request(self, request_id: str) -> None:
        """It ends now, however long it was to take."""
        async with self._client() as client:
            (await client.post(f"/__sim/requests/{request_id}/end")).raise_for_status()

    async def lock_account(self, key: str, *, locked: bool = True) -> None:
        """The provider refuses every submission with that key, or takes them again."""
        async with self._client() as client:
            (await client.post("/__sim/lock", json={"key": key, "locked": locked})).raise_for_status()

    async def _ask_simulator(self, what: str) -> Any:
        async with self._client() as client:
            return (await client.get(f"/__sim/{what}")).json()

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.simulator, timeout=PATIENCE, verify=tls_context())

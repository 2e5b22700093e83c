"""Reelay as it runs in the bench, with all that a study calls it by."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
from temporalio.client import Client, WorkflowHandle

from lab.bench.contenders.reelay import headers_of, open_reelay
from lab.bench.ground import Ground
from lab.bench.http_clients import answer_of, open_client
from lab.bench.over_http import OverHttp
from lab.bench.processes import MIB
from reelay.cli.secrets import keep_secrets
from reelay.db.tables import Scope

STATEMENT_SECONDS = 900
LIMIT_KNOWN_SECONDS = 3.0
"""Workers look every two seconds."""


@dataclass(frozen=True, kw_only=True)
class Service:
    ground: Ground
    reelay: OverHttp
    operator: httpx.AsyncClient
    """The API, with an operator's key."""
    temporal: Client
    database: asyncpg.Connection
    """A superuser's: it sees the rows of all users."""
    say: Callable[[str], None]

    @property
    def api(self) -> httpx.AsyncClient:
        """With the key of a user."""
        return self.reelay.api

    @property
    def provider(self) -> httpx.AsyncClient:
        return self.reelay.provider

    def pids(self, *parts: str) -> dict[str, int]:
        """As they run now."""
        running = self.ground.stack.parts
        return {part: running[part].pid for part in parts}

    def run_of(self, job: str) -> WorkflowHandle[Any, Any]:
        return self.temporal.get_workflow_handle(self.reelay.run_of(job))

    @asynccontextmanager
    async def webhooks_held(self) -> AsyncIterator[None]:
        """The provider keeps them back, and sends them all at once when the block ends."""
        await self._hold(True)
        try:
            yield
        finally:
            await self._hold(False)

    async def are_held(self, count: int) -> bool:
        """Whether the provider keeps so many webhooks back."""
        return bool((await answer_of(lambda: self.provider.get("/bench/hold"))).json()["calls"] >= count)

    async def _hold(self, held: bool) -> None:
        await answer_of(lambda: self.provider.post("/bench/hold", json={"held": held}))

    @asynccontextmanager
    async def results_of(self, mebibytes: int, query: str = "") -> AsyncIterator[None]:
        """All results have so large a file while the block lasts."""
        size = mebibytes * MIB
        video = {"path": f"/blobs/{size}/large.mp4{query}", "bytes": size}
        await answer_of(lambda: self.provider.post("/bench/video", json=video))
        try:
            yield
        finally:
            await answer_of(lambda: self.provider.post("/bench/video", json={}))

    @asynccontextmanager
    async def limited_to(self, slots: int) -> AsyncIterator[None]:
        """So many jobs are at the provider at once, at most."""
        await self._limit(slots)
        try:
            yield
        finally:
            await self._limit(None)

    async def _limit(self, slots: int | None) -> None:
        await answer_of(lambda: self.operator.post("/api/admin/providers/fal/limit", json={"slots": slots}))
        await asyncio.sleep(LIMIT_KNOWN_SECONDS)

    @asynccontextmanager
    async def without_triggers(self) -> AsyncIterator[asyncpg.Connection]:
        """Nobody is told what is written to the database, and its rows may refer to what is gone."""
        async with self.database.transaction():
            await self.database.execute("set local session_replication_role = replica")
            yield self.database


@asynccontextmanager
async def open_service(ground: Ground, say: Callable[[str], None]) -> AsyncIterator[Service]:
    operator = await headers_of(ground, "bench", Scope.ADMIN)
    async with AsyncExitStack() as stack:
        database = await asyncpg.connect(superuser(ground), command_timeout=STATEMENT_SECONDS)
        stack.push_async_callback(database.close)
        yield Service(
            ground=ground,
            reelay=await stack.enter_async_context(open_reelay(ground)),
            operator=await stack.enter_async_context(open_client(ground.stack.api_url, operator)),
            temporal=await ground.connect(),
            database=database,
            say=say,
        )


def superuser(ground: Ground) -> str:
    parts = urlsplit(ground.stack.database_admin_url)
    password = keep_secrets(ground.data_dir.secrets_file).superuser_password
    return urlunsplit(parts._replace(netloc=f"postgres:{password}@{parts.hostname}:{parts.port}"))

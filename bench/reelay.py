"""Reelay as it is run: API and worker as processes, called over HTTP with an API key."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
from temporalio.client import Client

from bench.contender import LOOK_AFTER_SECONDS, Contender, Footprint, Step, Timings
from bench.ground import Ground
from bench.history import footprint_of
from bench.provider import USER_ID, Delivery
from db.keys import create_key
from db.tables import Scope
from devstack.access import Database
from devstack.data_dir import DataDir
from devstack.environment import simulated_provider
from devstack.ports import HOST
from devstack.secrets import keep_secrets
from workflows.ids import workflow_id

REQUEST = {"prompt": "A paper boat sails down a rain-soaked street at dusk", "quality": "fast"}


def reelay_environment(data_dir: DataDir, *, provider_url: str, api_url: str) -> dict[str, str]:
    """What a user's `.env` could otherwise change."""
    return {
        **simulated_provider(provider_url),
        "APP_URL": api_url,
        "ARCHIVE_URL": data_dir.archive.as_uri(),
        "FAL_USER_ID": USER_ID,
        "DOWNLOAD_ALLOWED_HOSTS": HOST,
        **dict.fromkeys(("REQUESTS_PER_SECOND", "CREATIONS_PER_MINUTE", "CONCURRENT_GENERATIONS"), "0"),
    }


class Reelay:
    name = "Reelay"
    promise = Footprint(events=29, actions=6)

    def __init__(
        self, api: httpx.AsyncClient, provider: httpx.AsyncClient, temporal: Client, processes: Mapping[str, int]
    ) -> None:
        self._api = api
        self._provider = provider
        self._temporal = temporal
        self.processes = processes

    async def generate(self) -> str:
        run = workflow_id(await self._create())
        await self._end_of(run)
        return run

    async def generate_timed(self) -> Timings:
        begun = time.monotonic()
        job = await self._create()
        created = time.monotonic()
        await asyncio.sleep(LOOK_AFTER_SECONDS)
        asked = time.monotonic()
        (await self._api.get(f"/api/jobs/{job}")).raise_for_status()
        answered = time.monotonic()
        await self._end_of(workflow_id(job))
        ended = time.monotonic()
        webhook = await self._delivery(job)
        return {
            Step.CREATE: created - begun,
            Step.STATUS: answered - asked,
            Step.TELL: webhook.acknowledged_at - webhook.sent_at,
            Step.FINISH: ended - webhook.sent_at,
            Step.WHOLE: ended - begun,
        }

    async def footprint(self, run: str) -> Footprint:
        return await footprint_of(self._temporal, run)

    async def _create(self) -> UUID:
        answer = await self._api.post("/api/generate/video", json=REQUEST)
        return UUID(answer.raise_for_status().json()["jobId"])

    async def _end_of(self, run: str) -> None:
        # Not by the API or the database: so it costs the same one long poll as with a bare workflow.
        await self._temporal.get_workflow_handle(run).result()

    async def _delivery(self, job: UUID) -> Delivery:
        return Delivery(**(await self._provider.get(f"/bench/webhooks/{job}")).raise_for_status().json())


@asynccontextmanager
async def open_reelay(ground: Ground) -> AsyncIterator[Contender]:
    key = await _new_key(ground)
    unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    headers = {"authorization": f"Bearer {key}"}
    async with (
        httpx.AsyncClient(
            base_url=ground.stack.api_url, headers=headers, timeout=30, limits=unlimited, trust_env=False
        ) as api,
        httpx.AsyncClient(base_url=ground.provider_url, timeout=30, limits=unlimited, trust_env=False) as provider,
    ):
        processes = {name: ground.stack.parts[name].pid for name in ("api", "worker")}
        yield Reelay(api, provider, await ground.connect("default"), processes)


async def _new_key(ground: Ground) -> str:
    pepper = keep_secrets(ground.data_dir.secrets_file).api_key_pepper.encode()
    database = Database(ground.stack.database_admin_url, ground.stack.database_url, pepper)
    async with database.transaction() as session:
        return await create_key(session, user="bench", scope=Scope.USER, pepper=pepper)

"""The one job that every contender does, step by step: what is left to compare is how it is carried.

Submit, wait for the signed webhook, fetch the result, keep the media with its hash, size and poster. Nothing is
guarded, repeated or written down here.
"""

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode
from uuid import UUID

import asyncpg
import httpx
from starlette.requests import Request

from lab.bench.http_clients import open_client
from reelay.media.probe import inspect
from reelay.providers.fal_webhook import FalWebhooks, keys_of
from reelay.providers.jwks import JwksCache

ENDPOINT = "fal-ai/veo3.1/fast"
PROMPT = "A paper boat sails down a rain-soaked street at dusk"
WEBHOOK_WITHIN = timedelta(minutes=4)
"""How long a durable contender waits for it."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a contender finds the rest: the arguments of each of its processes."""

    origin: str
    """Its own API's, for webhooks."""
    provider: str
    database: str
    folder: str

    def arguments(self) -> tuple[str, ...]:
        return (self.origin, self.provider, self.database, self.folder)

    @classmethod
    def from_command_line(cls) -> "Place":
        """The last arguments."""
        origin, provider, database, folder = sys.argv[-4:]
        return cls(origin=origin, provider=provider, database=database, folder=folder)


@dataclass(frozen=True, kw_only=True)
class Kept:
    path: str
    sha256: str
    width: int | None
    height: int | None
    seconds: float | None
    poster: str | None


@dataclass(frozen=True, kw_only=True)
class Steps:
    place: Place
    client: httpx.AsyncClient
    webhooks: FalWebhooks

    async def submit(self, job: str) -> str:
        """The provider's request id."""
        query = urlencode({"fal_webhook": f"{self.place.origin}/webhook?{urlencode({'job': job})}"})
        answer = await self.client.post(f"{self.place.provider}/{ENDPOINT}?{query}", json={"prompt": PROMPT})
        return str(answer.raise_for_status().json()["request_id"])

    async def verify(self, request: Request) -> str:
        """The job that a webhook is about. Raises: WebhookRejected."""
        await self.webhooks.verify(request.headers, await request.body())
        return request.query_params["job"]

    async def fetch(self, request_id: str) -> str:
        """The media's address."""
        answer = await self.client.get(f"{self.place.provider}/fal-ai/veo3.1/requests/{request_id}")
        return str(answer.raise_for_status().json()["video"]["url"])

    async def keep(self, job: str, url: str) -> Kept:
        path = Path(self.place.folder) / f"{job}.mp4"
        digest = hashlib.sha256()
        async with self.client.stream("GET", url) as answer:
            answer.raise_for_status()
            with path.open("wb") as file:
                async for chunk in answer.aiter_bytes():
                    digest.update(chunk)
                    file.write(chunk)
        poster = path.with_suffix(".jpg")
        found = await asyncio.to_thread(inspect, path, poster=poster)
        return Kept(
            path=str(path),
            sha256=digest.hexdigest(),
            width=found.width,
            height=found.height,
            seconds=found.duration_seconds,
            poster=str(poster) if found.has_poster else None,
        )


@asynccontextmanager
async def open_steps(place: Place) -> AsyncIterator[Steps]:
    loop = asyncio.get_running_loop()
    async with open_client() as client:
        jwks = JwksCache(client, f"{place.provider}/.well-known/jwks.json", parse=keys_of, clock=loop.time)
        webhooks = FalWebhooks(jwks, user_id=None, clock=lambda: datetime.now(UTC))
        yield Steps(place=place, client=client, webhooks=webhooks)


CREATE_TABLE = """
create table if not exists {table} (
    id uuid primary key, prompt text not null, status text not null default 'pending', request_id text,
    path text, sha256 text, width integer, height integer, seconds double precision, poster text,
    created_at timestamptz not null default now(), completed_at timestamptz
)
"""
INSERT = "insert into {table} (id, prompt) values ($1, $2)"
SUBMITTED = "update {table} set status = 'submitted', request_id = $2 where id = $1"
COMPLETED = """
update {table} set status = 'completed', path = $2, sha256 = $3, width = $4, height = $5, seconds = $6, poster = $7,
    completed_at = now()
where id = $1
"""
STATUS = "select status from {table} where id = $1"


class JobRows:
    """A contender's own table: one statement for each change, and no transaction around it."""

    def __init__(self, database: asyncpg.Pool, table: str) -> None:
        self._database = database
        self._table = table

    async def insert(self, job: str) -> None:
        await self._database.execute(INSERT.format(table=self._table), UUID(job), PROMPT)

    async def submitted(self, job: str, request_id: str) -> None:
        await self._database.execute(SUBMITTED.format(table=self._table), UUID(job), request_id)

    async def completed(self, job: str, kept: Kept) -> None:
        found = (kept.width, kept.height, kept.seconds)
        statement = COMPLETED.format(table=self._table)
        await self._database.execute(statement, UUID(job), kept.path, kept.sha256, *found, kept.poster)

    async def status(self, job: str) -> str:
        return str(await self._database.fetchval(STATUS.format(table=self._table), UUID(job)))


@asynccontextmanager
async def open_rows(place: Place, table: str) -> AsyncIterator[JobRows]:
    """Makes the table."""
    async with asyncpg.create_pool(place.database, min_size=1, max_size=10) as database:
        await database.execute(CREATE_TABLE.format(table=table))
        yield JobRows(database, table)

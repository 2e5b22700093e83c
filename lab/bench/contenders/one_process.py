"""Contenders without Temporal: one process that serves the API and does the work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lab.bench.contender import Contender
from lab.bench.contenders.own_processes import CREATING, serving
from lab.bench.ground import Ground
from lab.bench.over_http import OverHttp, clients


@asynccontextmanager
async def _open(ground: Ground, *, name: str, module: str) -> AsyncIterator[Contender]:
    async with (
        serving(ground, module) as served,
        clients(served.place.origin, ground.provider_url) as (api, provider),
    ):

        async def end_of(job: str) -> None:
            (await api.get(f"/jobs/{job}/end")).raise_for_status()

        yield OverHttp(
            name=name,
            promise=None,
            processes={"api": served.pid},
            creating=CREATING,
            api=api,
            provider=provider,
            end_of=end_of,
            run_of=str,
            temporal=None,
        )


@asynccontextmanager
async def open_dbos(ground: Ground) -> AsyncIterator[Contender]:
    async with _open(ground, name="DBOS", module="dbos_app") as contender:
        yield contender


@asynccontextmanager
async def open_plain(ground: Ground) -> AsyncIterator[Contender]:
    """The shape of the documents: FastAPI and SQL, not durable."""
    async with _open(ground, name="no engine", module="plain_app") as contender:
        yield contender

"""The bare engine: the skeleton workflow, driven by the raw calls that Reelay's API makes for its callers."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
from temporalio.client import Client, WorkflowHandle

from lab.bench.contender import PROVIDER_SECONDS, STATUS_AFTER_SECONDS, Contender, Footprint, Step, Timings
from lab.bench.contenders.skeleton_workflow import TASK_QUEUE, SkeletonWorkflow
from lab.bench.ground import Ground, part, polls, process
from lab.bench.history import footprint_of
from lab.bench.job import PROMPT

NAMESPACE = "skeleton"
CREATE_TABLE = """
create table skeletons (id uuid primary key, prompt text not null, created_at timestamptz not null default now())
"""
INSERT = "insert into skeletons (id, prompt) values ($1, $2)"
MOST_CONNECTIONS = 16


class Skeleton:
    name = "empty skeleton"

    def __init__(self, temporal: Client, database: asyncpg.Pool, processes: Mapping[str, int]) -> None:
        self._temporal = temporal
        self._database = database
        self.processes = processes

    async def generate(self) -> str:
        run = await self._start()
        await asyncio.sleep(PROVIDER_SECONDS)
        await run.signal(SkeletonWorkflow.webhook)
        await run.result()
        return run.id

    async def generate_timed(self) -> Timings:
        begun = time.monotonic()
        await self._database.execute(INSERT, uuid4(), PROMPT)
        run = await self._start()
        created = time.monotonic()
        await asyncio.sleep(STATUS_AFTER_SECONDS)
        asked = time.monotonic()
        await run.query(SkeletonWorkflow.is_signaled)
        answered = time.monotonic()
        await asyncio.sleep(max(0.0, created + PROVIDER_SECONDS - answered))
        sent = time.monotonic()
        await run.signal(SkeletonWorkflow.webhook)
        acknowledged = time.monotonic()
        await run.result()
        ended = time.monotonic()
        return {
            Step.CREATE: created - begun,
            Step.STATUS: answered - asked,
            Step.WEBHOOK: acknowledged - sent,
            Step.FINISH: ended - sent,
            Step.WHOLE: ended - begun,
        }

    async def footprint(self, job: str) -> Footprint:
        return await footprint_of(self._temporal, job)

    async def _start(self) -> WorkflowHandle[SkeletonWorkflow, None]:
        return await self._temporal.start_workflow(
            SkeletonWorkflow.run, id=f"skeleton-{uuid4()}", task_queue=TASK_QUEUE
        )


@asynccontextmanager
async def open_skeleton(ground: Ground) -> AsyncIterator[Contender]:
    temporal = await ground.connect_to_new(NAMESPACE)
    environment = {"TEMPORAL_ADDRESS": ground.stack.temporal_address, "TEMPORAL_NAMESPACE": NAMESPACE}
    answers = polls(temporal, TASK_QUEUE)
    program = part(ground.data_dir, "contenders.temporal_worker", "skeleton", environment=environment, answers=answers)
    async with (
        asyncpg.create_pool(ground.stack.database_admin_url, min_size=1, max_size=MOST_CONNECTIONS) as database,
        process(program) as worker,
    ):
        await database.execute(CREATE_TABLE)
        yield Skeleton(temporal, database, {"worker": worker})

"""The floor with I/O: Temporal and the job's steps, written in the most direct way, and nothing that guards them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lab.bench.contender import Contender
from lab.bench.contenders.direct_api import run_of
from lab.bench.contenders.direct_workflow import TASK_QUEUE
from lab.bench.contenders.own_processes import CREATING, serving
from lab.bench.ground import Ground, part
from lab.bench.namespaces import polls, register_namespace
from lab.bench.over_http import OverHttp, clients
from lab.devstack.processes import running

NAMESPACE = "direct"


@asynccontextmanager
async def open_direct(ground: Ground) -> AsyncIterator[Contender]:
    temporal = await ground.connect(NAMESPACE)
    await register_namespace(temporal)
    environment = {"TEMPORAL_ADDRESS": ground.stack.temporal_address, "TEMPORAL_NAMESPACE": NAMESPACE}

    async def end_of(job: str) -> None:
        await temporal.get_workflow_handle(run_of(job)).result()

    async with serving(ground, "direct_api", environment) as served:
        program = part(
            ground.data_dir,
            "contenders.direct_worker",
            *served.place.arguments(),
            environment=environment,
            answers=polls(temporal, TASK_QUEUE),
        )
        async with running(program) as worker, clients(served.place.origin, ground.provider_url) as (api, provider):
            assert worker.pid is not None
            yield OverHttp(
                name="floor with I/O",
                promise=None,
                processes={"api": served.pid, "worker": worker.pid},
                creating=CREATING,
                api=api,
                provider=provider,
                end_of=end_of,
                run_of=run_of,
                temporal=temporal,
            )

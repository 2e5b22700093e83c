"""A bench from nothing to its report: the servers, the contenders, the rounds."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench.contenders.direct import open_direct
from bench.contenders.one_process import open_dbos, open_plain
from bench.contenders.reelay import open_reelay, reelay_environment
from bench.contenders.skeleton import open_skeleton
from bench.ground import SHARED_PROCESSES, Ground, part, plain_environment
from bench.machine import machine
from bench.measuring import Bench
from bench.plan import Plan
from bench.report import Report
from bench.rows import Row
from bench.studies.archive import archive_rows
from bench.studies.polling import polling_rows
from bench.studies.stored import stored_rows
from bench.studies.streams import allow_streams, stream_rows
from bench.studies.waiting import waiting_rows
from devstack.data_dir import DataDir
from devstack.errors import StackError
from devstack.ports import HOST, free_ports
from devstack.processes import running
from devstack.stack import Ports, Stack
from devstack.temporal import answers_ok

CONTENDERS = (open_reelay, open_skeleton, open_direct, open_dbos, open_plain)


class Interrupted(StackError):
    """There is no report."""


async def run_bench(folder: Path, plan: Plan, say: Callable[[str], None]) -> Report:
    """Everything is started in the folder, on loopback, and stopped again. Raises: StackError."""
    api, temporal, ui, postgres, provider = free_ports(5)
    ports = Ports(api=api, temporal=temporal, ui=ui, simulator=None, postgres=postgres)
    data_dir, reports = DataDir(folder), list[Report]()
    urls = {"provider_url": f"http://{HOST}:{provider}", "api_url": f"http://{HOST}:{api}"}
    environment = plain_environment() | reelay_environment(data_dir, **urls)
    allow_streams(plan.streams)
    with data_dir.held():
        stack = Stack(data_dir, ports, user=environment, overrides={}, say=say)

        async def work() -> None:
            async with open_ground(data_dir, provider) as ground:
                reports.append(await report_on(ground, plan, say))

        await stack.run(work)
    if not reports:
        raise Interrupted("stopped before the end")
    return reports[0]


@asynccontextmanager
async def open_ground(data_dir: DataDir, provider_port: int) -> AsyncIterator[Ground]:
    """The running stack, and the provider beside it."""
    url = f"http://{HOST}:{provider_port}"

    async def answers(pid: int, /) -> bool:
        return await answers_ok(f"{url}/.well-known/jwks.json")

    arguments = (str(provider_port), str(data_dir.path))
    async with running(part(data_dir, "provider", *arguments, environment={}, answers=answers)) as provider:
        stack = data_dir.find_stack()
        assert provider.pid is not None
        processes = {name: stack.parts[name].pid for name in SHARED_PROCESSES}
        processes |= {"provider": provider.pid, "driver": os.getpid()}
        yield Ground(data_dir=data_dir, stack=stack, provider_url=url, processes=processes)


async def report_on(ground: Ground, plan: Plan, say: Callable[[str], None]) -> Report:
    facts = await machine(ground)
    async with AsyncExitStack() as opened:
        contenders = [await opened.enter_async_context(open_contender(ground)) for open_contender in CONTENDERS]
        rounds = await Bench(contenders=contenders, processes=ground.processes, plan=plan, say=say).rounds()
        promises = {each.name: each.promise for each in contenders if each.promise is not None}
    return Report(machine=facts, promises=promises, rounds=rounds, studies=await studies_of(ground, plan, say))


async def studies_of(ground: Ground, plan: Plan, say: Callable[[str], None]) -> list[Row]:
    """What the plan asks for; the million rows last, because all that comes after would live with them."""
    rows: list[Row] = []
    if plan.archive_rounds:
        folder = ground.data_dir.path / "archive-study"
        rows += await archive_rows(ground.provider_url, folder, rounds=plan.archive_rounds, say=say)
    if plan.waiting:
        rows += await waiting_rows(ground, count=plan.waiting, say=say)
    if plan.pollers:
        rows += await polling_rows(
            ground, pollers=plan.pollers, polls=plan.polls, every_seconds=plan.poll_seconds, say=say
        )
    if plan.streams:
        rows += await stream_rows(ground, count=plan.streams, say=say)
    if plan.stored:
        rows += await stored_rows(ground, counts=plan.stored, say=say)
    return rows

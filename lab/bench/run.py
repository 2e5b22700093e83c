"""A bench from nothing to its report: the servers, the contenders, the rounds."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from traceback import format_exception

from lab.bench.contenders.direct import open_direct
from lab.bench.contenders.one_process import open_dbos, open_plain
from lab.bench.contenders.reelay import open_reelay, reelay_environment
from lab.bench.contenders.skeleton import open_skeleton
from lab.bench.ground import SHARED_PROCESSES, Ground, part, plain_environment
from lab.bench.machine import machine
from lab.bench.measuring import Bench
from lab.bench.plan import STUDIES, Plan
from lab.bench.report import Report
from lab.bench.rows import Row
from lab.bench.studies.archive import archive_rows
from lab.bench.studies.canceling import cancel_rows
from lab.bench.studies.growth import growth_rows
from lab.bench.studies.large_files import large_file_rows
from lab.bench.studies.mixing import mixing_rows
from lab.bench.studies.outgoing import outgoing_rows
from lab.bench.studies.polling import polling_rows
from lab.bench.studies.pruning import pruning_rows
from lab.bench.studies.pythons import python_rows
from lab.bench.studies.slots import slot_rows
from lab.bench.studies.stored import stored_rows
from lab.bench.studies.streams import allow_streams, stream_rows
from lab.bench.studies.waiting import waiting_rows
from lab.devstack.ports import HOST, free_ports
from lab.devstack.processes import running
from lab.devstack.stack import Ports, Stack
from lab.devstack.temporal import answers_ok
from reelay.cli.data_dir import DataDir
from reelay.cli.errors import StackError

CONTENDERS = (open_reelay, open_skeleton, open_direct, open_dbos, open_plain)

Study = Callable[[], AsyncIterator[Row]]
"""A row that comes again stands for the one before."""


class Interrupted(StackError):
    """The report is not whole."""


async def run_bench(folder: Path, plan: Plan, say: Callable[[str], None], keep: Callable[[Report], None]) -> Report:
    """Everything is started in the folder, on loopback, and stopped again. `keep` is given what there is so far.

    Raises: StackError, and whatever kept a contender's generations from completing. What keeps a study from its end
    is in the report.
    """
    api, temporal, ui, postgres, provider = free_ports(5)
    begun = time.monotonic()
    ports = Ports(api=api, temporal=temporal, ui=ui, simulator=None, postgres=postgres)
    data_dir, reports = DataDir(folder), list[Report]()
    urls = {"provider_url": f"http://{HOST}:{provider}", "api_url": f"http://{HOST}:{api}"}
    environment = plain_environment() | reelay_environment(data_dir, **urls)
    allow_streams(plan.streams)
    with data_dir.held():
        stack = Stack(data_dir, ports, user=environment, overrides={}, say=say)

        async def work() -> None:
            async with open_ground(data_dir, provider) as ground:
                async for report in reports_on(ground, plan, begun, say):
                    reports.append(report)
                    keep(report)

        await stack.run(work)
    if not (reports and reports[-1].is_whole):
        raise Interrupted("stopped before the end")
    return reports[-1]


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


async def reports_on(ground: Ground, plan: Plan, begun: float, say: Callable[[str], None]) -> AsyncIterator[Report]:
    """Each with more in it than the last."""
    report = Report(machine=await machine(ground))
    if plan.throughput:
        async for compared in comparisons(ground, plan, report, say):
            report = compared
            yield report
    for name, study in studies_of(ground, plan, say).items():
        report = await with_study(report, name, study, _left(plan, begun), say)
        yield report
    yield replace(report, is_whole=True)


async def comparisons(ground: Ground, plan: Plan, report: Report, say: Callable[[str], None]) -> AsyncIterator[Report]:
    """With one round more each."""
    async with AsyncExitStack() as opened:
        contenders = [await opened.enter_async_context(open_contender(ground)) for open_contender in CONTENDERS]
        promises = {each.name: each.promise for each in contenders if each.promise is not None}
        report = replace(report, promises=promises)
        async for round in Bench(contenders=contenders, processes=ground.processes, plan=plan, say=say).rounds():
            report = replace(report, rounds=(*report.rounds, round))
            yield report


def studies_of(ground: Ground, plan: Plan, say: Callable[[str], None]) -> dict[str, Study]:
    """What the plan asks for, in order: the million rows last, because all that comes after would live with them."""
    folder = ground.data_dir.path / "archive-study"
    studies: dict[str, Study] = {
        "archive": lambda: archive_rows(ground.provider_url, folder, rounds=plan.archive_rounds, say=say),
        "cancel": lambda: cancel_rows(ground, file_bytes=plan.cancelled_bytes, say=say),
        "files": lambda: large_file_rows(ground, file_bytes=plan.large_file_bytes, say=say),
        "polling": lambda: polling_rows(
            ground, pollers=plan.pollers, polls=plan.polls, every_seconds=plan.poll_seconds, say=say
        ),
        "streams": lambda: stream_rows(ground, count=plan.streams, say=say),
        "growth": lambda: growth_rows(ground, plan.concurrency, say),
        "waiting": lambda: waiting_rows(ground, count=plan.waiting, say=say),
        "outgoing": lambda: outgoing_rows(ground, events=plan.events, say=say),
        "mixing": lambda: mixing_rows(ground, seconds=plan.film_seconds, say=say),
        "slots": lambda: slot_rows(ground, count=plan.in_line, say=say),
        "pythons": lambda: python_rows(ground, generations=plan.pythons, say=say),
        "pruning": lambda: pruning_rows(ground, count=plan.pruned, say=say),
        "stored": lambda: stored_rows(ground, counts=plan.stored, generations=plan.stored_generations, say=say),
    }
    return {name: studies[name] for name, size in STUDIES.items() if getattr(plan, size)}


async def with_study(
    report: Report, name: str, study: Study, seconds: float | None, say: Callable[[str], None]
) -> Report:
    """With its rows, as far as they go, and with what kept it from its end."""
    begun, rows = time.monotonic(), dict[tuple[str, str], Row]()
    failures = dict(report.failures)
    try:
        async with asyncio.timeout(seconds):
            async for row in study():
                rows[row.section, row.label] = row
    except Exception as error:  # whatever it is: the other studies' rows are worth keeping
        is_late = seconds is not None and time.monotonic() - begun >= seconds
        say("".join(format_exception(error)))
        failures[name] = "there was no time left for it" if is_late else _in_words(error)
    return replace(report, studies=(*report.studies, *rows.values()), failures=failures)


def _left(plan: Plan, begun: float) -> float | None:
    """Seconds."""
    return None if plan.limit is None else max(0.0, begun + plan.limit.total_seconds() - time.monotonic())


def _in_words(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"

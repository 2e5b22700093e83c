"""A bench from nothing to its results: the servers, the contenders, the studies."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from traceback import format_exception

from lab.bench.comparison import at_least_load, rows_of
from lab.bench.contenders.peers import open_dbos, open_floor, open_plain, open_restate
from lab.bench.contenders.reelay import ACTIONS, EVENTS, NAME, keeps_promise, open_reelay, reelay_environment
from lab.bench.contenders.restate_server import LEFT_OUT, find_binary
from lab.bench.contenders.skeleton import open_skeleton
from lab.bench.ground import Ground, origin_of, part, plain_environment, process, serves
from lab.bench.measuring import Bench, Round
from lab.bench.plan import Plan
from lab.bench.results import Results, Row
from lab.bench.studies.archive import archive_rows
from lab.bench.studies.canceling import cancel_rows
from lab.bench.studies.files import file_rows
from lab.bench.studies.growth import growth_rows
from lab.bench.studies.mixing import mixing_rows
from lab.bench.studies.outgoing import outgoing_rows
from lab.bench.studies.polling import polling_rows
from lab.bench.studies.pruning import pruning_rows
from lab.bench.studies.pythons import python_rows
from lab.bench.studies.service import Service, open_service
from lab.bench.studies.slots import slot_rows
from lab.bench.studies.stored import stored_rows
from lab.bench.studies.streams import allow_streams, stream_rows
from lab.bench.studies.switches import switch_rows
from lab.bench.studies.waiting import waiting_rows
from lab.devstack.ports import free_ports
from lab.devstack.stack import Ports, Stack
from reelay.cli.data_dir import DataDir
from reelay.cli.errors import StackError

CONTENDERS = (open_reelay, open_skeleton, open_floor, open_dbos, open_restate, open_plain)

Study = Callable[[Service, int], AsyncIterator[Row]]
"""Of a size. A row that comes again stands for the one before."""
Say = Callable[[str], None]

STUDIES: Mapping[str, Study] = {
    "archive": archive_rows,
    "cancel": cancel_rows,
    "files": file_rows,
    "polling": polling_rows,
    "streams": stream_rows,
    "growth": growth_rows,
    "switches": switch_rows,
    "waiting": waiting_rows,
    "outgoing": outgoing_rows,
    "mixing": mixing_rows,
    "slots": slot_rows,
    "pythons": python_rows,
    "pruning": pruning_rows,
    "stored": stored_rows,
}


class Interrupted(StackError):
    """The results are not whole."""


async def run_bench(folder: Path, plan: Plan, say: Say, keep: Callable[[Results], None]) -> Results:
    """Everything is started in the folder, on loopback, and stopped again. `keep` is given what there is so far.

    Raises: StackError, and whatever kept a contender's generations from completing. What keeps a study from its end
    is in the results.
    """
    api, temporal, ui, postgres, provider = free_ports(5)
    begun = time.monotonic()
    ports = Ports(api=api, temporal=temporal, ui=ui, simulator=None, postgres=postgres)
    data_dir, found = DataDir(folder), list[Results]()
    ours = reelay_environment(data_dir, provider_url=origin_of(provider), api_url=origin_of(api))
    allow_streams(plan.studies.get("streams", 0))
    with data_dir.held():
        stack = Stack(data_dir, ports, user=plain_environment() | ours, overrides={}, say=say)

        async def work() -> None:
            async with open_ground(data_dir, provider) as ground:
                async for results in results_of(ground, plan, begun, say):
                    found.append(results)
                    keep(results)

        await stack.run(work)
    if not (found and found[-1].is_whole):
        raise Interrupted("stopped before the end")
    return found[-1]


@asynccontextmanager
async def open_ground(data_dir: DataDir, provider_port: int) -> AsyncIterator[Ground]:
    """The running stack, and the provider beside it."""
    url = origin_of(provider_port)
    arguments = (str(provider_port), str(data_dir.path))
    program = part(data_dir, "provider", *arguments, environment={}, answers=serves(f"{url}/.well-known/jwks.json"))
    async with process(program) as provider:
        parts = data_dir.find_stack().parts
        shared = {name: parts[name].pid for name in ("temporal", "postgres")}
        yield Ground(
            data_dir=data_dir, provider_url=url, processes=shared | {"provider": provider, "driver": os.getpid()}
        )


async def results_of(ground: Ground, plan: Plan, begun: float, say: Say) -> AsyncIterator[Results]:
    """Each with more in it than the last."""
    results = Results(machine=await ground.machine())
    if plan.throughput:
        async for rounds in compared(ground, plan, say):
            results = replace(results, comparison=rows_of(rounds), failures=broken_promises(rounds))
            yield results
    for name, size in plan.studies.items():
        left = None if plan.limit is None else max(0.0, begun + plan.limit.total_seconds() - time.monotonic())
        before, rows = results, studied(ground, name, size, say)
        async for results in with_study(before, name, rows, left, say):
            yield results
    yield replace(results, is_whole=True)


async def compared(ground: Ground, plan: Plan, say: Say) -> AsyncIterator[list[Round]]:
    """With one round more each."""
    openers = [each for each in CONTENDERS if each is not open_restate or find_binary()]
    if open_restate not in openers:
        say(f"Restate is {LEFT_OUT}")
    async with AsyncExitStack() as opened:
        contenders = [await opened.enter_async_context(each(ground)) for each in openers]
        rounds = list[Round]()
        async for round in Bench(contenders=contenders, ground=ground, plan=plan, say=say).rounds():
            rounds.append(round)
            yield rounds


def broken_promises(rounds: list[Round]) -> dict[str, str]:
    """Of the runs with the least load."""
    ours = [each for round in rounds for each in round.throughput if each.contender == NAME]
    left = [footprint for each in at_least_load(ours) for footprint in each.footprints]
    worst = [each for each in left if not keeps_promise(each)]
    told = f"{EVENTS} events and {ACTIONS} actions at most were promised, and {len(worst)} of {len(left)} left more"
    return {NAME: f"{told}: {worst[0]}"} if worst else {}


async def studied(ground: Ground, name: str, size: int, say: Say) -> AsyncIterator[Row]:
    async with open_service(ground, say) as service:
        async for row in STUDIES[name](service, size):
            yield row


async def with_study(
    before: Results, name: str, rows: AsyncIterator[Row], seconds: float | None, say: Say
) -> AsyncIterator[Results]:
    """Each with one of its rows more, as far as they go; at last with what kept it from its end."""
    clock = asyncio.get_running_loop().time
    late_at = None if seconds is None else clock() + seconds
    results, found = before, dict[tuple[str, str], Row]()
    try:
        while True:
            async with asyncio.timeout_at(late_at):
                row = await anext(rows)
            found[row.section, row.label] = row
            results = replace(before, studies=(*before.studies, *found.values()))
            yield results
    except StopAsyncIteration:
        return
    except Exception as error:  # whatever it is: the other studies' rows are worth keeping
        is_late = late_at is not None and clock() >= late_at
        say("".join(format_exception(error)))
        why = "there was no time left for it" if is_late else _in_words(error)
        yield replace(results, failures={**before.failures, name: why})


def _in_words(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"

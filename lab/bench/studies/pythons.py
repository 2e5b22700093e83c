"""The same generations by the API and the worker of each Python that has a virtual environment: `make pythons`."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from subprocess import run

from lab.bench.contender import Contender
from lab.bench.contenders.reelay import api_headers, reelay_at, reelay_environment
from lab.bench.ground import Ground, plain_environment
from lab.bench.measuring import Bench, Throughput
from lab.bench.namespaces import polls
from lab.bench.plan import Plan
from lab.bench.rows import Row
from lab.devstack.ports import HOST, free_ports
from lab.devstack.processes import Program, running
from lab.devstack.temporal import answers_ok
from reelay.cli.secrets import keep_secrets

ROOT = Path(__file__).parents[3]
PROMISED = ("3.11", "3.12", "3.13")
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
CONCURRENCY = 16
ROUNDS = 5
VERSION = "import platform; print(platform.python_version())"


async def python_rows(ground: Ground, *, generations: int, say: Callable[[str], None]) -> AsyncIterator[Row]:
    """A round more each time: all Pythons in turn, `generations` by each."""
    plan = Plan(throughput={CONCURRENCY: generations}, latency={}, rounds=ROUNDS, budget=timedelta.max)
    async with AsyncExitStack() as opened:
        contenders = [await opened.enter_async_context(open_on(ground, python)) for python in pythons(say)]
        measured: list[Throughput] = []
        async for round in Bench(contenders=contenders, processes=ground.processes, plan=plan, say=say).rounds():
            measured += round.throughput
            for row in _rows(measured):
                yield row


def pythons(say: Callable[[str], None]) -> list[Path]:
    """Of this process, and of the virtual environments beside it."""
    found = [Path(sys.executable)]
    for version in PROMISED:
        python = ROOT / f".venv-{version}" / "bin" / "python"
        if version != OWN and python.exists():
            found.append(python)
        elif version != OWN:
            say(f"Python {version}: no virtual environment; `make pythons` makes one where it is on PATH")
    return found


def version_of(python: Path) -> str:
    return run([python, "-c", VERSION], capture_output=True, text=True, check=True).stdout.strip()


@asynccontextmanager
async def open_on(ground: Ground, python: Path) -> AsyncIterator[Contender]:
    """An API and a worker of that Python beside the stack's own, on a task queue of theirs."""
    name = f"Python {await asyncio.to_thread(version_of, python)}"
    (port,) = free_ports(1)
    url, queue = f"http://{HOST}:{port}", f"generations-{name.replace(' ', '-').lower()}"
    secrets = keep_secrets(ground.data_dir.secrets_file)
    environment = {
        **plain_environment(),
        **reelay_environment(ground.data_dir, provider_url=ground.provider_url, api_url=url),
        "ENVIRONMENT": "development",
        "DATABASE_URL": ground.stack.database_url,
        "DATABASE_SERVICE_URL": ground.stack.database_service_url,
        "TEMPORAL_ADDRESS": ground.stack.temporal_address,
        "REELAY_TASK_QUEUE": queue,
        "REELAY_DATA_DIR": str(ground.data_dir.path),
        "FAL_WEBHOOK_SECRET": secrets.webhook_secret,
        "OUTGOING_WEBHOOK_SECRET": secrets.webhook_secret,
        "API_KEY_PEPPER": secrets.api_key_pepper,
    }

    def program(part: str, *arguments: str) -> Program:
        return Program(
            name=f"{part} of {name}",
            command=(str(python), "-P", "-m", "reelay.cli.main", part, *arguments),
            environment=environment,
            log_file=ground.data_dir.log_file(f"{part}-{queue}"),
            answers=polls_of_worker if part == "worker" else answers_of_api,
        )

    async def answers_of_api(pid: int, /) -> bool:
        return await answers_ok(f"{url}/readyz")

    polls_of_worker = polls(await ground.connect("default"), queue)
    async with running(program("worker")) as worker, running(program("api", "--port", str(port))) as api:
        assert worker.pid is not None
        assert api.pid is not None
        processes = {"api": api.pid, "worker": worker.pid}
        async with reelay_at(ground, url, name=name, processes=processes, headers=await api_headers(ground)) as reelay:
            yield reelay


def _rows(measured: list[Throughput]) -> list[Row]:
    section = f"CPU milliseconds per generation at concurrency {CONCURRENCY}, by Python"
    parts = {"api": ("api",), "worker": ("worker",), "both": ("api", "worker")}
    return [
        *(Row(section=section, label=label, values=_milliseconds(measured, of)) for label, of in parts.items()),
        Row(section=section, label="both, lowest of all rounds", values=_milliseconds(measured, parts["both"], min)),
    ]


def _milliseconds(
    measured: list[Throughput], parts: tuple[str, ...], figure: Callable[[list[float]], float] = median
) -> dict[str, float]:
    def of(each: Throughput) -> float:
        return 1000 * sum(each.cpu_seconds[part] for part in parts) / each.generations

    names = dict.fromkeys(each.contender for each in measured)
    return {name: figure([of(each) for each in measured if each.contender == name]) for name in names}

"""The same generations by the API and the worker of each Python that has a virtual environment: `make pythons`."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from subprocess import run

from lab.bench.contenders.reelay import open_beside
from lab.bench.measuring import Throughput, measure
from lab.bench.results import Row
from lab.bench.studies.service import Service

ROOT = Path(__file__).parents[3]
PROMISED = ("3.11", "3.12", "3.13")
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
CONCURRENCY = 16
ROUNDS = 5
VERSION = "import platform; print(platform.python_version())"
PARTS = {"api": ("api",), "worker": ("worker",), "both": ("api", "worker")}


async def python_rows(service: Service, generations: int) -> AsyncIterator[Row]:
    """A round more each time: all Pythons in turn, so many by each."""
    section = f"CPU milliseconds per generation at concurrency {CONCURRENCY}, by Python"
    async with AsyncExitStack() as opened:
        names = [(python, await asyncio.to_thread(version_of, python)) for python in pythons(service.say)]
        contenders = [
            await opened.enter_async_context(open_beside(service.ground, f"Python {version}", python=python))
            for python, version in names
        ]
        costs: dict[str, list[Throughput]] = {each.name: [] for each in contenders}
        for _ in range(ROUNDS):
            for each in contenders:
                cost = await measure(each, service.ground, count=generations, concurrency=CONCURRENCY)
                costs[each.name].append(cost)
            for label, parts in PARTS.items():
                found = {name: [each.cpu_milliseconds(parts) for each in runs] for name, runs in costs.items()}
                yield Row(section, label, {name: median(each) for name, each in found.items()})
            yield Row(section, "both, lowest of all rounds", {name: min(each) for name, each in found.items()})


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

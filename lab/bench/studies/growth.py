"""What one of our generations costs, and how that bends with how many there are."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.bench.contender import Contender
from lab.bench.contenders.reelay import open_reelay
from lab.bench.cpu import cpu_seconds
from lab.bench.ground import Ground
from lab.bench.load import drive
from lab.bench.rows import Row, quantile


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of generations that were carried at one concurrency."""

    cpu_seconds: Mapping[str, float]
    """By process, of all of them together."""
    seconds: Sequence[float]
    """Of each, from its creation to its end."""
    whole_seconds: float
    """From the first creation to the last end."""


async def cost_of(contender: Contender, ground: Ground, *, count: int, concurrency: int) -> Cost:
    """Of so many generations."""

    async def generate() -> float:
        begun = time.monotonic()
        await contender.generate()
        return time.monotonic() - begun

    processes = {**contender.processes, **{name: ground.processes[name] for name in ("temporal", "postgres")}}
    before = cpu_seconds(processes)
    driven = await drive(generate, count=count, concurrency=concurrency)
    after = cpu_seconds(processes)
    cpu = {name: after[name] - before[name] for name in processes}
    return Cost(cpu_seconds=cpu, seconds=driven.outcomes, whole_seconds=driven.seconds)


def cost_rows(section: str, costs: Mapping[str, Cost]) -> Iterator[Row]:
    """A column for each of the costs, by their names."""
    processes = dict.fromkeys(process for cost in costs.values() for process in cost.cpu_seconds)
    figures: dict[str, Callable[[Cost], float]] = {
        **{f"CPU ms, {process}": _cpu_milliseconds(process) for process in processes},
        "ms until the end, p50": lambda cost: 1000 * quantile(cost.seconds, 0.5),
        "ms of the whole divided by their number": lambda cost: 1000 * cost.whole_seconds / len(cost.seconds),
    }
    for label, figure in figures.items():
        yield Row(section=section, label=label, values={name: figure(cost) for name, cost in costs.items()})


def _cpu_milliseconds(process: str) -> Callable[[Cost], float]:
    return lambda cost: 1000 * cost.cpu_seconds[process] / len(cost.seconds)


async def growth_rows(ground: Ground, concurrency: Mapping[int, int], say: Callable[[str], None]) -> AsyncIterator[Row]:
    """`concurrency` to the number of generations at it. Each row comes again with one column more."""
    costs: dict[str, Cost] = {}
    async with open_reelay(ground) as reelay:
        for at_once, count in concurrency.items():
            cost = await cost_of(reelay, ground, count=count, concurrency=at_once)
            say(f"{count} generations, {at_once} at once, took {cost.whole_seconds:.1f} s")
            # The most first, so that its ratio to the least says what growth costs.
            costs = {f"{at_once} at once": cost, **costs}
            for row in cost_rows("per generation, by how many there are at once", costs):
                yield row

"""What one of our generations costs, and how that bends with how many there are."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping

from lab.bench.comparison import MEASURING, quantile
from lab.bench.measuring import Throughput, measure
from lab.bench.results import Row
from lab.bench.studies.service import Service

GENERATIONS = {1: 8, 4: 32, 16: 64, 64: 128, 256: 256}
"""By how many of them there are at once."""


async def growth_rows(service: Service, most: int) -> AsyncIterator[Row]:
    """Each row comes again with one column more."""
    costs: dict[str, Throughput] = {}
    for at_once, count in GENERATIONS.items():
        if at_once <= most:
            cost = await measure(service.reelay, service.ground, count=count, concurrency=at_once)
            service.say(f"{count} generations, {at_once} at once, took {cost.seconds:.1f} s")
            # The most first, so that its ratio to the least says what growth costs.
            costs = {f"{at_once} at once": cost, **costs}
            for row in cost_rows("per generation, by how many there are at once", costs):
                yield row


def cost_rows(section: str, costs: Mapping[str, Throughput]) -> Iterator[Row]:
    """A column for each of the costs, by their names."""
    processes = dict.fromkeys(name for cost in costs.values() for name in cost.cpu_seconds if name not in MEASURING)
    for process in processes:
        values = {name: cost.cpu_milliseconds([process]) for name, cost in costs.items()}
        yield Row(section, f"CPU ms, {process}", values)
    figures: dict[str, Callable[[Throughput], float]] = {
        "ms until the end, p50": lambda cost: 1000 * quantile(cost.seconds_each, 0.5),
        "ms of the whole divided by their number": lambda cost: 1000 / cost.per_second,
    }
    for label, figure in figures.items():
        yield Row(section, label, {name: figure(cost) for name, cost in costs.items()})

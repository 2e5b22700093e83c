"""The measurements as rows of one table: a row per figure, a column per contender."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from lab.bench.contender import Step
from lab.bench.ground import OWN_PROCESSES, SHARED_PROCESSES
from lab.bench.measuring import Latency, Round, Throughput

STEPS = {
    Step.CREATE: "POST (skeleton: insert, then start)",
    Step.STATUS: "GET of a living job (skeleton: query)",
    Step.WEBHOOK: "webhook until acknowledged (skeleton: signal)",
    Step.FINISH: "webhook until the end (skeleton: signal)",
    Step.WHOLE: "creation until the end",
}
FOOTPRINTS = {"events": "history events", "actions": "billable actions", "history_bytes": "history, bytes"}
SHARES = {"p50": 0.50, "p99": 0.99}

Measured = TypeVar("Measured", Throughput, Latency)


@dataclass(frozen=True, kw_only=True)
class Row:
    section: str
    label: str
    values: Mapping[str, float]
    """By contender; one that has no such figure is not in it."""


def rows_of(rounds: Sequence[Round]) -> list[Row]:
    throughput = [each for round in rounds for each in round.throughput]
    latency = [each for round in rounds for each in round.latency]
    return [
        *_rates(throughput),
        *_latencies(latency),
        *_footprints(throughput),
        *_cpu(throughput),
        *_memory(throughput),
    ]


def quantile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least this share of them does not exceed."""
    return sorted(samples)[math.ceil(share * len(samples)) - 1]


def _rates(throughput: Sequence[Throughput]) -> Iterator[Row]:
    for concurrency, here in _by_concurrency(throughput):
        values = _by_contender(here, lambda rounds: median(each.per_second for each in rounds))
        yield Row(section="generations per second", label=f"at concurrency {concurrency}", values=values)


def _latencies(latency: Sequence[Latency]) -> Iterator[Row]:
    for concurrency, here in _by_concurrency(latency):
        samples = min(_by_contender(here, _count).values())
        for step, label in STEPS.items():
            for name, share in SHARES.items():
                yield Row(
                    section=f"milliseconds at concurrency {concurrency}, of {samples:g} generations",
                    label=f"{label}, {name}",
                    values=_by_contender(here, _milliseconds(step, share)),
                )


def _milliseconds(step: Step, share: float) -> Callable[[Sequence[Latency]], float]:
    """Over the samples of all rounds."""
    return lambda rounds: 1000 * quantile([seconds for each in rounds for seconds in each.seconds[step]], share)


def _count(rounds: Sequence[Latency]) -> float:
    return sum(len(each.seconds[Step.WHOLE]) for each in rounds)


def _footprints(throughput: Sequence[Throughput]) -> Iterator[Row]:
    """Where the load is lowest: nothing overtakes anything there."""
    concurrency, here = _by_concurrency([each for each in throughput if each.footprints])[0]
    section = f"per generation at concurrency {concurrency}"
    for figure, label in FOOTPRINTS.items():
        yield Row(section=section, label=label, values=_by_contender(here, _footprint(figure)))


def _footprint(figure: str) -> Callable[[Sequence[Throughput]], float]:
    return lambda rounds: median(getattr(left, figure) for each in rounds for left in each.footprints)


def _cpu(throughput: Sequence[Throughput]) -> Iterator[Row]:
    """Where the load is highest: what happens anyway is shared by the most generations there."""
    concurrency, here = _by_concurrency(throughput)[-1]
    section = f"CPU milliseconds per generation at concurrency {concurrency}"
    processes = list(dict.fromkeys(process for each in here for process in each.cpu_seconds))
    costs = [process for process in processes if process not in OWN_PROCESSES]
    for process in costs:
        values = _by_contender([each for each in here if process in each.cpu_seconds], _cpu_milliseconds([process]))
        yield Row(section=section, label=process, values=values)
    yield Row(section=section, label="all of these", values=_by_contender(here, _cpu_milliseconds(costs)))
    own = [process for process in costs if process not in SHARED_PROCESSES]
    yield Row(section=section, label="its own processes", values=_by_contender(here, _cpu_milliseconds(own)))
    values = _by_contender(here, _cpu_milliseconds(OWN_PROCESSES))
    yield Row(section=section, label="beside it: driver and provider", values=values)


def _memory(throughput: Sequence[Throughput]) -> Iterator[Row]:
    """Of the whole run: a process never gives its peak back."""
    processes = dict.fromkeys(process for each in throughput for process in each.peak_memory)
    for process in processes:
        here = [each for each in throughput if process in each.peak_memory]
        values = _by_contender(here, _peak_mebibytes(process))
        yield Row(section="peak memory, MiB", label=process, values=values)


def _peak_mebibytes(process: str) -> Callable[[Sequence[Throughput]], float]:
    return lambda rounds: max(each.peak_memory[process] for each in rounds) / 1024**2


def _cpu_milliseconds(processes: Iterable[str]) -> Callable[[Sequence[Throughput]], float]:
    return lambda rounds: median(
        1000 * sum(each.cpu_seconds.get(process, 0.0) for process in processes) / each.generations for each in rounds
    )


def _by_concurrency(measured: Sequence[Measured]) -> list[tuple[int, list[Measured]]]:
    """The lowest first."""
    found = sorted({each.concurrency for each in measured})
    return [(concurrency, [each for each in measured if each.concurrency == concurrency]) for concurrency in found]


def _by_contender(measured: Sequence[Measured], figure: Callable[[Sequence[Measured]], float]) -> dict[str, float]:
    names = dict.fromkeys(each.contender for each in measured)
    return {name: figure([each for each in measured if each.contender == name]) for name in names}

"""The contenders' rounds as rows: a row per figure, a column per contender."""

import math
from collections.abc import Iterator, Sequence
from statistics import median
from typing import TypeVar

from lab.bench.contender import Step
from lab.bench.measuring import Latency, Round, Throughput
from lab.bench.results import Row

MEASURING = ("provider", "driver")
"""Processes that only the measuring needs."""
SERVERS = ("temporal", "postgres", "restate")
"""Those that are bought with an engine."""
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


def at_least_load(throughput: Sequence[Throughput]) -> list[Throughput]:
    """Nothing overtakes anything there."""
    least = min(each.concurrency for each in throughput)
    return [each for each in throughput if each.concurrency == least]


def _rates(throughput: Sequence[Throughput]) -> Iterator[Row]:
    for concurrency, here in _by_concurrency(throughput):
        values = {name: median(each.per_second for each in runs) for name, runs in _by_contender(here).items()}
        yield Row("generations per second", f"at concurrency {concurrency}", values)


def _latencies(latency: Sequence[Latency]) -> Iterator[Row]:
    """Over the samples of all rounds."""
    for concurrency, here in _by_concurrency(latency):
        contenders = _by_contender(here)
        count = min(len(_milliseconds(runs, Step.WHOLE)) for runs in contenders.values())
        section = f"milliseconds at concurrency {concurrency}, of {count} generations"
        for step, label in STEPS.items():
            samples = {name: _milliseconds(runs, step) for name, runs in contenders.items()}
            for share_name, share in SHARES.items():
                values = {name: quantile(of_one, share) for name, of_one in samples.items()}
                yield Row(section, f"{label}, {share_name}", values)


def _milliseconds(runs: Sequence[Latency], step: Step) -> list[float]:
    return [1000 * seconds for each in runs for seconds in each.seconds[step]]


def _footprints(throughput: Sequence[Throughput]) -> Iterator[Row]:
    here = at_least_load([each for each in throughput if each.footprints])
    for figure, label in FOOTPRINTS.items():
        values = {
            name: median(getattr(left, figure) for each in runs for left in each.footprints)
            for name, runs in _by_contender(here).items()
        }
        yield Row(f"per generation at concurrency {here[0].concurrency}", label, values)


def _cpu(throughput: Sequence[Throughput]) -> Iterator[Row]:
    """Where the load is highest: what happens anyway is shared by the most generations there."""
    concurrency, here = _by_concurrency(throughput)[-1]
    costs = dict.fromkeys(name for each in here for name in each.cpu_seconds if name not in MEASURING)
    groups: dict[str, Sequence[str]] = {
        **{process: [process] for process in costs},
        "all of these": list(costs),
        "its own processes": [process for process in costs if process not in SERVERS],
        "beside it: driver and provider": MEASURING,
    }
    for label, processes in groups.items():
        values = {
            name: median(each.cpu_milliseconds(processes) for each in runs)
            for name, runs in _by_contender(here).items()
            if runs[0].cpu_seconds.keys() & set(processes)
        }
        yield Row(f"CPU milliseconds per generation at concurrency {concurrency}", label, values)


def _memory(throughput: Sequence[Throughput]) -> Iterator[Row]:
    """Of the whole run: a process never gives its peak back."""
    contenders = _by_contender(throughput)
    for process in dict.fromkeys(process for each in throughput for process in each.peak_memory):
        values = {
            name: max(each.peak_memory[process] for each in runs)
            for name, runs in contenders.items()
            if process in runs[0].peak_memory
        }
        yield Row("peak memory, MiB", process, values)


def _by_concurrency(measured: Sequence[Measured]) -> list[tuple[int, list[Measured]]]:
    """The lowest first."""
    found = sorted({each.concurrency for each in measured})
    return [(concurrency, [each for each in measured if each.concurrency == concurrency]) for concurrency in found]


def _by_contender(measured: Sequence[Measured]) -> dict[str, list[Measured]]:
    names = dict.fromkeys(each.contender for each in measured)
    return {name: [each for each in measured if each.contender == name] for name in names}

"""Generations measured: one contender's at one concurrency, and rounds in which all contenders take turns."""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lab.bench.contender import Contender, Footprint, Step
from lab.bench.ground import Ground
from lab.bench.load import drive
from lab.bench.plan import Plan
from lab.bench.processes import cpu_seconds, peak_memory

WARM_UP = 16
FOOTPRINTS_AT_MOST = 10


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """One contender's generations at one concurrency."""

    contender: str
    concurrency: int
    jobs: Sequence[str]
    seconds: float
    """From the first creation to the last end."""
    seconds_each: Sequence[float]
    cpu_seconds: Mapping[str, float]
    """By process, of all the generations together."""
    peak_memory: Mapping[str, float]
    """MiB, by process of the contender's own, since it was started."""
    footprints: Sequence[Footprint] = ()
    """Of the first generations, where there is a history."""

    @property
    def per_second(self) -> float:
        return len(self.jobs) / self.seconds

    def cpu_milliseconds(self, processes: Iterable[str]) -> float:
        """Per generation, of these processes as far as there are such."""
        return 1000 * sum(self.cpu_seconds.get(process, 0.0) for process in processes) / len(self.jobs)


async def measure(contender: Contender, ground: Ground, *, count: int, concurrency: int) -> Throughput:
    async def generate() -> tuple[str, float]:
        begun = time.monotonic()
        return await contender.generate(), time.monotonic() - begun

    processes = {**contender.processes, **ground.processes}
    before = cpu_seconds(processes)
    driven = await drive(generate, count=count, concurrency=concurrency)
    after = cpu_seconds(processes)
    return Throughput(
        contender=contender.name,
        concurrency=concurrency,
        jobs=[job for job, _ in driven.outcomes],
        seconds=driven.seconds,
        seconds_each=[seconds for _, seconds in driven.outcomes],
        cpu_seconds={name: after[name] - before[name] for name in processes},
        peak_memory={name: peak_memory(pid) for name, pid in contender.processes.items()},
    )


@dataclass(frozen=True, kw_only=True)
class Latency:
    """One contender's timed generations at one concurrency in one round."""

    contender: str
    concurrency: int
    seconds: Mapping[Step, Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class Round:
    throughput: Sequence[Throughput]
    latency: Sequence[Latency]


@dataclass(frozen=True, kw_only=True)
class Bench:
    contenders: Sequence[Contender]
    ground: Ground
    plan: Plan
    say: Callable[[str], None]

    async def rounds(self) -> AsyncIterator[Round]:
        """As many as the plan has time for, and at least one."""
        begun = time.monotonic()
        for contender in self.contenders:
            await drive(contender.generate, count=WARM_UP, concurrency=WARM_UP)
        yield await self._round()
        one_round = time.monotonic() - begun
        last_start = begun + self.plan.budget.total_seconds() - one_round
        for _ in range(1, self.plan.rounds):
            if time.monotonic() < last_start:
                yield await self._round()

    async def _round(self) -> Round:
        throughput = [
            await self._throughput(contender, concurrency, count)
            for concurrency, count in self.plan.throughput.items()
            for contender in self.contenders
        ]
        latency = [
            await self._latency(contender, concurrency, count)
            for concurrency, count in self.plan.latency.items()
            for contender in self.contenders
        ]
        return Round(throughput=throughput, latency=latency)

    async def _throughput(self, contender: Contender, concurrency: int, count: int) -> Throughput:
        measured = await measure(contender, self.ground, count=count, concurrency=concurrency)
        self.say(f"{contender.name} at {concurrency}: {measured.per_second:.1f} generations per second")
        found = [await contender.footprint(job) for job in measured.jobs[:FOOTPRINTS_AT_MOST]]
        return replace(measured, footprints=[footprint for footprint in found if footprint])

    async def _latency(self, contender: Contender, concurrency: int, count: int) -> Latency:
        driven = await drive(contender.generate_timed, count=count, concurrency=concurrency)
        self.say(f"{contender.name} at {concurrency}: {count} generations timed")
        seconds = {step: [timings[step] for timings in driven.outcomes] for step in Step}
        return Latency(contender=contender.name, concurrency=concurrency, seconds=seconds)

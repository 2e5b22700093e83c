"""The rounds: every contender in turn at every concurrency, and all of it again."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from lab.bench.contender import Contender, Footprint, Step
from lab.bench.cpu import cpu_seconds
from lab.bench.load import drive
from lab.bench.memory import peak_memory
from lab.bench.plan import Plan

WARM_UP = 16
FOOTPRINTS_AT_MOST = 10


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """One contender's generations at one concurrency in one round."""

    contender: str
    concurrency: int
    generations: int
    seconds: float
    cpu_seconds: Mapping[str, float]
    """By process, of all the generations together."""
    footprints: Sequence[Footprint]
    """Of the first generations, where there is a history."""
    peak_memory: Mapping[str, int]
    """Bytes, by process of the contender's own, since it was started."""

    @property
    def per_second(self) -> float:
        return self.generations / self.seconds


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
    processes: Mapping[str, int]
    """Those that serve every contender, name to pid."""
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
        processes = {**contender.processes, **self.processes}
        before = cpu_seconds(processes)
        driven = await drive(contender.generate, count=count, concurrency=concurrency)
        after = cpu_seconds(processes)
        measured = Throughput(
            contender=contender.name,
            concurrency=concurrency,
            generations=count,
            seconds=driven.seconds,
            cpu_seconds={name: after[name] - before[name] for name in processes},
            footprints=[
                footprint
                for job in driven.outcomes[:FOOTPRINTS_AT_MOST]
                if (footprint := await contender.footprint(job)) is not None
            ],
            peak_memory=peak_memory(contender.processes),
        )
        self.say(f"{contender.name} at {concurrency}: {measured.per_second:.1f} generations per second")
        return measured

    async def _latency(self, contender: Contender, concurrency: int, count: int) -> Latency:
        driven = await drive(contender.generate_timed, count=count, concurrency=concurrency)
        self.say(f"{contender.name} at {concurrency}: {count} generations timed")
        return Latency(
            contender=contender.name,
            concurrency=concurrency,
            seconds={step: [timings[step] for timings in driven.outcomes] for step in Step},
        )

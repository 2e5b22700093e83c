"""One table of what went in and what came out, and the verdicts."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from lab.chaos.evidence import Evidence, JobTrace, failed
from lab.chaos.invariants import violations
from lab.chaos.reasons import right_ends
from reelay.domain.failure import FailureCode
from reelay.domain.generation import Status

SHOWN_AT_MOST = 20
"""Of one check's violations."""


@dataclass(frozen=True)
class Report:
    evidence: Evidence

    @property
    def holds(self) -> bool:
        return not any(self.violations.values())

    @property
    def violations(self) -> Mapping[str, Sequence[str]]:
        return violations(self.evidence)

    @property
    def line(self) -> str:
        """What a run comes down to, for one of many."""
        jobs, ends = self.evidence.jobs, Counter((job.end or "stuck").partition(":")[0] for job in self.evidence.jobs)
        counts = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
        verdict = "every promise held" if self.holds else "PROMISES BROKEN"
        return (
            f"seed {self.evidence.plan.seed}: {len(jobs)} jobs, {len(self.evidence.kills)} kills; {counts}; {verdict}"
        )

    def show(self, console: Console) -> None:
        table = Table(box=None, show_header=False)
        table.add_column(overflow="fold")
        table.add_column(justify="right")
        for label, figure in (*self._figures(), *self._write_offs()):
            table.add_row(label, str(figure))
        found = self.violations
        for name, wrong in found.items():
            table.add_row(name, f"NO ({len(wrong)})" if wrong else "yes")
        console.print(table, markup=False, highlight=False)
        for name, wrong in found.items():
            for line in wrong[:SHOWN_AT_MOST]:
                console.print(f"{name}: {line}", markup=False, highlight=False, soft_wrap=True)

    def _figures(self) -> Iterator[tuple[str, object]]:
        jobs, kills = self.evidence.jobs, Counter(kill.part for kill in self.evidence.kills)
        ends = Counter(job.end for job in jobs)
        yield "seed", self.evidence.plan.seed
        yield "jobs", len(jobs)
        yield "jobs with a fault", sum(bool(job.planned.faults) for job in jobs)
        yield from ((f"killed: {part}", count) for part, count in sorted(kills.items()))
        yield "completed", ends[Status.COMPLETED]
        yield "canceled", ends[Status.CANCELED]
        yield from ((failed(code), ends[failed(code)]) for code in FailureCode if ends[failed(code)])
        yield "provider POSTs accepted", sum(len(job.requests) for job in jobs)
        yield "billed", sum(job.billed for job in jobs)
        yield "charged", f"{sum(job.charged_cents for job in jobs)} cents"
        yield "held", f"{sum(job.held_cents for job in jobs)} cents"
        yield "lost answers found again (adopted)", sum(job.adopted for job in jobs)
        yield "lost", sum(job.row is None for job in jobs)
        yield "stuck", sum(job.row is not None and not job.row.status.is_final for job in jobs)
        yield "double", sum(len(job.requests) > 1 for job in jobs)

    def _write_offs(self) -> Iterator[tuple[str, object]]:
        """What was billed and did not complete, by the reason."""
        written_off = [job for job in self.evidence.jobs if job.billed and job.end != Status.COMPLETED]
        yield "billed and not completed", len(written_off)
        overrun = sum(job.overrun_cents for job in self.evidence.jobs)
        yield "written off", f"{sum(job.billed_cents for job in written_off) + overrun} cents"
        yield "  counted beyond what was held", f"{overrun} cents"
        reasons = Counter(self._reason(job) for job in written_off)
        yield from ((f"  {reason}", count) for reason, count in sorted(reasons.items()))

    def _reason(self, job: JobTrace) -> str:
        end = job.end or "not final"
        return f"{end}: {right_ends(job, self.evidence.kills).get(end, 'NO RIGHT REASON')}"

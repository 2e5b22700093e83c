"""What is wanted, and what a run's results say of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.bench.results import Results, Row

RATES, SINGLE, CPU = "generations per second", "milliseconds at concurrency 1,", "CPU milliseconds per generation at"
POST, WEBHOOK = "POST (skeleton: insert, then start)", "webhook until acknowledged (skeleton: signal)"
FINISH = "webhook until the end (skeleton: signal), p50"
FOOTPRINT = "per generation at concurrency 1"
ONE_FILE, MANY_FILES = "archive: one file of 512 MiB", "archive: 100 files of 5 MiB"
GROWTH, PAUSE = "growth of memory, MiB", "longest pause of the event loop, ms"
SWITCHED = "CPU milliseconds per generation, 16 at once, with a switch on and off"
STORED, MOST, FEWEST = "milliseconds by stored generations", "1,000,000 stored", "1,000 stored"
AT_ONCE, KILLED = "all webhooks at once", "the same when the worker is killed first"
SEEN = "webhook sent until its user's streams tell the end, p99, ms"


@dataclass(frozen=True, kw_only=True)
class Check:
    section: str
    """How it begins; empty: the goal's."""
    label: str
    of: str = "Reelay"
    by: str | None = None
    """The figure is a ratio to this one's."""
    beyond: str | None = None
    """The figure is the difference from this one's."""
    unit: str = ""
    at_most: float = float("inf")
    at_least: float = float("-inf")

    def measured(self, row: Row | None) -> tuple[float, str] | None:
        """The figure, and how it is told; None where it was not measured."""
        other = self.by or self.beyond
        if row is None or self.of not in row.values or (other and other not in row.values):
            return None
        ours, theirs = row.values[self.of], row.values.get(other or "", 0.0)
        if self.by:
            return ours / theirs, f"{ours / theirs:.2f}x ({_short(ours)} / {_short(theirs)})"
        if self.beyond:
            return ours - theirs, f"{_short(ours - theirs)}{self.unit} ({_short(ours)} - {_short(theirs)})"
        return ours, f"{_short(ours)}{self.unit}"

    def passes(self, figure: float) -> bool:
        return self.at_least <= figure <= self.at_most


@dataclass(frozen=True, kw_only=True)
class Goal:
    what: str
    checks: Sequence[Check]
    size: str = ""
    """How the section begins where it was measured at the goal's own size."""

    def line(self, results: Results) -> str:
        """Of the table. What misses its limit is bold."""
        texts, passed, measured, smaller = [], 0, 0, dict[str, None]()
        for check in self.checks:
            row = results.find(check.section, check.label)
            found = check.measured(row)
            if row is None or found is None:
                texts.append("-")
                continue
            figure, text = found
            passes = check.passes(figure)
            measured, passed = measured + 1, passed + passes
            texts.append(text if passes else f"**{text}**")
            if not row.section.startswith(self.size):
                smaller[row.section] = None
        verdict = _verdict(passed, measured, len(self.checks))
        notes = "".join(f"; measured with {section}" for section in smaller)
        return f"| {self.what} | {', '.join(texts)} | {verdict}{notes} |"


def _short(figure: float) -> str:
    return f"{figure:.0f}" if figure == round(figure) or abs(figure) >= 100 else f"{figure:.3g}"


def _verdict(passed: int, measured: int, wanted: int) -> str:
    if not measured:
        return "not measured"
    missing = "" if measured == wanted else f", {wanted - measured} not measured"
    return ("reached" if passed == measured else f"{passed} of {measured} reached") + missing


def _rates(other: str, least: float) -> list[Check]:
    return [Check(section=RATES, label=f"at concurrency {n}", by=other, at_least=least) for n in (16, 64)]


def _stored(labels: Sequence[str], most: float) -> list[Check]:
    return [Check(section=STORED, label=label, of=MOST, by=FEWEST, at_most=most) for label in labels]


GOALS = (
    Goal(
        what="generations/s, 16 and 64 at once, against DBOS doing the same job: >= 1.0x",
        checks=_rates("DBOS", 1.0),
    ),
    Goal(what="the same against the floor with I/O: >= 1.2x", checks=_rates("floor with I/O", 1.2)),
    Goal(
        what="CPU of API and worker per generation: <= 1.8x the empty skeleton's worker (40 ms where that takes 22)",
        checks=[Check(section=CPU, label="its own processes", by="empty skeleton", at_most=40 / 22)],
    ),
    Goal(
        what="webhook sent until completed, p50 at 1 at once, against the floor with I/O: <= 0.8x",
        checks=[Check(section=SINGLE, label=FINISH, by="floor with I/O", at_most=0.8)],
    ),
    Goal(
        what="POST p50, p99 against an insert and a raw start: <= 1.5x, 1.8x",
        checks=[
            Check(section=SINGLE, label=f"{POST}, {share}", by="empty skeleton", at_most=most)
            for share, most in (("p50", 1.5), ("p99", 1.8))
        ],
    ),
    Goal(
        what="archive of 512 MiB, of 100 files of 5 MiB, against a plain download: >= 0.9x, >= 0.7x",
        checks=[
            Check(section=section, label="MiB per second", by="plain download", at_least=least)
            for section, least in ((ONE_FILE, 0.9), (MANY_FILES, 0.7))
        ],
    ),
    Goal(
        what="the memory that each takes more: <= 64 MiB",
        checks=[Check(section=section, label=GROWTH, unit=" MiB", at_most=64) for section in (ONE_FILE, MANY_FILES)],
    ),
    Goal(
        what="10,000 waiting: the worker's peak <= 400 MiB, also after it was killed",
        size="10,000 generations",
        checks=[
            Check(section="", label=f"{when}: most MiB of the worker", unit=" MiB", at_most=400)
            for when in (AT_ONCE, KILLED)
        ],
    ),
    Goal(
        what="1,000 idle event streams: the API's CPU <= 20 ms per second",
        size="1,000 event streams",
        checks=[Check(section="", label="API: CPU ms per second while nothing happens", unit=" ms", at_most=20)],
    ),
    Goal(
        what="slots, webhooks out, encryption, each on against off: CPU <= 1.1x",
        checks=[
            Check(section=SWITCHED, label=label, of="on", by="off", at_most=1.1)
            for label in ("slots", "webhooks out", "encryption")
        ],
    ),
    Goal(
        what="history events, billable actions: <= 29, 6",
        checks=[
            Check(section=FOOTPRINT, label=label, at_most=most)
            for label, most in (("history events", 29), ("billable actions", 6))
        ],
    ),
    Goal(
        what="webhook acknowledged, p99, against a raw signal: <= 2x",
        checks=[Check(section=SINGLE, label=f"{WEBHOOK}, p99", by="empty skeleton", at_most=2)],
    ),
    Goal(
        what="50 readers of one job: an answer's p50 <= 1.5x a raw query's; <= 10 queries of the engine per 100 polls",
        checks=[
            Check(section="50 readers", label="one answer, p50, ms", by="raw query", at_most=1.5),
            Check(section="50 readers", label="queries of the engine per 100 polls", at_most=10),
        ],
    ),
    Goal(
        what="10,000 waiting are done at >= 0.9x the steady rate, >= 0.7x after the worker was killed",
        size="10,000 generations",
        checks=[
            Check(section="", label=f"{when}: completions per second", by="steady rate at 64", at_least=least)
            for when, least in ((AT_ONCE, 0.9), (KILLED, 0.7))
        ],
    ),
    Goal(
        what="10,000 events to 100 endpoints, 10 of them dead: the others' p99 <= 2x that without dead ones",
        size="10,000 events",
        checks=[Check(section="", label="event until delivered, p99, s", of="10 are dead", by="all answer", at_most=2)],
    ),
    Goal(
        what="10 minutes of 1080p mixed with <= 1.2x the memory of one; its process ends within 2 s of a cancel",
        size="a film of 600 s",
        checks=[
            Check(section="a film", label="peak memory of its process, MiB", by="a 10th of it", at_most=1.2),
            Check(section="a film", label="cancel until its process is gone, s", unit=" s", at_most=2),
        ],
    ),
    Goal(
        what="a 2 GiB upload and a 1 GiB result: API and worker grow by <= 64 MiB",
        checks=[
            Check(section=f"large files: {GROWTH}, by the {what}", label=name, unit=" MiB", at_most=64)
            for what in ("upload of 2048 MiB", "result of 1024 MiB")
            for name in ("api", "worker")
        ],
    ),
    Goal(
        what="event loop never blocked for more than 20 ms, with one file of 512 MiB and 100 of 5 MiB",
        checks=[Check(section=section, label=PAUSE, unit=" ms", at_most=20) for section in (ONE_FILE, MANY_FILES)],
    ),
    Goal(
        what="heartbeats, and the end after a cancel, within 2 s while a large file is archived",
        checks=[
            Check(section="a file of 512 MiB", label=label, unit=" s", at_most=2)
            for label in ("longest time without a heartbeat, s", "cancel until the workflow's end, s")
        ],
    ),
    Goal(
        what="1,000 streams: <= 97 KiB each; webhook to event p99 <= webhook to completed p99 + 50 ms",
        size="1,000 event streams",
        checks=[
            Check(section="", label="API: KiB per stream", unit=" KiB", at_most=97),
            Check(section="", label=SEEN, beyond="workflow's end", unit=" ms", at_most=50),
        ],
    ),
    Goal(
        what="1,000,000 stored beside 1,000: POST, GET, webhook <= 1.2x",
        checks=_stored(("POST", "GET of a finished job", "webhook until acknowledged"), 1.2),
    ),
    Goal(
        what="the same: list, statistics, reconciliation <= 2x",
        checks=_stored(("list, newest first", "statistics of a day", "reconciliation: what has been quiet"), 2),
    ),
    Goal(
        what="POST's p50 while old generations are deleted: <= 1.3x",
        checks=[Check(section="milliseconds of POST", label="median", of="ratio", unit="x", at_most=1.3)],
    ),
)


def lines_of_goals(results: Results) -> Iterator[str]:
    yield "| goal | measured | |"
    yield "| --- | --- | --- |"
    for goal in GOALS:
        yield goal.line(results)

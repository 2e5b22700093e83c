"""What was wanted, and what a run's results say of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.bench.figures import Results
from lab.bench.rows import Row

Figure = Callable[[Mapping[str, float]], float]
"""Of a row's values. Raises: KeyError."""
MIB, MB, KIB, KB = 1024**2, 1000**2, 1024, 1000


def ratio(one: str, other: str) -> Figure:
    return lambda values: values[one] / values[other]


def more_than(one: str, other: str) -> Figure:
    return lambda values: values[one] - values[other]


def ours(times: float = 1.0) -> Figure:
    return lambda values: values["Reelay"] * times


def to_skeleton(values: Mapping[str, float]) -> float:
    return values["Reelay"] / values["empty skeleton"]


@dataclass(frozen=True, kw_only=True)
class Check:
    section: str
    """How it begins."""
    label: str
    figure: Figure
    unit: str = "x"
    at_most: float = float("inf")
    at_least: float = float("-inf")

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
        found = [(check, results.find(check.section, check.label)) for check in self.checks]
        figures = [(check, _figure(check, row)) for check, row in found]
        measured = [(check, figure) for check, figure in figures if figure is not None]
        passed = sum(check.passes(figure) for check, figure in measured)
        text = ", ".join(_in_words(check, figure) for check, figure in figures)
        smaller = {row.section for _, row in found if row and not row.section.startswith(self.size)}
        notes = "; ".join(f"measured with {each}" for each in sorted(smaller))
        return f"| {self.what} | {text} | {_verdict(passed, len(measured), len(figures))}{notes and f'; {notes}'} |"


def _figure(check: Check, row: Row | None) -> float | None:
    try:
        return None if row is None else check.figure(row.values)
    except KeyError:
        return None


def _in_words(check: Check, figure: float | None) -> str:
    if figure is None:
        return "-"
    digits = 2 if check.unit == "x" or (abs(figure) < 10 and figure != round(figure)) else 0
    text = f"{figure:.{digits}f}{check.unit}"
    return text if check.passes(figure) else f"**{text}**"


def _verdict(passed: int, measured: int, wanted: int) -> str:
    missing = "" if measured == wanted else f", {wanted - measured} not measured"
    if not measured:
        return "not measured"
    return ("reached" if passed == measured else f"{passed} of {measured} reached") + missing


RATES, SINGLE, CPU = "generations per second", "milliseconds at concurrency 1,", "CPU milliseconds per generation"
POST, WEBHOOK = "POST (skeleton: insert, then start)", "webhook until acknowledged (skeleton: signal)"
FINISH = "webhook until the end (skeleton: signal), p50"
FOOTPRINT, LARGE = "per generation at concurrency 1", "archive: one file of 512 MiB"
FILES = "large files: growth of memory, MiB, by the"
HUNDRED = "archive: 100 files of 5 MiB"
CANCELED, POLLS = "a file of 512 MiB", "50 readers"
STORED = "milliseconds by stored generations"
MOST, FEWEST = "1,000,000 stored", "1,000 stored"
TOLD = "event until delivered, p99, s"
SEEN = "webhook sent until its user's streams tell the end, p99, ms"


def _waiting() -> Iterator[Check]:
    """The section's own text comes first in its size, whatever that is."""
    killed = "the same when the worker is killed first"
    for text, least in (("all webhooks at once", 0.9), (killed, 0.7)):
        yield Check(
            section="",
            label=f"{text}: completions per second",
            figure=ratio("Reelay", "steady rate at 64"),
            at_least=least,
        )
    for text in ("all webhooks at once", killed):
        label = f"{text}: most MiB of the worker"
        yield Check(section="", label=label, figure=ours(MIB / MB), unit=" MB", at_most=512)


def _stored(labels: Sequence[str], at_most: float) -> tuple[Check, ...]:
    return tuple(Check(section=STORED, label=label, figure=ratio(MOST, FEWEST), at_most=at_most) for label in labels)


GOALS = (
    Goal(
        what="rate at 64 at once >= 1.0x the empty skeleton, >= 1.2x the floor with I/O, >= 1.0x DBOS",
        checks=[
            Check(section=RATES, label="at concurrency 64", figure=ratio("Reelay", other), at_least=least)
            for other, least in (("empty skeleton", 1.0), ("floor with I/O", 1.2), ("DBOS", 1.0))
        ],
    ),
    Goal(
        what="POST p50, p99 <= 2x a raw start with one transaction",
        checks=[Check(section=SINGLE, label=f"{POST}, {p}", figure=to_skeleton, at_most=2) for p in ("p50", "p99")],
    ),
    Goal(
        what="webhook acknowledged p99 <= 2x one raw signal's",
        checks=[Check(section=SINGLE, label=f"{WEBHOOK}, p99", figure=to_skeleton, at_most=2)],
    ),
    Goal(
        what="status p50 <= 1.5x one raw query; <= 0.1 engine queries per poll with 50 readers of one job",
        size=POLLS,
        checks=[
            Check(section="", label="one answer, p50, ms", figure=ratio("Reelay", "raw query"), at_most=1.5),
            Check(
                section="",
                label="queries of the engine per 100 polls",
                figure=ours(0.01),
                unit=" per poll",
                at_most=0.1,
            ),
        ],
    ),
    Goal(
        what="webhook sent until completed p50 <= 1.2x the floor with I/O",
        checks=[Check(section=SINGLE, label=FINISH, figure=ratio("Reelay", "floor with I/O"), at_most=1.2)],
    ),
    Goal(
        what="CPU of our processes <= 1.3x the skeleton's",
        checks=[Check(section=CPU, label="its own processes", figure=to_skeleton, at_most=1.3)],
    ),
    Goal(
        what="history events, billable actions <= 29, 6",
        checks=[
            Check(section=FOOTPRINT, label="history events", figure=ours(), unit="", at_most=29),
            Check(section=FOOTPRINT, label="billable actions", figure=ours(), unit="", at_most=6),
        ],
    ),
    Goal(
        what="10,000 waiting on one worker: done at >= 0.9x the steady rate, >= 0.7x after a kill; worker <= 512 MB",
        size="10,000 generations",
        checks=list(_waiting()),
    ),
    Goal(
        what="10,000 events to 100 endpoints, 10 of them dead: the others' p99 <= 2x that without dead ones",
        size="10,000 events",
        checks=[Check(section="", label=TOLD, figure=ratio("10 are dead", "all answer"), at_most=2)],
    ),
    Goal(
        what="10 minutes of 1080p mixed with <= 1.2x the memory of one; its process ends within 2 s of a cancel",
        size="a film of 600 s",
        checks=[
            Check(
                section="",
                label="peak memory of its process, MiB",
                figure=ratio("Reelay", "a 10th of it"),
                at_most=1.2,
            ),
            Check(section="", label="cancel until its process is gone, s", figure=ours(), unit=" s", at_most=2),
        ],
    ),
    Goal(
        what="archive of 512 MiB >= 0.8x plain streaming to disk; memory <= 64 MiB more",
        checks=[
            Check(section=LARGE, label="MiB per second", figure=ratio("Reelay", "plain download"), at_least=0.8),
            Check(section=LARGE, label="growth of memory, MiB", figure=ours(), unit=" MiB", at_most=64),
        ],
    ),
    Goal(
        what="a 2 GiB upload and a 1 GiB result: API and worker grow by 64 MiB at most",
        checks=[
            Check(section=f"{FILES} {what}", label=name, figure=ours(), unit=" MiB", at_most=64)
            for what in ("upload of 2048 MiB", "result of 1024 MiB")
            for name in ("api", "worker")
        ],
    ),
    Goal(
        what="event loop never blocked over 20 ms, with one file of 512 MiB and 100 of 5 MiB",
        checks=[
            Check(
                section=section,
                label="longest pause of the event loop, ms",
                figure=ours(),
                unit=" ms",
                at_most=20,
            )
            for section in (LARGE, HUNDRED)
        ],
    ),
    Goal(
        what="heartbeats, and the end after a cancel, within 2 s",
        size=CANCELED,
        checks=[
            Check(section="", label=label, figure=ours(), unit=" s", at_most=2)
            for label in ("longest time without a heartbeat, s", "cancel until the workflow's end, s")
        ],
    ),
    Goal(
        what="1,000 streams: <= 100 KB each; webhook to event p99 <= webhook to completed p99 + 50 ms",
        size="1,000 event streams",
        checks=[
            Check(section="", label="API: KiB per stream", figure=ours(KIB / KB), unit=" KB", at_most=100),
            Check(
                section="",
                label=SEEN,
                figure=more_than("Reelay", "workflow's end"),
                unit=" ms",
                at_most=50,
            ),
        ],
    ),
    Goal(
        what="1,000,000 stored beside 1,000: POST, GET, webhook <= 1.2x",
        checks=_stored(("POST", "GET of a finished job", "webhook until acknowledged"), 1.2),
    ),
    Goal(
        what="1,000,000 stored beside 1,000: list, statistics, reconciliation <= 2x",
        checks=_stored(("list, newest first", "statistics of a day", "reconciliation: what has been quiet"), 2),
    ),
)


def lines_of_goals(results: Results) -> Iterator[str]:
    yield "| goal | here | |"
    yield "| --- | ---: | --- |"
    for goal in GOALS:
        yield goal.line(results)

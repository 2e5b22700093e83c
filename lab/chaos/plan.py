"""What will happen in a run, drawn from a seed before anything starts: one seed, one plan."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from reelay.domain.generation import ProviderName

JOBS_PER_SECOND = 6.0
"""Half of what two cores carry: the other half is for what a kill leaves undone."""
SHORTEST_SECONDS = 15.0
# The supervisor restarts a part later with each death within a minute, and the first try to come back may fail: a port
# of the dead may be taken for a moment.
SAME_PART_AGAIN_SECONDS = 65.0
BETWEEN_KILLS_SECONDS = (5.0, 11.0)

HOPELESS = "latency=10m"
"""Longer than any deadline."""
NEVER_MEDIA = "result=never-media"
SLOW = ("latency=100ms", "latency=4s", "latency=8s")
SUBMIT = (
    *("submit=drop", "submit=timeout", "submit=500", "submit=slow:2s", "submit=429", "submit=429:3"),
    "submit=403-locked",
)
LISTING = ("listing=late:20s", "listing=lost", "listing=no-input")
"""Join half of the submit faults: where the answer is lost, the provider's list is one of two ways back."""
LISTING_SHARE = 0.5
WEBHOOK = (
    *("webhook=lost", "webhook=late:5s", "webhook=early", "webhook=dup:20", "webhook=forged", "webhook=stale"),
    *("webhook=reordered:5s", "webhook=payload_error", "webhook=no-media:3s"),
)
MEDIA = (
    *("media=404:1", "media=expired:1", "media=truncated:2", "media=html:1", "media=wrong-type:1", "media=slow:4s"),
    *("media=rotated", "media=extra-thumbnail"),
    *("media=404", "media=expired", "media=html", "media=wrong-type", "media=redirect-private", "media=huge"),
)
UNITS = ("units=lost", "units=nan", "units=negative", "units=huge", "units=double", "units=half")
"""What the provider says that it counted. Whatever that is, the job completes and the books balance."""
RESULT = ("result=504", "result=504:3", "result=nsfw")
FAIL = ("fail=422", "fail=500", "fail=504", "fail=content_policy")
SHARES = ((SLOW, 0.30), (SUBMIT, 0.15), (WEBHOOK, 0.25), (UNITS, 0.06), (RESULT, 0.04))
"""How many of all jobs are hit by one fault of each kind. A fault of the end joins them for one job in eight."""
ENDS_BADLY, HOPELESS_SHARE, UNKNOWN_WORD_SHARE, CANCEL_SHARE, CANCEL_IGNORED_SHARE = 0.125, 0.02, 0.05, 0.06, 0.3

FALS_OWN = frozenset({*UNITS, "submit=timeout"})
"""Of the times that a provider has for its answer, only fal's can be made short enough for a run."""
NEEDS_LOOKING = frozenset({*LISTING, "webhook=lost", "webhook=forged"})
"""Heals where a provider can be asked. The studio only pushes: nobody can know of what it never told."""
FALS_AND_REPLICATES = NEEDS_LOOKING | {"submit=403-locked", "status=unknown-word", "fail=422", *RESULT}
"""What the studio has no words for: a locked account, a state of its own making, an input refused after its run; and it
has no result to call for."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is asked for: a path, the field that people write in, more input."""

    path: str
    field: str
    more: Mapping[str, str | int]
    weight: int
    unknown: frozenset[str] = frozenset()
    """Faults that its provider cannot have."""


def video(model: str, weight: int, unknown: frozenset[str]) -> Kind:
    return Kind(path="/api/generate/video", field="prompt", more={"model": model}, weight=weight, unknown=unknown)


KINDS = (
    Kind(path="/api/generate/video", field="prompt", more={"quality": "fast"}, weight=6),
    Kind(path="/api/generate/first-frame", field="prompt", more={"numImages": 2}, weight=6),
    Kind(path="/api/generate/voice", field="text", more={}, weight=4),
    Kind(path="/api/generate/ambient", field="prompt", more={}, weight=4),
    video("seedance-1-lite", 3, FALS_OWN),
    video("studio-video", 2, FALS_OWN | FALS_AND_REPLICATES),
)


FALLBACK_SHARE, HEDGE_SHARE = 0.3, 0.5
"""Of the videos at fal: how many have a fallback, and how many of those a hedge."""
FALLBACK_MODEL = "seedance-1-lite"
HEDGE: Mapping[str, int] = {"hedgeAfterSeconds": 2, "maxExtraCents": 10_000}
JOBS_PER_PIPELINE = 25
FILM_MODEL = "veo3.1-fast"

AIMED = "submit=slow:3s"
AIMED_SECONDS = (0.3, 2.5)
"""So long before a kill jobs are created with this fault: the kill meets them between the POST and its answer."""


class Part(StrEnum):
    """What is killed. The simulator is not: its counts are the evidence."""

    WORKER = "worker"
    API = "api"
    TEMPORAL = "temporal"
    POSTGRES = "postgres"


class Planned(BaseModel):
    model_config = ConfigDict(frozen=True)


class PlannedJob(Planned):
    number: int
    at: float
    """Seconds after the start, as all times of a plan."""
    path: str
    body: dict[str, Any]
    faults: tuple[str, ...]
    """As they stand in the body's `[sim: ...]`."""
    cancel_after: float | None
    """Seconds after its creation was answered."""

    @property
    def has_fallback(self) -> bool:
        return "fallbacks" in self.body

    @property
    def is_hedged(self) -> bool:
        return "hedgeAfterSeconds" in self.body


class PlannedPipeline(Planned):
    """A small film, free of faults: what it is hit by is the kills."""

    number: int
    at: float

    @property
    def body(self) -> dict[str, Any]:
        film = {"kind": "mix", "video": "step:video", "tracks": [{"source": "step:sound"}]}
        video = {"prompt": f"film {self.number} of a chaotic day [sim: latency=2s]"}
        return {
            "steps": {
                "video": {"kind": "video", "model": FILM_MODEL, "input": video},
                "sound": {"kind": "ambient", "input": {"prompt": f"sound {self.number} of a chaotic day"}},
                "film": film,
            }
        }


class PlannedKill(Planned):
    at: float
    part: Part


class Times(Planned):
    """What replaces the catalogue's times, so that every wait ends within the run. In seconds."""

    patience: float = 3
    poll_interval: float = 1
    adoption_window: float = 8
    """Longer than a part takes to come back: a webhook that is repeated meanwhile is heard."""
    deadline: float = 90
    """Longer than what a kill costs on a machine that has other work, too. As long may a submission take."""
    answer: float = 8
    """For the provider's answer to one call."""
    account_pause: float = 1
    """Between two probes of an account that is locked: one job's fault makes all of them wait."""
    slots: int | None = None
    """So many jobs may be at each provider at once; None: no limit."""
    wait: float | None = None
    """So long may a job wait for a slot; None: as long as the deadline."""

    def environment(self) -> dict[str, str]:
        return {
            "WEBHOOK_PATIENCE_SECONDS": str(self.patience),
            "POLL_INTERVAL_SECONDS": str(self.poll_interval),
            "ADOPTION_WINDOW_SECONDS": str(self.adoption_window),
            "SUBMISSION_WINDOW_SECONDS": str(self.wait or self.deadline),
            "GENERATION_DEADLINE_SECONDS": str(self.deadline),
            "ACCOUNT_PAUSE_SECONDS": str(self.account_pause),
            "FAL_TIMEOUT_MS": str(round(self.answer * 1000)),
            **{f"{name.upper()}_CONCURRENCY": str(self.slots) for name in ProviderName if self.slots is not None},
        }


class Plan(Planned):
    seed: int
    times: Times
    jobs: tuple[PlannedJob, ...]
    pipelines: tuple[PlannedPipeline, ...] = ()
    kills: tuple[PlannedKill, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises: OSError, pydantic.ValidationError."""
        return cls.model_validate_json(path.read_text())

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=1))


def draw_plan(seed: int, jobs: int, times: Times | None = None) -> Plan:
    """Always the same one for the same arguments."""
    dice = Random(seed)
    seconds = max(jobs / JOBS_PER_SECOND, SHORTEST_SECONDS)
    moments = sorted(_rounded(dice.uniform(0, seconds)) for _ in range(jobs))
    kills = tuple(_kills(dice, seconds))
    films = Random(f"films {seed}")
    return Plan(
        seed=seed,
        times=times or Times(),
        jobs=tuple(
            _with_fallback(
                Random(f"fallback {number} {seed}"),
                _job(dice, number, at, late=at > seconds / 2, aimed=_is_aimed(at, kills)),
            )
            for number, at in enumerate(moments)
        ),
        pipelines=tuple(
            PlannedPipeline(number=number, at=_rounded(films.uniform(0, seconds)))
            for number in range(-(-jobs // JOBS_PER_PIPELINE))
        ),
        kills=kills,
    )


def _job(dice: Random, number: int, at: float, *, late: bool, aimed: bool) -> PlannedJob:
    (kind,) = dice.choices(KINDS, weights=[kind.weight for kind in KINDS])
    cancel_after = _rounded(dice.uniform(0, 5)) if dice.random() < CANCEL_SHARE else None
    drawn = _faults(dice, late=late, canceled=cancel_after is not None)
    faults = tuple(fault for fault in drawn if fault not in kind.unknown)
    if aimed:
        faults = (AIMED, *(fault for fault in faults if fault not in SUBMIT))
    prompt = f"job {number} of a chaotic day" + (f" [sim: {', '.join(faults)}]" if faults else "")
    body = {kind.field: prompt, **kind.more}
    return PlannedJob(number=number, at=at, path=kind.path, body=body, faults=faults, cancel_after=cancel_after)


def _with_fallback(dice: Random, job: PlannedJob) -> PlannedJob:
    """A model at another provider, free of faults, that makes some of the videos should theirs fail, or take long.

    None where a fault falsifies what was counted: the price of the one that was used would not be known here.
    """
    is_video_at_fal = job.body.get("quality") == "fast"
    if not is_video_at_fal or dice.random() >= FALLBACK_SHARE or not set(job.faults).isdisjoint(UNITS):
        return job
    fallback = {"model": FALLBACK_MODEL, "input": {"prompt": f"the fallback of job {job.number}"}}
    hedge = HEDGE if dice.random() < HEDGE_SHARE else {}
    return job.model_copy(update={"body": {**job.body, "fallbacks": [fallback], **hedge}})


def _faults(dice: Random, *, late: bool, canceled: bool) -> Iterator[str]:
    """At most one of a kind, and nothing that hides another: a failed run has no media to break."""
    hopeless = dice.random() < HOPELESS_SHARE and not late  # a late one would only make the run longer
    if hopeless:
        yield dice.choice((HOPELESS, NEVER_MEDIA))
    for kind, share in SHARES:
        if dice.random() < share and not (hopeless and kind in (SLOW, RESULT)):
            yield dice.choice(kind)
            if kind is SUBMIT and dice.random() < LISTING_SHARE:
                yield dice.choice(LISTING)
    if dice.random() < ENDS_BADLY and not hopeless:
        yield dice.choice((*FAIL, *MEDIA))
    if dice.random() < UNKNOWN_WORD_SHARE:
        yield "status=unknown-word"
    if canceled and dice.random() < CANCEL_IGNORED_SHARE:
        yield "cancel=ignored"


def _is_aimed(at: float, kills: Sequence[PlannedKill]) -> bool:
    shortest, longest = AIMED_SECONDS
    return any(shortest <= kill.at - at <= longest for kill in kills)


def _kills(dice: Random, seconds: float) -> Iterator[PlannedKill]:
    last = {part: -SAME_PART_AGAIN_SECONDS for part in Part}
    at = dice.uniform(*BETWEEN_KILLS_SECONDS)
    while at < seconds:
        if rested := [part for part in Part if at - last[part] >= SAME_PART_AGAIN_SECONDS]:
            part = dice.choice(rested)
            last[part] = at
            yield PlannedKill(at=_rounded(at), part=part)
        at += dice.uniform(*BETWEEN_KILLS_SECONDS)


def _rounded(seconds: float) -> float:
    return round(seconds, 3)

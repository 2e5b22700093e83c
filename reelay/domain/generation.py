"""A generation: one request for one output of one model, from creation to its last state."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import gcd
from typing import Any
from uuid import UUID

from reelay.domain.failure import Failure
from reelay.domain.money import Charge, Tariff, charge_for
from reelay.domain.provenance import Provenance


class JobType(StrEnum):
    """What a job makes, as the column `generation_jobs.job_type` names it."""

    VIDEO_VEO31 = "video_veo31"
    VIDEO = "video"
    FIRST_FRAME = "first_frame"
    VOICE = "voice_chatterbox"
    AMBIENT = "ambient_elevenlabs"
    TRANSCRIPTION = "transcribe_whisper"
    OTHER = "other"
    """Anything else: files of any kind, or data alone."""


class Origin(StrEnum):
    """Who wrote a generation's row."""

    REELAY = "reelay"
    EXTERNAL = "external"
    """Another backend, in SQL, or an import from one. It has submitted the job if the row has a request id."""


class ProviderName(StrEnum):
    """Who generates: `studio` is a self-hosted backend that pushes its own progress, `reelay` mixes films itself."""

    FAL = "fal"
    REPLICATE = "replicate"
    STUDIO = "studio"
    REELAY = "reelay"

    @property
    def reports_by_push(self) -> bool:
        """Whether it tells its progress and its outcome by itself, and cannot be asked for them."""
        return self is ProviderName.STUDIO


ASKED_PROVIDERS: tuple[ProviderName, ...] = tuple(name for name in ProviderName if name is not ProviderName.REELAY)
"""Those that jobs are sent to."""


class Status(StrEnum):
    """Where a job stands; the last three are final.

    - `pending`: stored, and not yet accepted by the provider.
    - `submitted`: accepted, in the provider's queue.
    - `in_progress`: the provider works on it, or its media is being archived.
    - `completed`: its files are archived.
    - `failed`: it ended without its media; `errorCode` says why.
    - `canceled`: it was canceled.
    """

    PENDING = "pending"
    SUBMITTED = "submitted"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        return self in FINAL


FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELED})
ACTIVE = frozenset(Status) - FINAL


class Stage(StrEnum):
    """What happens to a job inside its status.

    - `reserving`: it waits for its workflow.
    - `waiting`: it waits for a slot at the provider.
    - `submitting`: it is sent to the provider, or waits until the provider takes it.
    - `uncertain`: the submission's answer was lost, and its request is looked for.
    - `queued`: it waits in the provider's queue.
    - `generating`: the provider works on it.
    - `polling`: the provider is asked, because its webhook did not come.
    - `fetching`: the result is fetched.
    - `archiving`: the media is copied into the archive.
    - `finishing`: the job, its clip and its credits are updated.
    - `done`: it has ended.
    """

    RESERVING = "reserving"
    WAITING = "waiting"
    SUBMITTING = "submitting"
    UNCERTAIN = "uncertain"
    QUEUED = "queued"
    GENERATING = "generating"
    POLLING = "polling"
    FETCHING = "fetching"
    ARCHIVING = "archiving"
    FINISHING = "finishing"
    DONE = "done"


class Priority(StrEnum):
    """Which of the jobs that wait for a slot goes first; among equals the users take turns."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"

    @property
    def rank(self) -> int:
        return tuple(Priority).index(self)


class WaitingFor(StrEnum):
    """Why nothing happens to a job that has not ended.

    - `slot`: as many jobs as may run at the provider at once are there already.
    - `queue`: others are ahead of it in the provider's queue; `queuePosition` says how many, where that is known.
    - `provider`: the provider does not answer, or has asked to come back later.
    - `account`: the provider takes no jobs from this service for the time being.
    - `key`: the provider is not set up at the moment.
    """

    SLOT = "slot"
    QUEUE = "queue"
    PROVIDER = "provider"
    ACCOUNT = "account"
    KEY = "key"


AT_THE_PROVIDER = frozenset({Stage.QUEUED, Stage.GENERATING, Stage.POLLING, Stage.FETCHING})
"""From the accepted submission until the result is fetched."""
BEFORE_THE_PROVIDER = frozenset({Stage.RESERVING, Stage.WAITING, Stage.SUBMITTING, Stage.UNCERTAIN})


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long each wait of a generation may last. Frozen when the generation is created."""

    expected: timedelta
    """What the model usually takes; only progress estimates use it."""
    patience: timedelta
    """How long to wait for the webhook before polling."""
    poll_interval: timedelta
    adoption_window: timedelta
    """How long the request of an uncertain submission is looked for: by its webhook and in the provider's list."""
    deadline: timedelta
    """After this, counted from the submission, the provider is told to stop, and the generation ends."""
    submission_window: timedelta = timedelta(days=1)
    """How long it may take from the creation until a provider takes the submission: of an account that is locked, for
    instance."""
    archive_window: timedelta = timedelta(hours=6)
    """How long a result that the provider has is tried to be archived, whatever the deadline."""
    fallback_after: timedelta = timedelta(minutes=1)
    """How long a provider is tried that takes nothing, where there is a fallback."""


class UncertainSubmitPolicy(StrEnum):
    """What becomes of a submission of which nothing is heard within the adoption window."""

    FAIL = "fail"
    """The generation fails with `unknown_outcome`."""
    RESUBMIT = "resubmit"
    """It is sent once more, at the risk of paying twice."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that may make what was asked for, with its input: the one that was asked for, or a fallback."""

    job_type: JobType
    provider: ProviderName
    model: str
    endpoint: str
    arguments: dict[str, Any]
    timing: Timing
    price_cents: int
    """The most that its user pays when this one makes it."""
    tariff: Tariff | None = None
    outputs: tuple[str, ...] | None = None
    references: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Generation:
    """The workflow's input: all that is known when the generation is created."""

    id: UUID
    user_id: UUID
    job_type: JobType
    provider: ProviderName
    model: str
    endpoint: str
    """The provider's name of the model, e.g. `fal-ai/veo3.1/fast`."""
    arguments: dict[str, Any]
    """The model's input in the provider's own words."""
    timing: Timing
    uncertain_submit_policy: UncertainSubmitPolicy = UncertainSubmitPolicy.FAIL
    clip_id: UUID | None = None
    held_cents: int = 0
    """The most that its user pays."""
    references: tuple[str, ...] = ()
    """Places of the arguments that name a file of the user's own: see `reelay.domain.references`."""
    tariff: Tariff | None = None
    """What the provider's units cost on the day of creation; None where its count tells no price."""
    outputs: tuple[str, ...] | None = None
    """Where the answer holds files, as `reelay.catalog.outputs` writes it. None: wherever one is found."""
    fallbacks: tuple[Candidate, ...] = ()
    """What is tried next, in order, when the provider fails for reasons of its own."""
    attempts_before: int = 0
    """At the models that it fell back from."""
    hedge_after: timedelta | None = None
    """How long after its submission the next fallback begins beside it; None: it does not."""
    attempts_beside: int = 0
    """The greatest number that an attempt had at a model that was beside it, and has failed."""

    @property
    def last_attempt(self) -> int:
        """The greatest number that an attempt at its model may have."""
        return self.attempts_before + self.attempts_at_most

    def hedge(self) -> "Generation":
        """The same generation with its next fallback, which works on it beside this one."""
        return replace(self.fall_back(attempts=self.last_attempt), hedge_after=self.hedge_after)

    def without_hedge(self) -> "Generation":
        """The same generation once the model beside it has failed."""
        return replace(self, fallbacks=self.fallbacks[1:], hedge_after=None, attempts_beside=self.hedge().last_attempt)

    def fall_back(self, *, attempts: int) -> "Generation":
        """The same generation with its next fallback, after so many attempts."""
        candidate, *left = self.fallbacks
        return self.made_by(candidate, fallbacks=left, attempts_before=attempts)

    def made_by(self, candidate: Candidate, *, fallbacks: Sequence[Candidate], attempts_before: int) -> "Generation":
        """The same generation with that model, and no other beside it."""
        return replace(
            self,
            job_type=candidate.job_type,
            provider=candidate.provider,
            model=candidate.model,
            endpoint=candidate.endpoint,
            arguments=candidate.arguments,
            timing=candidate.timing,
            held_cents=candidate.price_cents,
            tariff=candidate.tariff,
            outputs=candidate.outputs,
            references=candidate.references,
            fallbacks=tuple(fallbacks),
            attempts_before=attempts_before,
            hedge_after=None,
            attempts_beside=0,
        )

    def charge_for(self, made: "Result | Archived") -> Charge:
        """What its provider has made costs so much."""
        return charge_for(self.held_cents, self.tariff, made.billable_units, unusable=made.unusable_units)

    @property
    def needs_media(self) -> bool:
        """Whether an answer without files is not yet, or not, what was asked for."""
        if self.outputs is None:
            return self.job_type is not JobType.TRANSCRIPTION
        return any(not path.endswith("?") for path in self.outputs)

    @property
    def attempts_at_most(self) -> int:
        return 2 if self.uncertain_submit_policy is UncertainSubmitPolicy.RESUBMIT else 1


@dataclass(frozen=True, kw_only=True)
class Submission:
    """An accepted attempt: how to reach the provider's request from now on."""

    attempt: int
    request_id: str
    status_url: str
    response_url: str
    cancel_url: str
    webhook_expected: bool
    """False when no public URL is configured: nobody will call, so poll from the start."""
    queue_position: int | None = None
    """Requests ahead of this one when it was accepted."""
    sent_at: datetime | None = None
    """By the attempt log; None while the submission is not written down there."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A verified webhook, as far as the workflow needs it. It is a hint: the result is fetched with our key."""

    attempt: int
    request_id: str
    delivery_id: UUID
    ended: bool = True
    """False when it only shows that the provider has the request, and works on it."""


class ProviderState(StrEnum):
    """A provider's status, mapped. An unknown status means RUNNING: keep waiting."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"
    """No more work will be done. Whether it succeeded, only the result tells."""


@dataclass(frozen=True, kw_only=True)
class ProviderProgress:
    """What a provider says of a request that it has accepted."""

    state: ProviderState
    queue_position: int | None = None
    """Requests ahead of this one, counted from 0; only while queued."""
    logs: tuple[str, ...] = ()
    percent: int | None = None
    """Of its own work, from 0 to 100; None where it does not say."""


@dataclass(frozen=True, kw_only=True)
class RemoteMedia:
    """One output as the provider serves it, before it is archived."""

    url: str
    content_type: str | None = None
    file_name: str | None = None
    flagged: bool = False
    """By the provider's safety check, which may have blackened or blurred it."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """A successful answer of the provider."""

    media: tuple[RemoteMedia, ...]
    """Empty when the answer holds no media (yet)."""
    data: dict[str, Any]
    """The answer itself, e.g. a transcript's text and chunks."""
    billable_units: float | None = None
    """What the provider charges, in its own unit (`x-fal-billable-units`)."""
    unusable_units: str | None = None
    """What it said instead that is no number of units."""
    logs: tuple[str, ...] = ()
    """What was printed, where the answer itself tells."""


@dataclass(frozen=True, kw_only=True)
class MediaFile:
    """One archived artefact."""

    name: str
    """Last part of its address, e.g. `video.mp4`; ours, never the provider's."""
    key: str
    """Its key in the archive."""
    content_type: str
    """By content, not by what was declared."""
    size_bytes: int
    sha256: str
    """Lower-case hex of the bytes that the provider served."""
    duration_seconds: float | None = None
    width: int | None = None
    height: int | None = None
    poster_name: str | None = None
    poster_key: str | None = None
    file_name: str | None = None
    """The provider's name for it: a label, never part of a path."""
    flagged: bool = False
    """By the provider's safety check, which may have blackened or blurred it."""
    provenance: Provenance | None = None
    """What its Content Credentials are worth; None where nobody can tell."""

    @property
    def aspect_ratio(self) -> str | None:
        """E.g. `16:9`."""
        if not self.width or not self.height:
            return None
        divisor = gcd(self.width, self.height)
        return f"{self.width // divisor}:{self.height // divisor}"


@dataclass(frozen=True, kw_only=True)
class Archived:
    """What the archive activity hands to the completion."""

    files: tuple[MediaFile, ...]
    provider_url: str | None
    """Where the provider served the first file."""
    billable_units: float | None = None
    unusable_units: str | None = None
    refused: bool = False
    """It is flagged, and flagged results are not kept here: there are no files."""


@dataclass(frozen=True, kw_only=True)
class GenerationStatus:
    """The answer to the workflow's `status` query."""

    status: Status
    stage: Stage
    stage_since: datetime
    message: str
    request_id: str | None = None
    failure: Failure | None = None


def state_at_acceptance(provider: ProviderName, submission: Submission) -> tuple[Status, Stage]:
    """At work, unless others are ahead in the provider's queue, or the provider says by itself when it begins."""
    if submission.queue_position or provider.reports_by_push:
        return Status.SUBMITTED, Stage.QUEUED
    return Status.IN_PROGRESS, Stage.GENERATING


MEDIA_PATH = "/api/media/"


def media_address(generation_id: UUID, name: str) -> str:
    """Where our API serves an archived file, relative to its origin."""
    return f"{MEDIA_PATH}{generation_id}/{name}"

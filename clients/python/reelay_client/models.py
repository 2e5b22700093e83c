"""What the API answers, typed. `document` holds the whole answer in the API's own names."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, Self, get_args, get_origin, get_type_hints
from uuid import UUID

ENDED = ("completed", "failed", "canceled")


@dataclass(frozen=True, kw_only=True)
class Answer:
    document: dict[str, Any] = field(repr=False)

    @classmethod
    def read(cls, document: dict[str, Any]) -> Self:
        """From the API's JSON. Fields that this version does not know stay in `document`."""
        hints = get_type_hints(cls)
        values = {
            item.name: _read(document[name], hints[item.name])
            for item in fields(cls)
            if (name := _camel(item.name)) in document and item.name != "document"
        }
        return cls(**values, document=document)


@dataclass(frozen=True, kw_only=True)
class Provenance(Answer):
    """What checking a file's Content Credentials (C2PA) found."""

    state: str
    """`none`, `valid`, `trusted` or `invalid`."""
    issuer: str | None = None
    """To whom the signer's certificate was issued."""
    generator: str | None = None
    """The program that wrote them, by its own account."""


@dataclass(frozen=True, kw_only=True)
class File(Answer):
    """One archived file of a job."""

    name: str
    """As in its address, e.g. `video.mp4`."""
    file_url: str
    """Plays in a browser without a key, for at least an hour from the answer that it came with."""
    file_path: str
    """Its key in the archive."""
    file_size: int
    """Bytes."""
    format: str
    """Content type, found by content."""
    sha256: str
    """Lower-case hex."""
    duration_seconds: float | None = None
    width: int | None = None
    height: int | None = None
    aspect_ratio: str | None = None
    poster_url: str | None = None
    flagged: bool = False
    """By the provider's safety check: it may be black or blurred."""
    provenance: Provenance | None = None
    """None where its Content Credentials were not checked."""


@dataclass(frozen=True, kw_only=True)
class TimeRange(Answer):
    """Four of five jobs like it come to this between these moments."""

    earliest: datetime
    latest: datetime


@dataclass(frozen=True, kw_only=True)
class Job(Answer):
    """One generation."""

    id: UUID
    type: str
    model: str
    provider: str
    status: str
    """`pending`, `submitted`, `in_progress`, `completed`, `failed` or `canceled`."""
    stage: str
    progress: int
    """0 to 100."""
    progress_message: str
    waiting_for: str | None = None
    """What it waits for, while nothing happens to it: `slot`, `queue`, `provider`, `account` or `key`."""
    queue_position: int | None = None
    """How many are ahead of it, in the provider's queue or in the line for its slots."""
    estimated_start_at: datetime | None = None
    estimated_start_range: TimeRange | None = None
    estimated_completion_at: datetime | None = None
    estimated_completion_range: TimeRange | None = None
    seconds_left: int | None = None
    """By what the model usually takes."""
    result_url: str | None
    """The first file's link."""
    files: list[File]
    flagged: bool = False
    """By the provider's safety check: one of the files, or what was not kept for that."""
    result_data: dict[str, Any] | None = None
    """What the provider answered, e.g. a transcript."""
    error_code: str | None
    error_message: str | None
    input: dict[str, Any] = field(default_factory=dict)
    estimated_cost_cents: int = 0
    actual_cost_cents: int | None = None
    campaign_id: UUID | None = None
    clip_id: UUID | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    created_at: datetime
    submitted_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    def with_progress(self, progress: dict[str, Any]) -> Self:
        """The same job, with what a `job.progress` event says."""
        return self.read({**self.document, **progress})


@dataclass(frozen=True, kw_only=True)
class Created(Answer):
    """The answer to a creating call."""

    job_id: UUID
    status: str
    message: str = ""
    estimated_cost_cents: int
    estimated_seconds: int
    status_url: str
    events_url: str


@dataclass(frozen=True, kw_only=True)
class CreatedBatch(Answer):
    """The answer to `create_batch`."""

    batch_id: UUID
    job_ids: list[UUID]
    """In the order of the request."""
    estimated_cost_cents: int
    """Held until each job ends."""
    status_url: str


@dataclass(frozen=True, kw_only=True)
class BatchEstimate(Answer):
    """What a batch would cost."""

    total: int
    """Of jobs."""
    estimated_cost_cents: int


@dataclass(frozen=True, kw_only=True)
class Batch(Answer):
    """Jobs that were created together."""

    id: UUID
    status: str
    """`running`, or `completed` when all of its jobs have ended, however they ended."""
    total: int
    counts: dict[str, int]
    """By status, as the API spells it."""
    progress: int
    """0 to 100, of all jobs."""
    estimated_cost_cents: int
    credits_deducted: int
    """Charged so far, in cents."""
    estimated_completion_at: datetime | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    created_at: datetime
    completed_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        return self.status == "completed"


@dataclass(frozen=True, kw_only=True)
class BatchResult(Answer):
    """One job of a batch, with what it made."""

    job_id: UUID
    external_id: str | None = None
    model: str
    status: str
    error_code: str | None
    credits_deducted: int
    files: list[str]
    """Links that play without a key, for at least an hour."""


@dataclass(frozen=True, kw_only=True)
class TimelineEvent(Answer):
    """One line of a job's timeline."""

    id: int
    at: datetime
    status: str
    stage: str
    detail: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Model(Answer):
    """One entry of the catalogue."""

    name: str
    kind: str | None
    """None where `create` takes its name alone."""
    provider: str
    inputs: list[dict[str, Any]]
    """Each with `name`, `type`, `required`, `default`, `limit` and `about`."""
    available: bool


@dataclass(frozen=True, kw_only=True)
class Estimate(Answer):
    """What a request would cost."""

    model: str
    estimated_cost_cents: int
    estimated_seconds: int
    estimated: bool = False
    """Whether the real cost may differ."""
    hedge_model: str | None = None
    """The fallback that begins beside a model that takes long."""


@dataclass(frozen=True, kw_only=True)
class Credits(Answer):
    """The caller's credits, in cents."""

    balance_cents: int
    held_cents: int
    """Set aside for jobs that have not ended."""
    available_cents: int


@dataclass(frozen=True, kw_only=True)
class WebhookEndpoint(Answer):
    """Where you are told of events."""

    id: UUID
    url: str
    events: list[str] | None
    """None: all types."""
    description: str
    status: str
    """`unverified` until it has answered a test; then `enabled` or `disabled`."""
    disabled_reason: str | None = None
    """`requested`, `gone` or `failing`."""
    failing_since: datetime | None = None
    created_at: datetime | None = None
    secret: str | None = field(default=None, repr=False)
    """In the answers that make one, and in no other."""


@dataclass(frozen=True, kw_only=True)
class WebhookDelivery(Answer):
    """One event for one endpoint."""

    id: UUID
    event_id: UUID
    type: str
    sequence: int
    job_id: UUID | None
    batch_id: UUID | None = None
    state: str
    """`pending`, `delivered` or `failed`."""
    next_try_at: datetime | None
    attempts: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class WebhookEvent(Answer):
    """Something that happened."""

    id: UUID
    """The same however often it is told: keep those that you have handled."""
    type: str
    """`job.completed`, for instance."""
    timestamp: datetime
    sequence: int
    """Growing by one with each of your events."""
    data: dict[str, Any]

    @property
    def job(self) -> Job:
        """Of the types `job.*`: as it is from then on."""
        return Job.read(self.data)

    @property
    def batch(self) -> Batch:
        """Of the type `batch.completed`."""
        return Batch.read(self.data)


@dataclass(frozen=True, kw_only=True)
class Asset(Answer):
    """A file that the caller brought."""

    asset_id: UUID
    uri: str
    """What an input takes in place of an address."""
    file_name: str | None = None
    content_type: str
    size_bytes: int
    sha256: str
    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    file_url: str
    poster_url: str | None = None
    provenance: Provenance | None = None
    """None where its Content Credentials were not checked."""
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class PipelineStep(Answer):
    """One step of a pipeline."""

    status: str
    """`waiting`, `running`, `waiting_for_approval`, `completed`, `reused`, `failed` or `skipped`."""
    job_id: UUID
    """The job that stands for it; of one that was reused, the earlier one."""
    model: str | None = None
    needs: list[str] = field(default_factory=list)
    progress: int = 0
    files: list[File] = field(default_factory=list)
    estimated_cost_cents: int = 0
    cost_cents: int = 0
    input_hash: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Pipeline(Answer):
    """Jobs and mixes that depend on each other."""

    id: UUID
    name: str
    status: str
    """`running`, `waiting_for_approval`, `completed`, `failed` or `canceled`."""
    progress: int
    """0 to 100."""
    steps: dict[str, PipelineStep]
    clip_id: UUID | None = None
    rerun_of: UUID | None = None
    estimated_cost_cents: int = 0
    cost_cents: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)
    created_at: datetime
    completed_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True, kw_only=True)
class PipelineCreated(Answer):
    """The answer to a call that creates a pipeline."""

    pipeline_id: UUID
    status: str
    estimated_cost_cents: int
    status_url: str
    events_url: str


@dataclass(frozen=True, kw_only=True)
class Produced(Answer):
    """The answer to a call that begins the films of several clips."""

    pipelines: dict[UUID, UUID]
    """The pipelines' ids, by their clips'."""
    estimated_cost_cents: int
    status_url: str


@dataclass(frozen=True, kw_only=True)
class PlannedStep(Answer):
    """What would become of a step."""

    status: str
    """`reused`, or `waiting` for what would be made."""
    estimated_cost_cents: int


@dataclass(frozen=True, kw_only=True)
class PipelinePlan(Answer):
    """What a pipeline would do and cost."""

    estimated_cost_cents: int
    steps: dict[str, PlannedStep]


@dataclass(frozen=True, kw_only=True)
class ProducePlan(Answer):
    """What films of several clips would cost."""

    estimated_cost_cents: int
    clips: dict[UUID, PipelinePlan]
    """By the clips' ids."""


@dataclass(frozen=True, kw_only=True)
class Clip(Answer):
    id: UUID
    campaign_id: UUID
    title: str
    position: int
    status: str
    video: dict[str, Any]
    first_frame: dict[str, Any]
    audio: dict[str, Any]
    final: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Campaign(Answer):
    id: UUID
    name: str
    metadata: dict[str, Any]
    clips: list[Clip] = field(default_factory=list)
    created_at: datetime


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _read(value: Any, hint: Any) -> Any:
    if isinstance(hint, UnionType):
        if value is None:
            return None
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    if hint is UUID or hint is datetime:
        return UUID(value) if hint is UUID else datetime.fromisoformat(value)
    if isinstance(value, list) and (parts := get_args(hint)):
        return [_read(item, parts[0]) for item in value]
    if isinstance(value, dict) and get_origin(hint) is dict:
        of_name, of_item = get_args(hint)
        return {_read(name, of_name): _read(item, of_item) for name, item in value.items()}
    return hint.read(value) if isinstance(hint, type) and issubclass(hint, Answer) else value

"""The tables. Each fact has one writer: the API inserts, after that only activities change a generation's rows."""

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    Numeric,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from reelay.domain.failure import MAY_LEAVE_RESULT
from reelay.domain.generation import (
    JobType,
    Origin,
    Priority,
    ProviderName,
    Stage,
    Status,
    UncertainSubmitPolicy,
    WaitingFor,
)
from reelay.domain.learned_limit import Lesson
from reelay.domain.outgoing import DeliveryState, DisabledReason, EndpointStatus, EventType, WebhookFormat
from reelay.domain.pipeline import PipelineStatus, StepStatus
from reelay.domain.turns import Place

NOW = func.now()
EMPTY_OBJECT = text("'{}'::jsonb")


def _jsonb(*, empty_default: bool = True) -> Any:
    """A jsonb column holding an object."""
    if empty_default:
        return Column(JSONB, nullable=False, server_default=EMPTY_OBJECT)
    return Column(JSONB, nullable=True)


def _timestamp(*, default_now: bool = False) -> Any:
    return Column(DateTime(timezone=True), nullable=not default_now, server_default=NOW if default_now else None)


def _job_foreign_key() -> ForeignKeyConstraint:
    """Tenant first: a row can only point to a job of its own user."""
    return ForeignKeyConstraint(
        ["user_id", "job_id"], ["generation_jobs.user_id", "generation_jobs.id"], ondelete="CASCADE"
    )


def _set_null_foreign_key(column: str, table: str) -> ForeignKeyConstraint:
    """To a row of the same user. A job outlives it."""
    return ForeignKeyConstraint(
        ["user_id", column],
        [f"{table}.user_id", f"{table}.id"],
        ondelete=f"SET NULL ({column})",
        deferrable=True,
        initially="DEFERRED",
    )


class Scope(StrEnum):
    """What an API key opens: `user` its user's own rows, `admin` the operators' calls as well."""

    USER = "user"
    ADMIN = "admin"


class User(SQLModel, table=True):
    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("monthly_budget_cents >= 0", name="monthly_budget_is_not_negative"),
        Index("users_email", "email", postgresql_where=text("email is not null")),
        CheckConstraint("slot_weight > 0 and slot_weight < 'infinity'", name="slot_weight_is_positive"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    name: str = Field(sa_type=Text, unique=True)
    """An operator's word; of those who come with a token the id."""
    email: str | None = Field(default=None, sa_type=Text)
    """In lower case, as the user's last token had it. Operators may name the user by it; it opens nothing."""
    monthly_budget_cents: int | None = Field(default=None, sa_type=BigInteger)
    """The most that this user's jobs of one month (UTC) may cost; None for no limit."""
    slot_weight: float = Field(default=1.0, sa_type=Double)
    """The user's share of the slots at a provider, beside the weights of the others who wait."""
    highest_priority: Priority = Field(default=Priority.HIGH, sa_type=Text)
    """The highest that the user's jobs may have."""
    created_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    disabled_at: datetime | None = Field(default=None, sa_column=_timestamp())
    """Since when none of the user's keys and tokens is taken."""
    deleted_at: datetime | None = Field(default=None, sa_column=_timestamp())
    """Since when all that the user has is being deleted; of an anonymous user, who keeps the books, was."""
    signed_out_at: datetime | None = Field(default=None, sa_column=_timestamp())
    """Tokens of the user that were issued earlier are refused, and what was handed out to them."""


class ApiKey(SQLModel, table=True):
    """A key is shown once; only its keyed hash is kept."""

    __tablename__ = "api_keys"
    __table_args__ = (CheckConstraint("spent_cents >= 0 and spent_cents <= budget_cents", name="budget_is_kept"),)

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    prefix: str = Field(sa_type=Text, unique=True)
    """The key's first characters, to recognise it by."""
    hash: bytes = Field(sa_type=LargeBinary, unique=True)
    scope: str = Field(sa_type=Text)
    created_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    expires_at: datetime | None = Field(default=None, sa_column=_timestamp())
    revoked_at: datetime | None = Field(default=None, sa_column=_timestamp())
    signed_out_at: datetime | None = Field(default=None, sa_column=_timestamp())
    """Links and tokens that were handed out to the key earlier are refused."""
    budget_cents: int | None = Field(default=None, sa_type=BigInteger)
    """The most that all jobs which the key makes may cost; None for no limit."""
    spent_cents: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0")))
    """Of the budget: what its ended jobs have cost, and the prices of the others. Not counted without one."""

    @property
    def left_cents(self) -> int | None:
        """Of the budget."""
        return None if self.budget_cents is None else self.budget_cents - self.spent_cents


class Campaign(SQLModel, table=True):
    __tablename__ = "campaigns"
    __table_args__ = (UniqueConstraint("user_id", "id"),)

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    name: str = Field(sa_type=Text)
    metadata_: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column("metadata", JSONB, nullable=False, server_default=EMPTY_OBJECT)
    )
    request_fingerprint: bytes | None = Field(default=None, sa_type=LargeBinary)
    created_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))


class Clip(SQLModel, table=True):
    __tablename__ = "campaign_clips"
    __table_args__ = (
        ForeignKeyConstraint(["user_id", "campaign_id"], ["campaigns.user_id", "campaigns.id"], ondelete="CASCADE"),
        UniqueConstraint("user_id", "id"),
        Index("campaign_clips_of_campaign", "campaign_id", "position"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID
    campaign_id: UUID
    title: str = Field(default="", sa_type=Text)
    position: int = 0
    status: str = Field(default="draft", sa_type=Text)
    video: dict[str, Any] = Field(default_factory=dict, sa_column=_jsonb())
    first_frame: dict[str, Any] = Field(default_factory=dict, sa_column=_jsonb())
    audio: dict[str, Any] = Field(default_factory=dict, sa_column=_jsonb())
    final: dict[str, Any] = Field(default_factory=dict, sa_column=_jsonb())
    metadata_: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column("metadata", JSONB, nullable=False, server_default=EMPTY_OBJECT)
    )
    request_fingerprint: bytes | None = Field(default=None, sa_type=LargeBinary)
    created_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    updated_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))


class Batch(SQLModel, table=True):
    """Many jobs that were created together."""

    __tablename__ = "batches"
    __table_args__ = (UniqueConstraint("user_id", "id"),)

    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    estimated_cost_cents: int = Field(sa_type=BigInteger)
    metadata_: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column("metadata", JSONB, nullable=False, server_default=EMPTY_OBJECT)
    )
    request_fingerprint: bytes | None = Field(default=None, sa_type=LargeBinary)
    created_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    webhook_url: str | None = Field(default=None, sa_type=Text)
    """Where the caller wants to be told of its end, besides the endpoints."""
    completed_at: datetime | None = Field(default=None, sa_column=_timestamp())
    """Written by the database in the transaction that ends the last of its jobs."""


class PipelineRow(SQLModel, table=True):
    """Jobs and mixes that depend on each other. While its workflow lives, this row is the workflow's projection."""

    __tablename__ = "pipelines"
    __table_args__ = (
        # `valid_status` names the words of the column, in the migration alone.
        UniqueConstraint("user_id", "id"),
        _set_null_foreign_key("clip_id", "campaign_clips"),
        Index("pipelines_newest", "user_id", text("created_at desc"), text("id desc")),
        Index("pipelines_of_clip", "clip_id", postgresql_where=text("clip_id is not null")),
        Index("pipelines_to_check", "check_at", postgresql_where=text("status = 'running'")),
    )

    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    clip_id: UUID | None = None
    name: str = Field(default="", sa_type=Text)
    status: PipelineStatus = Field(default=PipelineStatus.RUNNING, sa_type=Text)
    # Not jsonb, which forgets the order of the keys.
    steps: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False, server_default=text("'{}'")))
    """As the caller wrote them, in that order."""
    approvals: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'"))
    )
    budget_cents: int | None = Field(default=None, sa_type=BigInteger)
    reuse: bool = True
    rerun_of: UUID | None = None
    """The pipeline that it changes."""
    estimated_cost_cents: int = Field(default=0, sa_type=BigInteger)
    metadata_: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column("metadata", JSONB, nullable=False, server_default=EMPTY_OBJECT)
    )
    webhook_url: str | None = Field(default=None, sa_type=Text)
    request_fingerprint: bytes | None = Field(default=None, sa_type=LargeBinary)
    created_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    completed_at: datetime | None = Field(default=None, sa_column=_timestamp())
    check_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    """When somebody has to see to it that its workflow runs."""
    ended_by: str | None = Field(default=None, sa_type=Text)
    """The run that ended it last, by its id at Temporal. It stays when it is retried."""


class PipelineStepRow(SQLModel, table=True):
    """One step of a pipeline, and the job that stands for it."""

    __tablename__ = "pipeline_steps"
    __table_args__ = (
        # `valid_step_status` names the words of the column, in the migration alone.
        ForeignKeyConstraint(["user_id", "pipeline_id"], ["pipelines.user_id", "pipelines.id"], ondelete="CASCADE"),
        Index("pipeline_steps_of_pipeline", "pipeline_id"),
        Index("pipeline_steps_of_job", "job_id"),
    )

    user_id: UUID = Field(primary_key=True)
    pipeline_id: UUID = Field(primary_key=True)
    id: str = Field(sa_type=Text, primary_key=True)
    position: int
    status: StepStatus = Field(default=StepStatus.WAITING, sa_type=Text)
    """Of one that runs, its job knows more."""
    needs: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'"))
    )
    job_id: UUID
    """Of one that is reused, the earlier job; else a job of its own, which is made with the pipeline."""
    note: str | None = Field(default=None, sa_type=Text)
    """What was said with the approval or the rejection."""


class GenerationJob(SQLModel, table=True):
    """One generation. While its workflow lives, this row is the workflow's projection; afterwards it is the archive."""

    __tablename__ = "generation_jobs"
    __table_args__ = (
        # `valid_origin`, `valid_job_type` and `valid_status` name the words of these columns, in the migration alone.
        CheckConstraint("priority in ('low', 'normal', 'high')", name="valid_priority"),
        CheckConstraint("slot_place in ('front', 'line', 'back')", name="valid_slot_place"),
        CheckConstraint("progress_percent >= 0 and progress_percent <= 100", name="valid_progress"),
        CheckConstraint(
            "estimated_cost_cents >= 0 and actual_cost_cents >= 0 and charged_cents >= 0",
            name="costs_are_not_negative",
        ),
        UniqueConstraint("user_id", "id"),
        _set_null_foreign_key("campaign_id", "campaigns"),
        _set_null_foreign_key("clip_id", "campaign_clips"),
        Index(
            "generation_jobs_external_id",
            "user_id",
            "external_id",
            unique=True,
            postgresql_where=text("external_id is not null"),
        ),
        Index("generation_jobs_by_external_id", "external_id", postgresql_where=text("external_id is not null")),
        Index("idx_generation_jobs_user_id", "user_id", text("created_at desc"), text("id desc")),
        Index(
            "idx_generation_jobs_status",
            "status",
            "created_at",
            postgresql_where=text("status in ('pending', 'submitted', 'in_progress')"),
        ),
        Index(
            "generation_jobs_active_of_user",
            "user_id",
            postgresql_where=text("status in ('pending', 'submitted', 'in_progress')"),
        ),
        Index("idx_generation_jobs_fal_request_id", "fal_request_id"),
        Index("idx_generation_jobs_campaign_clip", "campaign_id", "clip_id"),
        Index("generation_jobs_of_clip", "clip_id", postgresql_where=text("clip_id is not null")),
        Index(
            "generation_jobs_ended",
            "completed_at",
            postgresql_include=["status", "provider", "model", "error_code", "created_at"],
            postgresql_where=text("completed_at is not null"),
        ),
        Index("generation_jobs_created", "created_at"),
        Index("generation_jobs_of_batch", "batch_id", "batch_position", postgresql_where=text("batch_id is not null")),
        Index("generation_jobs_of_pipeline", "pipeline_id", postgresql_where=text("pipeline_id is not null")),
        Index("generation_jobs_by_content", "user_id", "content_key", postgresql_where=text("content_key is not null")),
        Index(
            "generation_jobs_in_slots",
            "provider",
            "endpoint",
            "user_id",
            postgresql_where=text(
                "status in ('pending', 'submitted', 'in_progress') and (attempts > 0 or slot_granted_at is not null)"
            ),
        ),
        Index(
            "generation_jobs_beside",
            "beside_provider",
            "beside_endpoint",
            "user_id",
            postgresql_where=text("status in ('pending', 'submitted', 'in_progress') and beside_provider is not null"),
        ),
        Index(
            "generation_jobs_waiting_for_slots",
            "provider",
            "user_id",
            "endpoint",
            "priority",
            "created_at",
            "id",
            postgresql_where=text("waiting_for = 'slot'"),
        ),
        Index(
            "generation_jobs_action_required",
            "completed_at",
            postgresql_where=text(
                "error_code in"
                " ('unknown_outcome', 'provider_unauthorized', 'archive_failed', 'internal_error', 'run_stopped')"
            ),
        ),
    )

    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    campaign_id: UUID | None = None
    clip_id: UUID | None = None
    external_id: str | None = Field(default=None, sa_type=Text)
    """The caller's own name for it, unique among the user's."""
    origin: Origin = Field(default=Origin.REELAY, sa_type=Text)
    job_type: JobType = Field(sa_type=Text)
    provider: ProviderName = Field(sa_type=Text)
    model: str = Field(sa_type=Text)
    endpoint: str = Field(sa_type=Text)
    input_params: dict[str, Any] = Field(sa_column=_jsonb())
    """The caller's words."""
    arguments: dict[str, Any] = Field(sa_column=_jsonb())
    """The provider's words, frozen at creation."""
    timing: dict[str, Any] = Field(sa_column=_jsonb())
    input_references: list[str] = Field(
        default_factory=list, sa_column=Column(JSONB, nullable=False, server_default=text("'[]'::jsonb"))
    )
    """Places of the arguments that name a file of the user's own."""
    tariff: dict[str, Any] | None = Field(default=None, sa_column=_jsonb(empty_default=False))
    """What the provider's unit costs, frozen at creation; None where its units do not tell the price."""
    outputs: list[str] | None = Field(default=None, sa_column=_jsonb(empty_default=False))
    """Where the answer holds files, by the endpoint's document; None: wherever one is found."""
    uncertain_submit_policy: UncertainSubmitPolicy = Field(default=UncertainSubmitPolicy.FAIL, sa_type=Text)
    request_fingerprint: bytes | None = Field(default=None, sa_type=LargeBinary)
    """SHA-256 of the parsed creating request, when it came with an Idempotency-Key."""
    # Of any provider: these three columns have the names that the users' own tables give them.
    provider_request_id: str | None = Field(default=None, sa_column=Column("fal_request_id", Text))
    provider_status_url: str | None = Field(default=None, sa_column=Column("fal_status_url", Text))
    provider_response_url: str | None = Field(default=None, sa_column=Column("fal_response_url", Text))
    status: Status = Field(default=Status.PENDING, sa_type=Text)
    stage: Stage = Field(default=Stage.RESERVING, sa_type=Text)
    stage_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    attempts: int = 0
    """At its present model."""
    candidates: list[dict[str, Any]] | None = Field(default=None, sa_column=_jsonb(empty_default=False))
    """Of a job with fallbacks: each model with its input, the first one as it was asked for."""
    candidate: int = 0
    """Which of them it is now; its columns are the row's own."""
    attempts_before: int = 0
    """At the models that it fell back from."""
    hedge_after_seconds: int | None = None
    """How long after the first model's submission the next one begins beside it; None: it does not."""
    hedged_at: datetime | None = Field(default=None, sa_column=_timestamp())
    """When that has begun."""
    beside_provider: ProviderName | None = Field(default=None, sa_type=Text)
    """While two models are at work: who is asked by the one that the row does not follow. It holds a slot there."""
    beside_endpoint: str | None = Field(default=None, sa_type=Text)
    waiting_for: WaitingFor | None = Field(default=None, sa_type=Text)
    queue_position: int | None = None
    """How many are ahead of it in the provider's queue."""
    batch_id: UUID | None = None
    batch_position: int | None = None
    """In the batch, from 0."""
    pipeline_id: UUID | None = None
    is_planned: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    """A step of a pipeline that has not begun: its pipeline alone starts it."""
    content_key: str | None = Field(default=None, sa_type=Text)
    """Of a pipeline's step: the hash of its endpoint, its arguments and the content of its input files."""
    priority: Priority = Field(default=Priority.NORMAL, sa_type=Text)
    slot_granted_at: datetime | None = Field(default=None, sa_column=_timestamp())
    """Since when it has a slot at its provider without having asked for one first; moved on when it is called again."""
    slot_withheld: bool = False
    """An operator holds it back: it waits, and is given no slot."""
    slot_place: Place = Field(default=Place.LINE, sa_column=Column(Text, nullable=False, server_default="line"))
    """Where an operator has it wait."""
    progress_percent: int = 0
    progress_message: str = Field(default="", sa_type=Text)
    result_url: str | None = Field(default=None, sa_type=Text)
    provider_url: str | None = Field(default=None, sa_type=Text)
    result_data: dict[str, Any] | None = Field(default=None, sa_column=_jsonb(empty_default=False))
    error_code: str | None = Field(default=None, sa_type=Text)
    error_message: str | None = Field(default=None, sa_type=Text)
    estimated_cost_cents: int = Field(default=0, sa_type=BigInteger)
    actual_cost_cents: int | None = Field(default=None, sa_type=BigInteger)
    charged_cents: int = Field(default=0, sa_type=BigInteger)
    credits_deducted: bool = False
    """Whether anything was charged."""
    metadata_: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column("metadata", JSONB, nullable=False, server_default=EMPTY_OBJECT)
    )
    created_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    submitted_at: datetime | None = Field(default=None, sa_column=_timestamp())
    completed_at: datetime | None = Field(default=None, sa_column=_timestamp())
    webhook_url: str | None = Field(default=None, sa_type=Text)
    """Where the caller wants to be told of this job, besides the endpoints."""
    webhook_format: WebhookFormat | None = Field(default=None, sa_type=Text)
    """In whose words; None: ours."""
    budget_key_id: UUID | None = None
    """The API key that made it, where that has a budget, against which it counts."""
    outcome_delivery_id: UUID | None = None
    """The push that brought the last word of a provider that cannot be asked. The first one stays."""

    @property
    def may_leave_result(self) -> bool:
        """Whether its provider may have a usable result, though it has failed or was canceled."""
        return self.status == Status.CANCELED or self.error_code in MAY_LEAVE_RESULT

    @property
    def all_attempts(self) -> int:
        """Also the number of the newest one."""
        return self.attempts_before + self.attempts

    @property
    def sent_attempts(self) -> int:
        """With that of a model beside the one that the row follows, which has the next number."""
        return max(self.all_attempts, 2) if self.hedged_at else self.all_attempts


class DeletedJob(SQLModel, table=True):
    """What is kept of a deleted generation, without content: its place in the books, and that its id was used."""

    __tablename__ = "deleted_jobs"
    __table_args__ = (Index("deleted_jobs_of_user", "user_id", "created_at"),)

    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    job_type: JobType = Field(sa_type=Text)
    provider: ProviderName = Field(sa_type=Text)
    model: str = Field(sa_type=Text)
    status: Status = Field(sa_type=Text)
    created_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    completed_at: datetime | None = Field(default=None, sa_column=_timestamp())
    actual_cost_cents: int | None = Field(default=None, sa_type=BigInteger)
    charged_cents: int = Field(sa_type=BigInteger)
    deleted_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    request_ids: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'"))
    )
    """What it was called at its providers, whose bill may come later."""


class DepartedUser(SQLModel, table=True):
    """A deleted user, by whose hash what was issued to them before is told from what they are issued when they return.

    Kept for longer than anything that is issued is good.
    """

    __tablename__ = "departed_users"

    user_hash: bytes = Field(primary_key=True)
    """SHA-256 of the id's text."""
    departed_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))


class ErasureRow(SQLModel, table=True):
    """What is still to be deleted in the archive and at a provider, of rows that are deleted."""

    __tablename__ = "erasures"
    __table_args__ = (Index("erasures_due", "next_try_at"),)

    id: int = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    prefix: str | None = Field(default=None, sa_type=Text)
    """Of keys in the archive; None when they are deleted."""
    provider: str | None = Field(default=None, sa_type=Text)
    request_ids: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'"))
    )
    requested_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    next_try_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    tries: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    trouble: str | None = Field(default=None, sa_type=Text)
    """Why the last try failed."""


class QuotaRow(SQLModel, table=True):
    """What a user has left of a quota. Unlogged: written often; after a crash of Postgres all are full."""

    __tablename__ = "quotas"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    user_id: UUID = Field(primary_key=True, foreign_key="users.id", ondelete="CASCADE")
    name: str = Field(sa_type=Text, primary_key=True)
    left_over: float
    granted: int
    """What the last taker got."""
    counted_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))


class AttemptState(StrEnum):
    SENDING = "sending"
    """Written before the POST. Found on a retry it means: the POST may have been sent."""
    ACCEPTED = "accepted"
    REFUSED = "refused"
    """Certainly not accepted."""
    UNCERTAIN = "uncertain"
    INHERITED = "inherited"
    """Accepted for an earlier job that failed. Where its result is there, nothing is sent for this one."""
    EXPIRED = "expired"
    """Its time was over before it was sent. It is not sent any more."""


class SubmissionAttempt(SQLModel, table=True):
    """One paid POST, written down before it is sent."""

    __tablename__ = "submission_attempts"
    __table_args__ = (
        _job_foreign_key(),
        Index("submission_attempts_by_request", "provider", "request_id", unique=True),
        Index("submission_attempts_open", "sent_at", postgresql_where=text("state in ('sending', 'uncertain')")),
        Index(
            "submission_attempts_uncertain",
            "sent_at",
            postgresql_include=["state"],
            postgresql_where=text("answer is not null"),
        ),
        Index(
            "submission_attempts_rescued",
            "ended_by_poll_at",
            postgresql_include=["provider"],
            postgresql_where=text("ended_by_poll_at is not null"),
        ),
    )

    job_id: UUID = Field(primary_key=True)
    number: int = Field(primary_key=True)
    user_id: UUID
    provider: ProviderName = Field(sa_type=Text)
    state: AttemptState = Field(default=AttemptState.SENDING, sa_type=Text)
    arguments: dict[str, Any] | None = Field(default=None, sa_column=_jsonb(empty_default=False))
    """What was sent, where it is not the generation's arguments: addresses in place of references."""
    request_id: str | None = Field(default=None, sa_type=Text)
    status_url: str | None = Field(default=None, sa_type=Text)
    response_url: str | None = Field(default=None, sa_type=Text)
    cancel_url: str | None = Field(default=None, sa_type=Text)
    webhook_expected: bool = False
    queue_position: int | None = None
    answer: str | None = Field(default=None, sa_type=Text)
    """What came back, in one sentence, when it was not an acceptance."""
    sent_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    answered_at: datetime | None = Field(default=None, sa_column=_timestamp())
    ended_by_poll_at: datetime | None = Field(default=None, sa_column=_timestamp())
    """When a poll found the end of a request whose webhook was expected, and had not come."""


class InputAddress(SQLModel, table=True):
    """Where a provider reads a file of the user's that is an input of a job."""

    __tablename__ = "input_addresses"
    __table_args__ = (_job_foreign_key(),)

    job_id: UUID = Field(primary_key=True)
    place: str = Field(sa_type=Text, primary_key=True)
    user_id: UUID
    address: str = Field(sa_type=Text)
    expires_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))


class UndeliveredSubmission(SQLModel, table=True):
    """A submission by a door for existing clients whose answer may not have reached its client."""

    __tablename__ = "undelivered_submissions"
    __table_args__ = (Index("undelivered_submissions_alike", "user_id", "fingerprint"),)

    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE", primary_key=True)
    job_id: UUID = Field(primary_key=True)
    """Of the job that it became, or would have become."""
    fingerprint: bytes = Field(sa_type=LargeBinary)
    """Of its key, endpoint and content."""
    until: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    """Until when a submission alike is the same job."""


class JobEvent(SQLModel, table=True):
    """One line of a generation's timeline."""

    __tablename__ = "job_events"
    __table_args__ = (
        _job_foreign_key(),
        Index("job_events_of_job", "job_id", "id"),
        Index("job_events_of_user", "user_id", "id"),
        Index("job_events_at", "at"),
    )

    id: int = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    user_id: UUID
    job_id: UUID
    at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    status: Status = Field(sa_type=Text)
    stage: Stage = Field(sa_type=Text)
    detail: str = Field(sa_type=Text)
    data: dict[str, Any] = Field(default_factory=dict, sa_column=_jsonb())


class EndpointRow(SQLModel, table=True):
    """What a provider publishes of an endpoint that the catalogue does not know, as it was last fetched."""

    __tablename__ = "provider_endpoints"

    id: str = Field(sa_type=Text, primary_key=True)
    entry: dict[str, Any] = Field(sa_column=_jsonb())
    """The provider's own, with the endpoint's OpenAPI document."""
    etag: str | None = Field(default=None, sa_type=Text)
    price: dict[str, Any] | None = Field(default=None, sa_column=_jsonb(empty_default=False))
    """Its entry in the provider's price list; None where it has none."""
    checked_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    """When the provider last said that this is what it publishes."""


class MediaFileRow(SQLModel, table=True):
    """One archived artefact of a generation; the table's name is the user documents' own."""

    __tablename__ = "video_files"
    __table_args__ = (
        _job_foreign_key(),
        UniqueConstraint("job_id", "name"),
        Index("video_files_created", "created_at"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID = Field(index=True)
    job_id: UUID
    name: str = Field(sa_type=Text)
    position: int = 0
    file_path: str = Field(sa_type=Text)
    """Key in the archive."""
    file_url: str | None = Field(default=None, sa_type=Text)
    """Where it lies if it is not in our archive: it came by an import."""
    format: str = Field(sa_type=Text)
    """Content type."""
    file_size: int = Field(sa_type=BigInteger)
    sha256: str = Field(sa_type=Text)
    duration_seconds: float | None = None
    width: int | None = None
    height: int | None = None
    aspect_ratio: str | None = Field(default=None, sa_type=Text)
    poster_name: str | None = Field(default=None, sa_type=Text)
    poster_path: str | None = Field(default=None, sa_type=Text)
    file_name: str | None = Field(default=None, sa_type=Text)
    """The provider's name for it."""
    flagged: bool = False
    """By the provider's safety check."""
    provenance: dict[str, Any] | None = Field(default=None, sa_column=_jsonb(empty_default=False))
    """What checking its Content Credentials found; None where nobody did."""
    metadata_: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column("metadata", JSONB, nullable=False, server_default=EMPTY_OBJECT)
    )
    """What the provider says of it."""
    created_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))


class AssetState(StrEnum):
    PENDING = "pending"
    """Its bytes are still to come, or to be checked."""
    READY = "ready"
    DELETED = "deleted"
    """Its objects are still to be deleted from the archive."""


class Asset(SQLModel, table=True):
    """A file that a user brought, from the moment that its upload is announced."""

    __tablename__ = "assets"
    __table_args__ = (
        CheckConstraint("state in ('pending', 'ready', 'deleted')", name="valid_state"),
        CheckConstraint("state <> 'ready' or (name is not null and file_path is not null)", name="ready_has_a_file"),
        CheckConstraint("size_bytes >= 0", name="size_is_not_negative"),
        Index("assets_of_user", "user_id", text("created_at desc"), text("id desc")),
        Index("assets_not_ready", "created_at", postgresql_where=text("state <> 'ready'")),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    state: AssetState = Field(default=AssetState.PENDING, sa_type=Text)
    file_name: str | None = Field(default=None, sa_type=Text)
    """The user's own name for it: a label, never part of a path."""
    content_type: str = Field(sa_type=Text)
    """By content once it is ready, until then as announced. Likewise the size."""
    size_bytes: int = Field(sa_type=BigInteger)
    name: str | None = Field(default=None, sa_type=Text)
    """Last part of its address; None until it is ready, like the key in the archive."""
    file_path: str | None = Field(default=None, sa_type=Text)
    sha256: str = Field(default="", sa_type=Text)
    duration_seconds: float | None = None
    width: int | None = None
    height: int | None = None
    poster_name: str | None = Field(default=None, sa_type=Text)
    poster_path: str | None = Field(default=None, sa_type=Text)
    provenance: dict[str, Any] | None = Field(default=None, sa_column=_jsonb(empty_default=False))
    """What checking its Content Credentials found; None where nobody did."""
    created_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))


class WebhookDelivery(SQLModel, table=True):
    """One inbound webhook request, with what we made of it."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index(
            "webhook_deliveries_newest",
            text("received_at desc"),
            postgresql_include=["provider", "verdict", "took_ms"],
        ),
        Index("webhook_deliveries_of_job", "job_id"),
        Index("webhook_deliveries_inbox", "next_try_at", postgresql_where=text("next_try_at is not null")),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    provider: ProviderName = Field(sa_type=Text)
    job_id: UUID | None = None
    attempt: int | None = None
    """The attempt that a verified webhook is about."""
    request_id: str | None = Field(default=None, sa_type=Text)
    verdict: str = Field(sa_type=Text)
    status_code: int
    detail: str = Field(default="", sa_type=Text)
    key_owner_id: UUID | None = None
    """The user whose API key it came with: then it is about one of this user's jobs."""
    verified: bool = False
    """Whether it was proved to come from the provider: only then may it be fed in again."""
    headers: dict[str, Any] = Field(default_factory=dict, sa_column=_jsonb())
    body: bytes = Field(sa_type=LargeBinary)
    received_at: datetime = Field(default_factory=lambda: datetime.now(UTC), sa_column=_timestamp(default_now=True))
    """When it came: the row is written later, and not always in that order."""
    took_ms: float = 0.0
    next_try_at: datetime | None = Field(default=None, sa_column=_timestamp())
    """While it lies in the inbox: its report has still to be handed to its workflow."""
    handed_over_at: datetime | None = Field(default=None, sa_column=_timestamp())
    """When it left the inbox; its verdict is since then what became of it."""


class WebhookEndpoint(SQLModel, table=True):
    """Where a user wants to be told of events."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        # `valid_status` and `valid_disabled_reason` name the words of these columns, in the migration alone.
        CheckConstraint("(status = 'disabled') = (disabled_reason is not null)", name="disabled_with_a_reason"),
        UniqueConstraint("user_id", "id"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    url: str = Field(sa_type=Text)
    events: list[EventType] | None = Field(default=None, sa_column=Column(ARRAY(Text)))
    """Which ones; None: all."""
    description: str = Field(default="", sa_type=Text)
    status: EndpointStatus = Field(default=EndpointStatus.UNVERIFIED, sa_type=Text)
    disabled_reason: DisabledReason | None = Field(default=None, sa_type=Text)
    disabled_at: datetime | None = Field(default=None, sa_column=_timestamp())
    secret: bytes = Field(sa_type=LargeBinary)
    """Encrypted: `reelay.outgoing.secrets`."""
    previous_secret: bytes | None = Field(default=None, sa_type=LargeBinary)
    previous_secret_until: datetime | None = Field(default=None, sa_column=_timestamp())
    """Until then the previous secret signs as well."""
    verified_at: datetime | None = Field(default=None, sa_column=_timestamp())
    """When it answered 2xx for the first time since its address was set."""
    failing_since: datetime | None = Field(default=None, sa_column=_timestamp())
    last_failed_at: datetime | None = Field(default=None, sa_column=_timestamp())
    created_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))


class OutgoingSequence(SQLModel, table=True):
    """The number of a user's newest event. Its lock makes the user's events visible in the order of their numbers."""

    __tablename__ = "outgoing_sequences"

    user_id: UUID = Field(primary_key=True, foreign_key="users.id", ondelete="CASCADE")
    last: int = Field(sa_type=BigInteger)


class OutgoingEvent(SQLModel, table=True):
    """Something that a user wants to be told, written by the database in the transaction that makes it true."""

    __tablename__ = "outgoing_events"
    __table_args__ = (
        UniqueConstraint("user_id", "sequence"),
        UniqueConstraint("user_id", "id"),
        _job_foreign_key(),
        ForeignKeyConstraint(["user_id", "batch_id"], ["batches.user_id", "batches.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["user_id", "pipeline_id"], ["pipelines.user_id", "pipelines.id"], ondelete="CASCADE"),
        Index("outgoing_events_of_job", "job_id"),
        Index("outgoing_events_of_batch", "batch_id", postgresql_where=text("batch_id is not null")),
        Index("outgoing_events_of_pipeline", "pipeline_id", postgresql_where=text("pipeline_id is not null")),
        Index("outgoing_events_by_time", "at"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    """The `webhook-id`."""
    user_id: UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    sequence: int = Field(sa_type=BigInteger)
    """Growing by one for each event of the user."""
    type: EventType = Field(sa_type=Text)
    job_id: UUID | None = None
    at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    batch_id: UUID | None = None
    pipeline_id: UUID | None = None


class OutgoingDelivery(SQLModel, table=True):
    """One event for one receiver."""

    __tablename__ = "outgoing_deliveries"
    __table_args__ = (
        # `valid_state` names the words of the column, in the migration alone.
        UniqueConstraint("user_id", "event_id", "target_id"),
        ForeignKeyConstraint(
            ["user_id", "event_id"], ["outgoing_events.user_id", "outgoing_events.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["user_id", "endpoint_id"], ["webhook_endpoints.user_id", "webhook_endpoints.id"], ondelete="CASCADE"
        ),
        Index("outgoing_deliveries_due", "target_id", "next_try_at", postgresql_where=text("state = 'pending'")),
        Index("outgoing_deliveries_to_wake", "wake_at", postgresql_where=text("wake_at is not null")),
        Index("outgoing_deliveries_by_target", "target_id", "wake_at", postgresql_where=text("wake_at is not null")),
        Index("outgoing_deliveries_of_endpoint", "endpoint_id", text("created_at desc"), text("id desc")),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: UUID
    event_id: UUID
    endpoint_id: UUID | None = None
    """None: it goes to the job's own address."""
    target_id: UUID
    """What is sent to one target is sent one after the other: the endpoint's id, or a hash of user and address."""
    state: DeliveryState = Field(default=DeliveryState.PENDING, sa_type=Text)
    tries: int = 0
    """Since it was asked for, the first time or again."""
    next_try_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    wake_at: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True), nullable=True, server_default=NOW)
    )
    """From when on somebody has to see to it that the target's due deliveries are sent; None: it has ended, or waits
    until its endpoint is enabled."""
    attempts: list[dict[str, Any]] = Field(
        default_factory=list, sa_column=Column(JSONB, nullable=False, server_default=text("'[]'::jsonb"))
    )
    """What each attempt came to, the oldest first."""
    created_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    ended_at: datetime | None = Field(default=None, sa_column=_timestamp())


class ProviderAccount(SQLModel, table=True):
    """An account at a provider that takes no submissions, or did not once."""

    __tablename__ = "provider_accounts"

    provider: ProviderName = Field(sa_type=Text, primary_key=True)
    account: str = Field(sa_type=Text, primary_key=True)
    """`Provider.account`: a fingerprint of the key, never the key."""
    parked_at: datetime | None = Field(default=None, sa_column=_timestamp())
    """While it is set, submissions wait. One at a time is sent to see whether it is over."""
    reason: str = Field(sa_type=Text)
    probe_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    """From when on the next probe may be sent."""
    probes: int = 0
    """Sent since it was parked."""
    probed_at: datetime | None = Field(default=None, sa_column=_timestamp())


class MediaLinkKey(SQLModel, table=True):
    """One row: by it the function `media_link` makes the links of those who read tables."""

    __tablename__ = "media_link_key"
    __table_args__ = (CheckConstraint("only_row", name="one_row"),)

    only_row: bool = Field(default=True, primary_key=True)
    origin: str = Field(sa_type=Text)
    inner_block: bytes = Field(sa_type=LargeBinary)
    outer_block: bytes = Field(sa_type=LargeBinary)


class CreditAccount(SQLModel, table=True):
    """A user's credits in cents, made with the user: the sums of the user's entries, kept for the hold to check."""

    __tablename__ = "credit_accounts"
    __table_args__ = (CheckConstraint("available_cents >= 0 and held_cents >= 0", name="nothing_is_overdrawn"),)

    user_id: UUID = Field(primary_key=True, foreign_key="users.id", ondelete="CASCADE")
    available_cents: int = Field(default=0, sa_type=BigInteger)
    held_cents: int = Field(default=0, sa_type=BigInteger)
    month: date | None = Field(default=None, sa_type=Date)
    """The first day of the month (UTC) of the last hold."""
    month_cents: int = Field(default=0, sa_type=BigInteger)
    """What the jobs cost that were held for in that month: what ended at what was charged, the rest at its hold."""


class Phase(StrEnum):
    TOP_UP = "top_up"
    ADJUSTMENT = "adjustment"
    """An operator's correction, with its reason."""
    HOLD = "hold"
    SETTLE = "settle"
    """The end of a hold: the cost is charged, the rest is available again."""
    RELEASE = "release"
    """The other end of a hold: all of it is available again."""


class CreditEntry(SQLModel, table=True):
    """One transaction between four accounts, never changed: what leaves one arrives in another, in cents."""

    __tablename__ = "credit_entries"
    __table_args__ = (
        CheckConstraint("available_cents + held_cents + charged_cents + funding_cents = 0", name="entry_balances"),
        # `entry_fits_its_phase`, one line per phase, is in the migration alone.
        UniqueConstraint("job_id", "phase"),
        UniqueConstraint("user_id", "reference"),
        Index(
            "credit_entries_one_end_of_a_hold",
            "job_id",
            unique=True,
            postgresql_where=text("phase in ('settle', 'release')"),
        ),
        Index("credit_entries_of_user", "user_id", "id"),
        Index("credit_entries_sums", "user_id", "id", postgresql_include=["available_cents", "held_cents"]),
    )

    id: int = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    user_id: UUID = Field(foreign_key="credit_accounts.user_id", ondelete="CASCADE")
    job_id: UUID | None = None
    phase: Phase = Field(sa_type=Text)
    available_cents: int = Field(default=0, sa_type=BigInteger)
    held_cents: int = Field(default=0, sa_type=BigInteger)
    charged_cents: int = Field(default=0, sa_type=BigInteger)
    """What the user paid us for generations."""
    funding_cents: int = Field(default=0, sa_type=BigInteger)
    """Where credits come from: the negative of all that was put in."""
    reference: str | None = Field(default=None, sa_type=Text)
    """The operator's or the payment's own name for it: the same one twice is booked once."""
    at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))


class LedgerCheckpoint(SQLModel, table=True):
    """What an account's entries add up to, as far as an audit has counted them."""

    __tablename__ = "ledger_checkpoints"

    user_id: UUID = Field(primary_key=True, foreign_key="credit_accounts.user_id", ondelete="CASCADE")
    through: int = Field(sa_type=BigInteger)
    """The last entry that is counted."""
    entries: int = Field(sa_type=BigInteger)
    available_cents: int = Field(sa_type=BigInteger)
    held_cents: int = Field(sa_type=BigInteger)
    recounted_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))
    """When they were last counted from the first one on."""


class LedgerAudit(SQLModel, table=True):
    """One row: what the last audit found."""

    __tablename__ = "ledger_audit"
    __table_args__ = (CheckConstraint("only_row", name="one_row"),)

    only_row: bool = Field(default=True, primary_key=True)
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    drift: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))


class BillingEvent(SQLModel, table=True):
    """What a provider has billed for a request, as its bill says."""

    __tablename__ = "billing_events"
    __table_args__ = (
        Index("billing_events_in_time", "billed_at"),
        Index(
            "billing_events_of_job", "job_id", "billed_at", "request_id", postgresql_where=text("job_id is not null")
        ),
        Index("billing_events_unknown", "billed_at", postgresql_where=text("job_id is null")),
    )

    provider: ProviderName = Field(sa_type=Text, primary_key=True)
    request_id: str = Field(sa_type=Text, primary_key=True)
    billed_at: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    endpoint: str = Field(sa_type=Text)
    units: Decimal | None = Field(default=None, sa_type=Numeric)
    nano_usd: Decimal = Field(sa_type=Numeric)
    """Billionths of a dollar."""
    job_id: UUID | None = None
    """Whose request it was. Not a foreign key: it stays when the job is deleted. None: nobody's that we know."""
    model: str | None = Field(default=None, sa_type=Text)
    """Of the job, where that is the endpoint's."""
    seen_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))


class BillReconciliation(SQLModel, table=True):
    """How far a provider's bill has been read."""

    __tablename__ = "bill_reconciliations"

    provider: ProviderName = Field(sa_type=Text, primary_key=True)
    complete_since: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    """All that was billed from then on until `reconciled_at` is in `billing_events`."""
    reconciled_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))


class AuditEntry(SQLModel, table=True):
    """One act of an operator, never changed: docs/operate.md."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("audit_log_newest", text("at desc"), text("id desc")),)

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    at: datetime = Field(
        default=None,
        # Not the transaction's time, which all of its entries would have.
        sa_column=Column(DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    )
    actor_id: UUID | None = None
    """The user who acted; None at the command line."""
    actor: str = Field(sa_type=Text)
    """That user's name, or `COMMAND_LINE`."""
    credential: str = Field(sa_type=Text)
    """The first characters of the API key, `token`, or at the command line the operating system's user."""
    action: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    """To what it was done: a user's name, a key's prefix, a provider, the id of a job or a delivery."""
    user_id: UUID | None = None
    """Whose it is, where it is a user's."""
    details: dict[str, Any] = Field(default_factory=dict, sa_column=_jsonb())


class SlotLimit(SQLModel, table=True):
    """How many jobs may be at a provider's account at once, or, of an endpoint, there."""

    __tablename__ = "slot_limits"
    __table_args__ = (CheckConstraint("slots >= 0 and slots_per_user >= 0", name="limits_are_not_negative"),)

    provider: ProviderName = Field(sa_type=Text, primary_key=True)
    endpoint: str = Field(sa_type=Text, primary_key=True)
    """Empty for the account."""
    slots: int | None = None
    is_learned: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    """The account's limit is learned: `learned_limits`."""
    slots_per_user: int | None = None
    changed_at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))


class LearnedLimit(SQLModel, table=True):
    """What a provider's limit was learned to be; the newest row is what holds."""

    __tablename__ = "learned_limits"
    __table_args__ = (Index("learned_limits_of_provider", "provider", "id"),)

    id: int = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    provider: ProviderName = Field(sa_type=Text)
    slots: int
    lesson: Lesson = Field(sa_type=Text)
    at: datetime = Field(default=None, sa_column=_timestamp(default_now=True))


class SlotQueue(SQLModel, table=True):
    """Where a provider's turns have come to: `reelay/domain/turns.py`."""

    __tablename__ = "slot_queues"

    provider: ProviderName = Field(sa_type=Text, primary_key=True)
    last_start: float = Field(default=0.0, sa_column=Column(Double, nullable=False, server_default="0"))


class SlotShare(SQLModel, table=True):
    """Where a user's next turn at a provider begins."""

    __tablename__ = "slot_shares"

    provider: ProviderName = Field(sa_type=Text, primary_key=True)
    user_id: UUID = Field(primary_key=True, foreign_key="users.id", ondelete="CASCADE")
    next_start: float = Field(sa_type=Double)

"""Pipelines as clients ask for them and see them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Discriminator, Field, JsonValue, Tag, model_validator

from api.generations.progress import error_message
from api.generations.schemas import FileView, WebhookUrl
from api.http.links import Links
from api.http.pagination import Page
from api.http.wire import Metadata, Text, Wire
from reelay.db.pipelines import StepOfPipeline
from reelay.db.tables import GenerationJob, MediaFileRow, PipelineRow
from reelay.domain.generation import Priority, ProviderName, Stage, Status, WaitingFor
from reelay.domain.language import Language
from reelay.domain.messages import Sentence, in_language
from reelay.domain.money import MOST_CENTS
from reelay.domain.pipeline import MOST_STEPS, STEP_ID, PipelineStatus, StepStatus
from reelay.domain.progress import progress_sentence
from reelay.media.mix import Ending

MIX = "mix"
StepId = Annotated[str, Field(pattern=f"^{STEP_ID}$")]
Source = Annotated[Text, Field(min_length=1, max_length=300)]


class StepKind(StrEnum):
    """What a step makes, by the default model of that kind."""

    VIDEO = "video"
    FIRST_FRAME = "first-frame"
    VOICE = "voice"
    AMBIENT = "ambient"
    TRANSCRIBE = "transcribe"


class GenerationStep(Wire):
    """A job: a kind or a model, and its input, in which `step:ID` stands for the file of another step."""

    model_config = ConfigDict(extra="forbid")

    kind: StepKind | None = None
    """What it makes. Either this or `model`, or both."""
    model: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    """A model's name, see `GET /api/models`; without a `kind` also the id of any endpoint of fal."""
    input: dict[str, JsonValue] = Field(default_factory=dict)
    """The model's inputs, as for a job."""
    priority: Priority = Priority.NORMAL
    """Which of the jobs that wait for their turn at a provider goes first."""
    max_cost_cents: Annotated[int, Field(ge=0, le=MOST_CENTS)] | None = None
    """The most that the step may cost, in US cents. A plan in which its price is higher is refused; where nobody knows
    the price in advance, this is held for it."""

    @model_validator(mode="after")
    def _names_what_it_makes(self) -> Self:
        if self.kind is None and self.model is None:
            raise ValueError(Sentence("field_step_without_kind"))
        return self


class TrackRequest(Wire):
    """One sound of a film."""

    model_config = ConfigDict(extra="forbid")

    source: Source
    """`step:ID`, `job:ID/NAME` or `asset:ID`: a sound, or a video for its sound."""
    start_seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 0.0
    """When it begins."""
    gain_db: Annotated[float, Field(ge=-60, le=30, allow_inf_nan=False)] = 0.0
    """How much louder it is, in decibels; below 0, lower."""
    duck: bool = False
    """Whether it is lowered while tracks sound that are not."""
    fade_in_seconds: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] = 0.0
    """How long it takes to come in."""
    fade_out_seconds: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] = 0.0
    """How long it takes to go out."""


class MixStep(Wire):
    """A film: videos one after the other, with sounds and captions."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["mix"]
    """`mix`."""
    video: Source | Annotated[list[Source], Field(min_length=1, max_length=MOST_STEPS)]
    """`step:ID`, `job:ID/NAME` or `asset:ID`; several follow each other, in the size and rate of the first."""
    tracks: Annotated[list[TrackRequest], Field(max_length=20)] = Field(default_factory=list)
    """Its sounds, at a common loudness. Without any, the videos keep their own."""
    captions: Source | None = None
    """A step or a job that transcribed or spoke: its words become a track of captions, and `.srt` and `.vtt` files."""
    ending: Ending = Ending.CUT
    """What becomes of sound that is longer than the pictures."""

    @property
    def videos(self) -> list[str]:
        return [self.video] if isinstance(self.video, str) else self.video


def _which(step: Any) -> str:
    kind = step.get("kind") if isinstance(step, Mapping) else getattr(step, "kind", None)
    return MIX if kind == MIX else "generation"


StepRequest = Annotated[
    Annotated[GenerationStep, Tag("generation")] | Annotated[MixStep, Tag(MIX)], Discriminator(_which)
]
Steps = Annotated[dict[StepId, StepRequest], Field(min_length=1, max_length=MOST_STEPS)]


class PipelineRequest(Wire):
    """A plan of up to 50 steps, validated and priced as a whole before anything is bought."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "steps": {
                        "frame": {"kind": "first-frame", "input": {"prompt": "A harbour at dawn"}},
                        "video": {"kind": "video", "input": {"prompt": "Boats leave", "firstFrameUrl": "step:frame"}},
                    },
                    "approvals": ["frame"],
                }
            ]
        },
    )

    name: Annotated[Text, Field(max_length=200)] = ""
    """A name to know it by."""
    steps: Steps
    """By an id of your own. A step begins when the steps are done that its input names by `step:ID`."""
    budget_cents: Annotated[int, Field(ge=0, le=MOST_CENTS)] | None = None
    """The most that it may cost, in US cents. It also confirms a price above the interactive budget."""
    approvals: Annotated[list[StepId], Field(max_length=MOST_STEPS)] = Field(default_factory=list)
    """Steps whose result has to be approved before what needs it begins."""
    clip_id: UUID | None = None
    """The clip that receives what its steps make."""
    webhook_url: WebhookUrl | None = None
    """An https address that is told of this pipeline's events, besides your endpoints."""
    reuse: bool = True
    """Whether an earlier job of yours with the same model, arguments and input files stands for a step, at no cost."""
    metadata: Metadata = Field(default_factory=dict)


class StepChange(Wire):
    """What is different about a step."""

    model_config = ConfigDict(extra="forbid")

    input: dict[str, JsonValue]
    """Inputs that change or come in; null takes one away. Of a mix: its fields."""


class RerunRequest(Wire):
    """The same plan with changes: what they do not touch is reused."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"steps": {}}]})

    steps: dict[StepId, StepChange] = Field(default_factory=dict)
    """The steps that change."""
    budget_cents: Annotated[int, Field(ge=0, le=MOST_CENTS)] | None = None
    """The most that the new pipeline may cost, in US cents; else what the first one might."""


class DecisionRequest(Wire):
    """The word about a step that waits for its approval."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"step": "frame"}]})

    step: StepId
    """The step's id."""
    note: Annotated[Text, Field(max_length=2000)] = ""
    """Why; it is shown with the step."""


class PipelineCreatedView(Wire):
    """The answer to a creating call."""

    pipeline_id: UUID
    """The pipeline's id."""
    status: PipelineStatus
    """Where it stands."""
    estimated_cost_cents: int
    """The price of all steps that are not reused, in US cents, held until each ends."""
    status_url: str
    """Where the pipeline can be read."""
    events_url: str
    """Where it is streamed."""

    @classmethod
    def from_row(cls, row: PipelineRow, links: Links) -> Self:
        address = links.to(f"/api/pipelines/{row.id}")
        return cls(
            pipeline_id=row.id,
            status=row.status,
            estimated_cost_cents=row.estimated_cost_cents,
            status_url=address,
            events_url=f"{address}/events",
        )


class PlannedStepView(Wire):
    """What would become of a step."""

    status: StepStatus
    """`reused`, or `waiting` for what would be made."""
    estimated_cost_cents: int
    """Its price in US cents."""


class PlanView(Wire):
    """What a pipeline would do and cost: nothing was created."""

    estimated_cost_cents: int
    """The price of all steps that would not be reused, in US cents."""
    steps: dict[str, PlannedStepView]
    """By their ids."""


class ProducedView(Wire):
    """The films that a call has begun."""

    pipelines: dict[UUID, UUID]
    """The pipelines' ids, by their clips'."""
    estimated_cost_cents: int
    """The price of all of them in US cents, held until each step ends."""
    status_url: str
    """Where the campaign's pipelines can be read."""


class ProducePlanView(Wire):
    """What films would cost: nothing was created."""

    estimated_cost_cents: int
    """The price of all of them, in US cents."""
    clips: dict[UUID, PlanView]
    """By the clips' ids."""


class StepView(Wire):
    """A step of a pipeline."""

    status: StepStatus
    """Where it stands."""
    kind: StepKind | Literal["mix"] | None
    """What it makes; null where a model alone says it."""
    model: str | None
    """The model's name; null where its job was deleted."""
    needs: list[str]
    """The steps that it waits for."""
    input: dict[str, Any]
    """As it was sent; of a mix, its fields."""
    job_id: UUID
    """The job that stands for it. Of one that was reused, the earlier job."""
    progress: int
    """Of its job, in percent."""
    progress_message: str
    """What happens to its job."""
    files: list[FileView]
    """What it has made."""
    estimated_cost_cents: int
    """What is held for it, in US cents."""
    cost_cents: int
    """What you were charged for it, in US cents."""
    input_hash: str | None
    """The hash of its model, its arguments and its input files, by which it is reused; null until it begins."""
    error_code: str | None
    """Why its job failed."""
    error_message: str | None
    """Why its job failed, for a person."""
    note: str | None
    """What was said with its approval, its rejection or its end."""

    @classmethod
    def from_rows(
        cls,
        step: StepOfPipeline,
        request: Mapping[str, Any],
        files: Sequence[MediaFileRow],
        links: Links,
        language: Language,
    ) -> Self:
        job, is_reused = step.job, step.status is StepStatus.REUSED
        is_mix = request.get("kind") == MIX
        return cls(
            status=step.status,
            kind=request.get("kind"),
            model=job.model if job else None,
            needs=step.row.needs,
            input={name: value for name, value in request.items() if name != "kind"} if is_mix else request["input"],
            job_id=step.row.job_id,
            progress=job.progress_percent if job else 0,
            progress_message=happening(job, language) if job else "",
            files=[FileView.from_row(file, links) for file in files],
            estimated_cost_cents=job.estimated_cost_cents if job and not is_reused else 0,
            cost_cents=job.charged_cents if job and not is_reused else 0,
            input_hash=job.content_key if job else None,
            error_code=job.error_code if job else None,
            error_message=error_message(job, language, {}) if job else None,
            note=step.row.note,
        )


class PipelineView(Wire):
    """A pipeline with its steps."""

    id: UUID
    """The pipeline's id."""
    name: str
    """Its name."""
    status: PipelineStatus
    """Where it stands."""
    progress: int
    """Of all steps, in percent."""
    steps: dict[str, StepView]
    """By their ids, in the order of the request."""
    approvals: list[str]
    """The steps whose results have to be approved."""
    clip_id: UUID | None
    """The clip that receives what its steps make."""
    rerun_of: UUID | None
    """The pipeline that it changes."""
    reuse: bool
    """Whether earlier jobs may stand for its steps."""
    budget_cents: int | None
    """The most that it may cost, in US cents."""
    estimated_cost_cents: int
    """Its price at creation, in US cents."""
    cost_cents: int
    """What you were charged for it so far, in US cents."""
    metadata: dict[str, Any]
    """Your own data, as sent at creation."""
    created_at: datetime
    """When it was created."""
    completed_at: datetime | None
    """When it ended."""

    @classmethod
    def from_rows(
        cls,
        row: PipelineRow,
        steps: Sequence[StepOfPipeline],
        files: Sequence[MediaFileRow],
        links: Links,
        language: Language,
    ) -> Self:
        views = {
            step.row.id: StepView.from_rows(
                step,
                row.steps[step.row.id],
                [file for file in files if file.job_id == step.row.job_id],
                links,
                language,
            )
            for step in steps
        }
        percents = [100 if has_ended(view.status) else view.progress for view in views.values()]
        return cls(
            id=row.id,
            name=row.name,
            status=status_now(row, steps),
            progress=sum(percents) // max(len(percents), 1),
            steps=views,
            approvals=row.approvals,
            clip_id=row.clip_id,
            rerun_of=row.rerun_of,
            reuse=row.reuse,
            budget_cents=row.budget_cents,
            estimated_cost_cents=row.estimated_cost_cents,
            cost_cents=sum(view.cost_cents for view in views.values()),
            metadata=row.metadata_,
            created_at=row.created_at,
            completed_at=row.completed_at,
        )


def happening(job: GenerationJob, language: Language) -> str:
    """What happens to a step's job, in a sentence."""
    sentence = progress_sentence(
        Status(job.status),
        Stage(job.stage),
        ProviderName(job.provider),
        waiting_for=WaitingFor(job.waiting_for) if job.waiting_for else None,
        queue_position=job.queue_position,
    )
    return in_language(sentence, language)


def has_ended(status: StepStatus) -> bool:
    return status.is_done or status.is_lost


def status_now(row: PipelineRow, steps: Sequence[StepOfPipeline]) -> PipelineStatus:
    waits = any(step.status is StepStatus.WAITING_FOR_APPROVAL for step in steps)
    if row.status == PipelineStatus.RUNNING and waits:
        return PipelineStatus.WAITING_FOR_APPROVAL
    return PipelineStatus(row.status)


class PipelineList(Page):
    """A page of pipelines, newest first."""

    data: list[PipelineView]
    """The pipelines with their steps."""

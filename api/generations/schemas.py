"""Generations as clients ask for them and see them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError
from sqlalchemy import inspect

from api.generations.model_run import ModelRun
from api.generations.progress import (
    error_advice,
    error_code,
    error_message,
    newest,
    progress_message,
    progress_percent,
    seconds_left,
)
from api.http.links import Links
from api.http.wire import Metadata, Text, Wire
from reelay.catalog.model import Quality
from reelay.db.generations import TIMING
from reelay.db.tables import GenerationJob, JobEvent, MediaFileRow
from reelay.domain.generation import GenerationStatus, ProviderName, Stage, Status, media_address
from reelay.domain.language import Language
from reelay.domain.messages import message

ExternalId = Annotated[Text, Field(min_length=1, max_length=200)]


Label = Annotated[Text, Field(max_length=200)]


class CreateRequest(Wire):
    """What every creating call takes beside the model's inputs."""

    external_id: ExternalId | None = Field(
        None, description="Your own id of the job, unique among yours: the job is found by it as by ours."
    )
    campaign_id: UUID | None = None
    clip_id: UUID | None = Field(None, description="The clip that the finished media goes to.")
    confirm: bool = Field(False, description="Needed above the interactive budget.")
    metadata: Metadata = Field(default_factory=dict)
    node_id: Label | None = Field(None, description="Yours; the same as `metadata.nodeId`.")
    project_id: Label | None = Field(None, description="Yours; the same as `metadata.projectId`.")

    @field_validator("node_id", "project_id")
    @classmethod
    def _says_what_metadata_says(cls, label: str | None, info: ValidationInfo) -> str | None:
        name = to_camel(info.field_name or "")
        if label is not None and info.data.get("metadata", {}).get(name, label) != label:
            raise ValueError(f"is another one than metadata.{name}")
        return label

    @property
    def echoed(self) -> dict[str, Any]:
        """All that is the caller's own and comes back as it is."""
        return self.metadata | self.model_dump(by_alias=True, include={"node_id", "project_id"}, exclude_none=True)


class ModelRequest(CreateRequest):
    """The model's inputs beside our fields. What only some models take (`seed`, ...) may be added."""

    model_config = ConfigDict(extra="allow")

    selectors: ClassVar[frozenset[str]] = frozenset({"model", "model_id"})
    """Fields that choose the model, and are no input of it."""

    model: str | None = Field(None, description="A name from `GET /api/models`; without one, the default.")
    model_id: str | None = Field(None, description="The same as `model`.")

    @field_validator("model_id")
    @classmethod
    def _says_what_model_says(cls, model_id: str | None, info: ValidationInfo) -> str | None:
        if model_id is not None and info.data.get("model") not in (None, model_id):
            raise ValueError("is another one than model")
        return model_id

    @property
    def model_name(self) -> str | None:
        return self.model or self.model_id

    def inputs(self) -> dict[str, Any]:
        """The model's input as the client spelled it."""
        return self.model_dump(
            by_alias=True, exclude={*CreateRequest.model_fields, *self.selectors}, exclude_unset=True
        )

    def inputs_and_selectors(self) -> dict[str, Any]:
        """The model's input, and what chose the model."""
        return self.model_dump(by_alias=True, exclude={*CreateRequest.model_fields}, exclude_unset=True)


Input = Any


class VideoRequest(ModelRequest):
    selectors = ModelRequest.selectors | {"quality"}

    prompt: Input = Field(None, description="What to see.", json_schema_extra={"type": "string"})
    first_frame_url: Input = Field(None, description="An image to start from.", json_schema_extra={"type": "string"})
    duration: Input = Field(None, description="Seconds.", json_schema_extra={"type": "number"})
    aspect_ratio: Input = Field(None, description="As `16:9`.", json_schema_extra={"type": "string"})
    quality: Quality = Quality.STANDARD


class FirstFrameRequest(ModelRequest):
    prompt: Input = Field(None, description="What to see.", json_schema_extra={"type": "string"})
    aspect_ratio: Input = Field(None, description="As `16:9`.", json_schema_extra={"type": "string"})


class VoiceRequest(ModelRequest):
    text: Input = Field(None, description="What to say.", json_schema_extra={"type": "string"})


class AmbientRequest(ModelRequest):
    prompt: Input = Field(None, description="What to hear.", json_schema_extra={"type": "string"})
    duration: Input = Field(None, description="Seconds.", json_schema_extra={"type": "number"})


class TranscribeRequest(ModelRequest):
    audio_url: Input = Field(None, description="What to write down.", json_schema_extra={"type": "string"})


class JobRequest(ModelRequest):
    """The model's inputs under `input`, beside our fields, or in both places."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"anyOf": [{"required": ["model"]}, {"required": ["modelId"]}]}
    )

    model: str | None = Field(None, description="A name from `GET /api/models`, or the provider's own.")
    input: dict[str, JsonValue] = Field(
        {},
        description="The model's inputs, in camelCase or as the provider spells them; also beside `model`.",
    )

    def inputs(self) -> dict[str, Any]:
        return (self.model_extra or {}) | self.input

    @model_validator(mode="after")
    def _is_one_request(self) -> Self:
        """It names a model, and gives no input twice."""
        errors = [
            InitErrorDetails(
                type=PydanticCustomError("given_twice", "is given twice, in input with another value"),
                loc=(name,),
                input=value,
            )
            for name, value in (self.model_extra or {}).items()
            if self.input.get(name, value) != value
        ]
        if not self.model_name:
            errors.append(InitErrorDetails(type="missing", loc=("model",), input=self.model))
        if errors:
            raise ValidationError.from_exception_data(type(self).__name__, errors)
        return self


class FileView(Wire):
    name: str
    file_url: str
    file_path: str
    file_size: int
    format: str
    sha256: str
    duration_seconds: float | None
    width: int | None
    height: int | None
    aspect_ratio: str | None
    poster_url: str | None
    file_name: str | None
    metadata: dict[str, Any]

    @classmethod
    def from_row(cls, row: MediaFileRow, links: Links) -> Self:
        return cls(
            name=row.name,
            file_url=row.file_url or links.to_media(row.user_id, media_address(row.job_id, row.name)),
            file_path=row.file_path,
            file_size=row.file_size,
            format=row.format,
            sha256=row.sha256,
            duration_seconds=row.duration_seconds,
            width=row.width,
            height=row.height,
            aspect_ratio=row.aspect_ratio,
            poster_url=row.poster_name and links.to_media(row.user_id, media_address(row.job_id, row.poster_name)),
            file_name=row.file_name,
            metadata=row.metadata_,
        )


class JobView(ModelRun):
    id: UUID
    external_id: str | None
    """The caller's own id of it, if one was given."""
    request_id: UUID
    """The same: what `GET /api/fal-jobs/{requestId}` takes before the provider has given its own."""
    type: str
    model: str
    provider: str
    status: Status
    stage: Stage
    progress: int
    progress_message: str
    result_url: str | None
    provider_url: str | None
    files: list[FileView]
    result_data: dict[str, Any] | None
    error_code: str | None
    error_message: str | None
    error_advice: str | None
    """What the user can do about it."""
    input: dict[str, Any]
    """As the caller sent it."""
    estimated_cost_cents: int
    actual_cost_cents: int | None
    credits_deducted: int
    """In cents."""
    fal_request_id: str | None
    attempts: int
    campaign_id: UUID | None
    clip_id: UUID | None
    prompt: str | None
    """The prompt, or the text to say."""
    aspect_ratio: str | None
    """As asked for, else as the first file has it."""
    assets: dict[str, str]
    """The addresses among the inputs, e.g. `firstFrameUrl`."""
    metadata: dict[str, Any]
    logs: list[str] | None = None
    """What the provider printed, when it was asked for."""
    created_at: datetime
    submitted_at: datetime | None
    completed_at: datetime | None
    seconds_left: int | None
    """By what the model usually takes; None when that is over, and once the job has ended."""
    source: Literal["workflow", "database"]

    @classmethod
    def from_row(
        cls,
        row: GenerationJob,
        files: Sequence[MediaFileRow],
        links: Links,
        language: Language,
        live: GenerationStatus | None = None,
        *,
        pushed: Mapping[str, Any] | None = None,
    ) -> Self:
        """The row, or where it is newer, the status of the workflow.

        `pushed` is what a pushing provider said of the result, where the row was read without it.
        """
        at, shown = newest(row, live), [FileView.from_row(file, links) for file in files]
        result_data = None if "result_data" in inspect(row).unloaded else row.result_data
        return cls(
            id=row.id,
            external_id=row.external_id,
            request_id=row.id,
            type=row.job_type,
            model=row.model,
            provider=row.provider,
            status=at.status,
            stage=at.stage,
            progress=progress_percent(row, at),
            progress_message=progress_message(row, at, language),
            result_url=links.to_media(row.user_id, row.result_url) if row.result_url else None,
            provider_url=row.provider_url,
            files=shown,
            result_data=result_data,
            error_code=error_code(row),
            error_message=error_message(row, language),
            error_advice=error_advice(row, language),
            input=row.input_params,
            estimated_cost_cents=row.estimated_cost_cents,
            actual_cost_cents=row.actual_cost_cents,
            credits_deducted=row.charged_cents,
            fal_request_id=row.provider_request_id or at.request_id,
            attempts=row.attempts,
            campaign_id=row.campaign_id,
            clip_id=row.clip_id,
            prompt=prompt_of(row),
            aspect_ratio=_requested_ratio(row) or next((file.aspect_ratio for file in shown), None),
            assets=_assets(row),
            metadata=row.metadata_,
            created_at=row.created_at,
            submitted_at=row.submitted_at,
            completed_at=row.completed_at,
            seconds_left=seconds_left(row, at),
            source="workflow" if live else "database",
            **dict(ModelRun.from_push(ProviderName(row.provider), result_data or pushed)),
        )


class ProgressView(Wire):
    """How far a job is, by what was measured last and by time."""

    id: UUID
    status: Status
    stage: Stage
    progress: int
    progress_message: str
    seconds_left: int | None

    @classmethod
    def from_row(cls, row: GenerationJob, language: Language) -> Self:
        at = newest(row, None)
        return cls(
            id=row.id,
            status=at.status,
            stage=at.stage,
            progress=progress_percent(row, at),
            progress_message=progress_message(row, at, language),
            seconds_left=seconds_left(row, at),
        )


def _requested_ratio(row: GenerationJob) -> str | None:
    asked = row.arguments.get("aspect_ratio")
    return asked if isinstance(asked, str) and ":" in asked else None


def prompt_of(row: GenerationJob) -> str | None:
    prompt = row.input_params.get("prompt") or row.input_params.get("text")
    return prompt if isinstance(prompt, str) else None


def _assets(row: GenerationJob) -> dict[str, str]:
    inputs = {to_camel(name): value for name, value in row.input_params.items()}
    return {name: value for name, value in inputs.items() if name.endswith("Url") and isinstance(value, str)}


class WaitedView(JobView):
    """The answer to a creating call that waited for the end: the job, by the names of the immediate answer, too."""

    job_id: UUID
    message: str

    @classmethod
    def from_job(cls, job: JobView) -> Self:
        return cls(**job.model_dump(), job_id=job.id, message=job.error_message or job.progress_message)


class NodeData(Wire):
    """What an editor keeps at its node, to poll with."""

    status: Literal["pending"]
    request_id: UUID
    updated_at: datetime

    @classmethod
    def from_row(cls, row: GenerationJob) -> Self | None:
        """None where the job is no node's."""
        if row.metadata_.get("nodeId") is None:
            return None
        return cls(status="pending", request_id=row.id, updated_at=row.created_at)


class CreatedView(Wire):
    """The answer to a creating call."""

    job_id: UUID
    request_id: UUID
    """The same, see `JobView`."""
    status: Status
    """`submitted`: it is written down, and will be generated whatever happens."""
    message: str
    estimated_cost_cents: int
    estimated_seconds: int
    status_url: str
    events_url: str
    metadata: dict[str, Any] | None = None
    """The caller's, if any came."""
    node_data: NodeData | None = None
    """With `nodeId`."""

    @classmethod
    def from_row(cls, row: GenerationJob, links: Links, language: Language) -> Self:
        """A function of what was fixed at creation, so that a replayed answer equals the first."""
        return cls(
            job_id=row.id,
            request_id=row.id,
            status=Status.SUBMITTED,
            message=message("generation_accepted", language),
            estimated_cost_cents=row.estimated_cost_cents,
            estimated_seconds=int(TIMING.validate_python(row.timing).expected.total_seconds()),
            status_url=links.to(f"/api/jobs/{row.id}"),
            events_url=links.to(f"/api/jobs/{row.id}/events"),
            metadata=row.metadata_ or None,
            node_data=NodeData.from_row(row),
        )


class JobList(Wire):
    data: list[JobView]
    has_more: bool
    next_cursor: str | None


class EventView(Wire):
    """One line of the timeline."""

    id: int
    at: datetime
    status: Status
    stage: Stage
    detail: str
    data: dict[str, Any]

    @classmethod
    def from_row(cls, row: JobEvent) -> Self:
        return cls(id=row.id, at=row.at, status=row.status, stage=row.stage, detail=row.detail, data=row.data)


class History(Wire):
    data: list[EventView]

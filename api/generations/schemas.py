"""Generations as clients ask for them and see them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import InitErrorDetails, PydanticCustomError
from sqlalchemy import inspect

from api.generations.forecasts import Forecast, Range
from api.generations.model_run import ModelRun
from api.generations.progress import (
    error_advice,
    error_code,
    error_message,
    newest,
    progress_message,
    progress_percent,
    queue_position,
    seconds_left,
    waiting_for,
)
from api.http.links import Links
from api.http.pagination import Page
from api.http.wire import Metadata, Text, Wire
from api.media.schemas import ProvenanceView
from reelay.catalog.model import Quality
from reelay.db.generations import TIMING
from reelay.db.tables import GenerationJob, JobEvent, MediaFileRow
from reelay.domain.failure import FailureCode
from reelay.domain.generation import (
    ACTIVE,
    GenerationStatus,
    JobType,
    Priority,
    ProviderName,
    Stage,
    Status,
    WaitingFor,
    media_address,
)
from reelay.domain.language import Language
from reelay.domain.messages import message
from reelay.domain.money import MOST_CENTS

MOST_FALLBACKS = 5
ExternalId = Annotated[Text, Field(min_length=1, max_length=200)]


Label = Annotated[Text, Field(max_length=200)]
WebhookUrl = Annotated[Text, Field(min_length=1, max_length=2048)]


class FallbackRequest(Wire):
    """What is tried when the provider fails for reasons of its own."""

    model_config = ConfigDict(extra="forbid")

    model: Text
    """The name of another model of the same kind, or an endpoint of fal."""
    input: dict[str, Any] | None = None
    """Its inputs. Omitted: the request's own."""


class CreateRequest(Wire):
    """What every creating call takes beside the model's inputs."""

    external_id: ExternalId | None = None
    """Your own id for the job, unique among your jobs. The job can be read by it as by `jobId`."""
    campaign_id: UUID | None = None
    """The campaign that the job belongs to."""
    clip_id: UUID | None = None
    """The clip that receives the finished media."""
    confirm: bool = False
    """Confirms a price above the interactive budget, without which such a request answers 409."""
    priority: Priority = Priority.NORMAL
    """Which of the jobs that wait for their turn at a provider goes first."""
    max_wait_seconds: Annotated[int, Field(ge=1, le=30 * 86_400)] | None = None
    """How long the job may wait until the provider takes it; after that it fails with `wait_expired`."""
    max_cost_cents: Annotated[int, Field(ge=0, le=MOST_CENTS)] | None = None
    """The most that it may cost, in US cents. A request whose price is higher is refused; where nobody knows the price
    in advance, this is held for it."""
    metadata: Metadata = Field(default_factory=dict)
    fallbacks: Annotated[list[FallbackRequest], Field(max_length=MOST_FALLBACKS)] = Field(default_factory=list)
    """What is tried, in order, when the provider is away, takes nothing of this service, or fails by a mistake of its
    own; never for what is wrong with the input. The price of the dearest is held, and that of the one used charged."""
    hedge_after_seconds: Annotated[int, Field(ge=1, le=30 * 86_400)] | None = None
    """Seconds after the submission, after which the first fallback begins beside a model that has not ended. Whichever
    ends first is kept, the other stopped. Only where that costs at most `maxExtraCents`."""
    max_extra_cents: Annotated[int, Field(ge=0, le=MOST_CENTS)] | None = None
    """The most that the fallback beside the model may cost, in US cents, above the model's own price. Its price is held
    as well, and charged if both have ended with what was asked for."""
    webhook_url: WebhookUrl | None = None
    """An https address that is told of this job's events, besides your endpoints. `GET
    /api/webhook-endpoints/signing-secret` has what they are signed with."""
    node_id: Label | None = None
    """An editor's id of its node, the same as `metadata.nodeId`."""
    project_id: Label | None = None
    """An editor's id of its project, the same as `metadata.projectId`."""

    @field_validator("node_id", "project_id")
    @classmethod
    def _says_what_metadata_says(cls, label: str | None, info: ValidationInfo) -> str | None:
        name = to_camel(info.field_name or "")
        if label is not None and info.data.get("metadata", {}).get(name, label) != label:
            raise ValueError(f"is another one than metadata.{name}")
        return label

    @model_validator(mode="after")
    def _hedges_with_a_fallback(self) -> Self:
        given = {
            "hedgeAfterSeconds": self.hedge_after_seconds,
            "maxExtraCents": self.max_extra_cents,
            "fallbacks": self.fallbacks or None,
        }
        is_hedged = (self.hedge_after_seconds, self.max_extra_cents) != (None, None)
        missing = [InitErrorDetails(type="missing", loc=(name,), input=None) for name in given if given[name] is None]
        if is_hedged and missing:
            raise ValidationError.from_exception_data(type(self).__name__, missing)
        return self

    @property
    def max_wait(self) -> timedelta | None:
        return None if self.max_wait_seconds is None else timedelta(seconds=self.max_wait_seconds)

    @property
    def echoed(self) -> dict[str, Any]:
        """All that is the caller's own and comes back as it is."""
        return self.metadata | self.model_dump(by_alias=True, include={"node_id", "project_id"}, exclude_none=True)


class ModelRequest(CreateRequest):
    """The model's inputs beside our fields. What only some models take (`seed`, ...) may be added."""

    model_config = ConfigDict(extra="allow")

    selectors: ClassVar[frozenset[str]] = frozenset({"model", "model_id"})
    """Fields that choose the model, and are no input of it."""

    model: str | None = None
    """A model's name, see `GET /api/models`. Omitted: the default model of the kind."""
    model_id: str | None = None
    """Another name for `model`."""

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
TEXT: JsonDict = {"type": "string"}
NUMBER: JsonDict = {"type": "number"}
"""The model says whether a value fits it, and more about what does not: the document alone has these types."""
EXAMPLES = {
    "prompt": "A lighthouse in the rain",
    "text": "Welcome to the harbour.",
    "audioUrl": "https://example.com/speech.mp3",
    "model": "veo-3.1",
}


def documented(required: str, **more: Any) -> JsonDict:
    """A body's one required field, and an example of it."""
    return {"required": [required], "examples": [{required: EXAMPLES[required], **more}]}


class VideoRequest(ModelRequest):
    """A video to generate. Inputs that only some models take (`seed`, `negativePrompt`, ...) may be added."""

    model_config = ConfigDict(json_schema_extra=documented("prompt", duration=8, aspectRatio="9:16"))

    selectors = ModelRequest.selectors | {"quality"}

    prompt: Input = Field(None, json_schema_extra=TEXT)
    """What the video shows."""
    first_frame_url: Input = Field(None, json_schema_extra=TEXT)
    """The http(s) address of an image to start from."""
    duration: Input = Field(None, json_schema_extra=NUMBER)
    """The video's length in seconds."""
    aspect_ratio: Input = Field(None, json_schema_extra=TEXT)
    """Width to height, for example `16:9`."""
    quality: Quality = Quality.STANDARD
    """Chooses between the default models when none is named."""


class FirstFrameRequest(ModelRequest):
    """An image to generate. Inputs that only some models take (`seed`, ...) may be added."""

    model_config = ConfigDict(json_schema_extra=documented("prompt", aspectRatio="9:16"))

    prompt: Input = Field(None, json_schema_extra=TEXT)
    """What the image shows."""
    aspect_ratio: Input = Field(None, json_schema_extra=TEXT)
    """Width to height, for example `16:9`."""


class VoiceRequest(ModelRequest):
    """Speech to generate. Inputs that only some models take (`voice`, ...) may be added."""

    model_config = ConfigDict(json_schema_extra=documented("text"))

    text: Input = Field(None, json_schema_extra=TEXT)
    """The text to speak."""


class AmbientRequest(ModelRequest):
    """A sound to generate. Inputs that only some models take may be added."""

    model_config = ConfigDict(json_schema_extra=documented("prompt", duration=10))

    prompt: Input = Field(None, json_schema_extra=TEXT)
    """What the sound is."""
    duration: Input = Field(None, json_schema_extra=NUMBER)
    """The sound's length in seconds."""


class TranscribeRequest(ModelRequest):
    """A recording to transcribe. Inputs that only some models take (`language`, ...) may be added."""

    model_config = ConfigDict(json_schema_extra=documented("audioUrl"))

    audio_url: Input = Field(None, json_schema_extra=TEXT)
    """The http(s) address of the recording."""


class JobRequest(ModelRequest):
    """A generation by any model of the catalogue, or by any endpoint of fal. The model's inputs stand in `input`,
    beside `model`, or in both."""

    model_config = ConfigDict(json_schema_extra=documented("model", input={"prompt": EXAMPLES["prompt"]}))

    model: str | None = None
    """A model's name, see `GET /api/models`, or the id of any endpoint of fal. `modelId` may stand in its place."""
    input: dict[str, JsonValue] = Field(default_factory=dict)
    """The model's inputs, by our names or by the provider's, as `GET /api/models` and `GET /api/models/{name}` list
    them."""

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


class RetryRequest(Wire):
    """What is to be different from the job that is retried."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"input": {"prompt": EXAMPLES["prompt"]}}]}
    )

    input: dict[str, JsonValue] = Field(default_factory=dict)
    """Inputs that change or come in; null removes one. They apply to the job's fallbacks as well, where these take
    them."""
    confirm: bool = False
    """Confirms a price above the interactive budget, without which a change of the input answers 409."""


class StatusFilter(StrEnum):
    """A status, or several: `active` for all that are not final, `running` and `processing` for `submitted` and
    `in_progress`."""

    PENDING = "pending"
    SUBMITTED = "submitted"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    ACTIVE = "active"
    RUNNING = "running"
    PROCESSING = "processing"

    @property
    def statuses(self) -> list[Status]:
        match self:
            case StatusFilter.ACTIVE:
                return sorted(ACTIVE)
            case StatusFilter.RUNNING | StatusFilter.PROCESSING:
                return [Status.SUBMITTED, Status.IN_PROGRESS]
        return [Status(self.value)]


class FileView(Wire):
    """One archived media file."""

    name: str
    """The file's name within its job, for example `video.mp4`."""
    file_url: str
    """A signed address that plays without credentials for at least an hour. Reading the job again renews it."""
    file_path: str
    """The file's path in the archive."""
    file_size: int
    """The file's size in bytes."""
    format: str
    """The file's content type, by its content: `video/mp4`."""
    sha256: str
    """The SHA-256 of the file, in lower-case hexadecimal; empty where it is not known."""
    duration_seconds: float | None
    """The length of a video or sound in seconds."""
    width: int | None
    """The width of a video or image in pixels."""
    height: int | None
    """The height of a video or image in pixels."""
    aspect_ratio: str | None
    """Width to height, for example `16:9`."""
    poster_url: str | None
    """The signed address of a still image of a video."""
    file_name: str | None
    """The provider's name of the file."""
    flagged: bool
    """Whether the provider's safety check flagged the file. It may be black or blurred."""
    provenance: ProvenanceView | None
    """The file's Content Credentials; null where they were not checked."""
    metadata: dict[str, Any]
    """What the provider said about the file."""

    @classmethod
    def from_row(cls, row: MediaFileRow, links: Links) -> Self:
        return cls(
            name=row.name,
            file_url=row.file_url or links.to_media(media_address(row.job_id, row.name)),
            file_path=row.file_path,
            file_size=row.file_size,
            format=row.format,
            sha256=row.sha256,
            duration_seconds=row.duration_seconds,
            width=row.width,
            height=row.height,
            aspect_ratio=row.aspect_ratio,
            poster_url=row.poster_name and links.to_media(media_address(row.job_id, row.poster_name)),
            file_name=row.file_name,
            flagged=row.flagged,
            provenance=ProvenanceView.from_column(row.provenance),
            metadata=row.metadata_,
        )


class RangeView(Wire):
    """Two moments, between which four of five jobs like it have come to this."""

    earliest: datetime
    """The earlier one."""
    latest: datetime
    """The later one."""

    @classmethod
    def from_range(cls, given: Range | None) -> Self | None:
        return None if given is None else cls(earliest=given.earliest, latest=given.latest)


class JobView(ModelRun):
    """One job: a request for one output of one model."""

    id: UUID
    """The job's id."""
    external_id: str | None
    """Your own id for the job, when you gave one."""
    request_id: UUID
    """The same as `id`: what `GET /api/fal-jobs/{requestId}` takes from the first moment."""
    type: JobType
    """What the job makes."""
    model: str
    """The model's name, see `GET /api/models`."""
    provider: ProviderName
    """Who generates it."""
    status: Status
    """Where the job stands."""
    stage: Stage
    """What happens to the job at the moment, in more detail than `status`."""
    progress: int
    """Progress in percent, from 0 to 100: estimated from the usual time until the provider reports it."""
    progress_message: str
    """What happens at the moment, for a person, in the language asked for."""
    waiting_for: WaitingFor | None
    """What the job waits for, while nothing happens to it."""
    queue_position: int | None
    """How many are ahead of it: in the provider's queue, where the provider tells, or in the line for its slots."""
    estimated_start_at: datetime | None
    """When the provider is expected to have it, or had it, by what such jobs usually take; null where nobody knows."""
    estimated_completion_at: datetime | None
    """When it is expected to end; null where nobody knows, and once it takes longer than usual."""
    estimated_start_range: RangeView | None
    """When four of five such jobs start; null once the provider has it, and where nobody knows."""
    estimated_completion_range: RangeView | None
    """When four of five such jobs end; null where nobody knows, and once it takes longer than those."""
    priority: Priority
    """Which of the jobs that wait for their turn goes first."""
    result_url: str | None
    """The signed address of the first file, once the job is completed. It plays without credentials for at least
    an hour."""
    provider_url: str | None
    """The provider's own address of the first file, which expires."""
    files: list[FileView]
    """The archived files, once the job is completed."""
    flagged: bool
    """Whether the provider's safety check flagged the result: one of its files, or what was not kept for that."""
    result_data: dict[str, Any] | None
    """The provider's answer, for example a transcript. Lists of jobs leave it out: null."""
    error_code: FailureCode | Literal["other"] | None
    """Why the job failed; `other` for a job that another system wrote with a code of its own."""
    error_message: str | None
    """Why the job failed, for a person, in the language asked for."""
    error_advice: str | None
    """What the user can do about the failure, in the language asked for."""
    input: dict[str, Any]
    """The inputs as you sent them."""
    estimated_cost_cents: int
    """The price at creation in US cents, held until the job ends. With fallbacks, that of the dearest."""
    actual_cost_cents: int | None
    """What the provider charged in US cents, where it is known."""
    credits_deducted: int
    """What you were charged in US cents: 0 until the job is completed, and when it fails but for `result_flagged`."""
    fal_request_id: str | None
    """The provider's id of the request, whichever the provider, once it has accepted it."""
    attempts: int
    """How many times the request was submitted to a provider."""
    campaign_id: UUID | None
    """The campaign that the job belongs to."""
    clip_id: UUID | None
    """The clip that receives the media."""
    prompt: str | None
    """The prompt, or the text to speak."""
    aspect_ratio: str | None
    """Width to height as asked for, else that of the first file."""
    assets: dict[str, str]
    """The addresses among the inputs, by their names, for example `firstFrameUrl`."""
    metadata: dict[str, Any]
    """Your own data, as sent at creation."""
    logs: list[str] | None = None
    """What the provider printed, when `logs=1` asked for it."""
    created_at: datetime
    """When the job was created."""
    submitted_at: datetime | None
    """When the provider accepted it."""
    completed_at: datetime | None
    """When it ended, however it ended."""
    seconds_left: int | None
    """Seconds until the usual end; null before the provider has it, when it takes longer than usual, and after it."""
    source: Literal["workflow", "database"]
    """Whether the running workflow answered, or the stored row: for an ended job, and while no worker answers."""

    @classmethod
    def from_row(
        cls,
        row: GenerationJob,
        files: Sequence[MediaFileRow],
        links: Links,
        language: Language,
        live: GenerationStatus | None = None,
        *,
        forecast: Forecast,
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
            waiting_for=waiting_for(row, at),
            queue_position=queue_position(row, at, forecast.ahead),
            estimated_start_at=forecast.starts_at,
            estimated_completion_at=forecast.completes_at,
            estimated_start_range=RangeView.from_range(forecast.starts_within),
            estimated_completion_range=RangeView.from_range(forecast.completes_within),
            priority=row.priority,
            result_url=links.to_media(row.result_url) if row.result_url else None,
            provider_url=row.provider_url,
            files=shown,
            flagged=row.error_code == FailureCode.RESULT_FLAGGED or any(file.flagged for file in files),
            result_data=result_data,
            error_code=error_code(row),
            error_message=error_message(row, language, result_data or pushed or {}),
            error_advice=error_advice(row, language),
            input=row.input_params,
            estimated_cost_cents=row.estimated_cost_cents,
            actual_cost_cents=row.actual_cost_cents,
            credits_deducted=row.charged_cents,
            fal_request_id=row.provider_request_id or at.request_id,
            attempts=row.sent_attempts,
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
    """How far a job is: what the provider reported last, or an estimate."""

    id: UUID
    """The job's id."""
    status: Status
    """Where the job stands."""
    stage: Stage
    """What happens to the job at the moment."""
    progress: int
    """Progress in percent, from 0 to 100."""
    progress_message: str
    """What happens at the moment, for a person, in the language asked for."""
    seconds_left: int | None
    """Seconds until the usual end; null when it is not known."""

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
    """The answer to a creating call that waited for the end: the job, and the names of the immediate answer."""

    status: Literal[Status.COMPLETED, Status.FAILED, Status.CANCELED]
    """How the job ended. An answer that did not wait says `submitted`."""
    job_id: UUID
    """The same as `id`."""
    message: str
    """How the job ended, for a person, in the language asked for."""

    @classmethod
    def from_job(cls, job: JobView) -> Self:
        return cls(**job.model_dump(), job_id=job.id, message=job.error_message or job.progress_message)


class NodeData(Wire):
    """What a node editor stores at its node, to poll with."""

    status: Literal["pending"]
    """Always `pending`."""
    request_id: UUID
    """The job's id, for `GET /api/fal-jobs/{requestId}`."""
    updated_at: datetime
    """When the job was created."""

    @classmethod
    def from_row(cls, row: GenerationJob) -> Self | None:
        """None where the job is no node's."""
        if row.metadata_.get("nodeId") is None:
            return None
        return cls(status="pending", request_id=row.id, updated_at=row.created_at)


class CreatedView(Wire):
    """The answer to a creating call: the job is stored, and nothing can be lost from now on."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)  # what is null is left out

    job_id: UUID
    """The job's id."""
    request_id: UUID
    """The same as `jobId`: what `GET /api/fal-jobs/{requestId}` takes."""
    status: Literal[Status.SUBMITTED]
    """Always `submitted`, also when the provider has yet to accept the job."""
    message: str
    """A confirmation for a person, in the language asked for."""
    estimated_cost_cents: int
    """The price in US cents, held until the job ends."""
    estimated_seconds: int
    """How long the model usually takes, in seconds."""
    status_url: str
    """Where to read the job."""
    events_url: str
    """Where to follow the job as server-sent events."""
    metadata: dict[str, Any] | SkipJsonSchema[None] = None
    """Your own data, when you sent any."""
    node_data: NodeData | SkipJsonSchema[None] = None
    """For a node editor, when the request had a `nodeId`."""

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


class JobList(Page):
    """A page of jobs, newest first."""

    data: list[JobView]
    """The jobs, each without its `resultData`."""


class EventView(Wire):
    """One entry of a job's timeline."""

    id: int
    """The entry's number, growing over all jobs."""
    at: datetime
    """When it happened."""
    status: Status
    """The job's status from then on."""
    stage: Stage
    """The job's stage from then on."""
    detail: str
    """What happened, for a person, in the language asked for."""
    data: dict[str, Any]
    """Figures of what happened, by the kind of event."""

    @classmethod
    def from_row(cls, row: JobEvent, detail: str) -> Self:
        return cls(id=row.id, at=row.at, status=row.status, stage=row.stage, detail=detail, data=row.data)


class History(Wire):
    """A job's timeline."""

    data: list[EventView]
    """The entries, oldest first."""

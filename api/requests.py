"""What clients send."""

from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

from api.wire import Text, Wire, storable
from reelay.catalog.model import Quality
from reelay.domain.messages import Sentence

LARGEST_METADATA = 16 * 1024
"""Characters."""


def bounded(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(str(metadata)) > LARGEST_METADATA:
        raise ValueError(Sentence("field_longer_than", most=LARGEST_METADATA))
    return metadata


Metadata = Annotated[
    dict[str, JsonValue],
    AfterValidator(bounded),
    AfterValidator(storable),
    Field(description="Yours; echoed everywhere."),
]


ExternalId = Annotated[Text, Field(min_length=1, max_length=200)]
Label = Annotated[Text, Field(max_length=200)]


class CreateRequest(Wire):
    """What every creating call may say beside the model's own words."""

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


class WordsRequest(CreateRequest):
    """The model's words beside ours. Fields that only some models take (`seed`, `negativePrompt`, ...) may be added."""

    model_config = ConfigDict(extra="allow")

    choosing: ClassVar[frozenset[str]] = frozenset({"model", "model_id"})
    """Words that choose the model, and are no input of it."""

    model: str | None = Field(None, description="A name from `GET /api/models`; without one, the default.")
    model_id: str | None = Field(None, description="The same as `model`.")

    @field_validator("model_id")
    @classmethod
    def _says_what_model_says(cls, model_id: str | None, info: ValidationInfo) -> str | None:
        if model_id is not None and info.data.get("model") not in (None, model_id):
            raise ValueError("is another one than model")
        return model_id

    @property
    def model_named(self) -> str | None:
        return self.model or self.model_id

    def words(self) -> dict[str, Any]:
        """The model's input as the client spelled it."""
        return self.model_dump(by_alias=True, exclude={*CreateRequest.model_fields, *self.choosing}, exclude_unset=True)

    def said(self) -> dict[str, Any]:
        """All that the client said of what to make: the model's input, and what chose the model."""
        return self.model_dump(by_alias=True, exclude={*CreateRequest.model_fields}, exclude_unset=True)


Words = Any


class VideoRequest(WordsRequest):
    choosing = WordsRequest.choosing | {"quality"}

    prompt: Words = Field(None, description="What to see.", json_schema_extra={"type": "string"})
    first_frame_url: Words = Field(None, description="An image to start from.", json_schema_extra={"type": "string"})
    duration: Words = Field(None, description="Seconds.", json_schema_extra={"type": "number"})
    aspect_ratio: Words = Field(None, description="As `16:9`.", json_schema_extra={"type": "string"})
    quality: Quality = Quality.STANDARD


class FirstFrameRequest(WordsRequest):
    prompt: Words = Field(None, description="What to see.", json_schema_extra={"type": "string"})
    aspect_ratio: Words = Field(None, description="As `16:9`.", json_schema_extra={"type": "string"})


class VoiceRequest(WordsRequest):
    text: Words = Field(None, description="What to say.", json_schema_extra={"type": "string"})


class AmbientRequest(WordsRequest):
    prompt: Words = Field(None, description="What to hear.", json_schema_extra={"type": "string"})
    duration: Words = Field(None, description="Seconds.", json_schema_extra={"type": "number"})


class TranscribeRequest(WordsRequest):
    audio_url: Words = Field(None, description="What to write down.", json_schema_extra={"type": "string"})


class JobRequest(WordsRequest):
    """The model's words under `input`, beside ours, or in both places."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"anyOf": [{"required": ["model"]}, {"required": ["modelId"]}]}
    )

    model: str | None = Field(None, description="A name from `GET /api/models`, or the provider's own.")
    input: dict[str, JsonValue] = Field(
        {}, description="The model's words, in our spelling or the provider's. They may stand beside `model` as well."
    )

    def words(self) -> dict[str, Any]:
        return (self.model_extra or {}) | self.input

    @model_validator(mode="after")
    def _is_one_request(self) -> Self:
        """It names a model, and says no word twice."""
        wrong = [
            InitErrorDetails(
                type=PydanticCustomError("given_twice", "is given twice, in input with another value"),
                loc=(word,),
                input=value,
            )
            for word, value in (self.model_extra or {}).items()
            if self.input.get(word, value) != value
        ]
        if not self.model_named:
            wrong.append(InitErrorDetails(type="missing", loc=("model",), input=self.model))
        if wrong:
            raise ValidationError.from_exception_data(type(self).__name__, wrong)
        return self


class CampaignRequest(Wire):
    model_config = ConfigDict(extra="forbid")

    name: Text = Field(min_length=1, max_length=200)
    metadata: Metadata = Field(default_factory=dict)


class ClipRequest(Wire):
    model_config = ConfigDict(extra="forbid")

    title: Text = Field("", max_length=200)
    position: int = Field(0, ge=0, le=1_000_000)
    metadata: Metadata = Field(default_factory=dict)

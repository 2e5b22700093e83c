"""What clients send."""

from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, JsonValue

from api.wire import Text, Wire, storable
from catalog.model import Quality

LARGEST_METADATA = 16 * 1024
"""Characters."""


def bounded(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(str(metadata)) > LARGEST_METADATA:
        raise ValueError(f"may have at most {LARGEST_METADATA} characters")
    return metadata


Metadata = Annotated[
    dict[str, JsonValue],
    AfterValidator(bounded),
    AfterValidator(storable),
    Field(description="Yours; echoed everywhere."),
]


ExternalId = Annotated[Text, Field(min_length=1, max_length=200)]


class CreateRequest(Wire):
    """What every creating call may say beside the model's own words."""

    external_id: ExternalId | None = Field(
        None, description="Your own id of the job, unique among yours: the job is found by it as by ours."
    )
    campaign_id: UUID | None = None
    clip_id: UUID | None = Field(None, description="The clip that the finished media goes to.")
    confirm: bool = Field(False, description="Needed above the interactive budget.")
    metadata: Metadata = Field(default_factory=dict)


class WordsRequest(CreateRequest):
    """The model's words beside ours. Fields that only some models take (`seed`, `negativePrompt`, ...) may be added."""

    model_config = ConfigDict(extra="allow")

    choosing: ClassVar[frozenset[str]] = frozenset({"model"})
    """Words that choose the model, and are no input of it."""

    model: str | None = Field(None, description="A name from `GET /api/models`; without one, the default.")

    def words(self) -> dict[str, Any]:
        """The model's input as the client spelled it."""
        return self.model_dump(by_alias=True, exclude={*CreateRequest.model_fields, *self.choosing}, exclude_unset=True)

    def said(self) -> dict[str, Any]:
        """All that the client said of what to make: the model's input, and what chose the model."""
        return self.model_dump(mode="json", by_alias=True, exclude={*CreateRequest.model_fields}, exclude_unset=True)


Words = Any


class VideoRequest(WordsRequest):
    choosing = frozenset({"model", "quality"})

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


class JobRequest(CreateRequest):
    model_config = ConfigDict(extra="forbid")

    model: str = Field(description="A name from `GET /api/models`, or the provider's own.")
    input: dict[str, JsonValue] = Field({}, description="The model's words, in our spelling or the provider's.")


class CampaignRequest(Wire):
    model_config = ConfigDict(extra="forbid")

    name: Text = Field(min_length=1, max_length=200)
    metadata: Metadata = Field(default_factory=dict)


class ClipRequest(Wire):
    model_config = ConfigDict(extra="forbid")

    title: Text = Field("", max_length=200)
    position: int = Field(0, ge=0, le=1_000_000)
    metadata: Metadata = Field(default_factory=dict)

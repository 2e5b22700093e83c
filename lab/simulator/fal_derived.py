"""Endpoints that are known by Reelay's catalogue alone: they take what it says, and answer as their kind does."""

from typing import Any, ClassVar

from pydantic import BaseModel, create_model, model_validator

from lab.simulator.fal_models import (
    SENTENCE,
    AudioOutput,
    FalInput,
    File,
    ImagesOutput,
    TranscriptOutput,
    VideoOutput,
)
from lab.simulator.samples import Medium
from reelay.catalog.errors import InvalidInput
from reelay.catalog.model import Model
from reelay.domain.generation import JobType

MADE: dict[JobType, tuple[Medium | None, type[BaseModel], str]] = {
    JobType.VIDEO: (Medium.VIDEO, VideoOutput, "text-to-video"),
    JobType.VIDEO_VEO31: (Medium.VIDEO, VideoOutput, "text-to-video"),
    JobType.FIRST_FRAME: (Medium.IMAGE, ImagesOutput, "text-to-image"),
    JobType.VOICE: (Medium.AUDIO, AudioOutput, "text-to-speech"),
    JobType.AMBIENT: (Medium.AUDIO, AudioOutput, "text-to-audio"),
    JobType.TRANSCRIPTION: (None, TranscriptOutput, "speech-to-text"),
}
"""What is made, how the answer has it, and the category."""


class DerivedInput(FalInput):
    source: ClassVar[Model]

    @model_validator(mode="before")
    @classmethod
    def _fits_the_catalogue(cls, given: dict[str, Any]) -> dict[str, Any]:
        known = {item.provider_name for item in cls.source.inputs.values()}
        try:
            return cls.source.arguments({name: value for name, value in given.items() if name in known})
        except InvalidInput as error:
            raise ValueError(str(error)) from error

    @property
    def outputs(self) -> int:
        return int(getattr(self, "num_images", None) or 1)

    @property
    def billable_units(self) -> float:
        units = self.source.units(self.model_dump(exclude_none=True))
        return 1.0 if units is None else float(units)

    def result(self, files: list[File]) -> dict[str, Any]:
        match self.medium:
            case Medium.IMAGE:
                return {"images": files}
            case None:
                chunk = {"timestamp": [0.0, 7.2], "text": SENTENCE}
                return {"text": SENTENCE, "chunks": [chunk]}
        return {next(iter(self.output.model_fields)): next(iter(files), None)}


def derived(source: Model) -> type[FalInput]:
    medium, output, category = MADE[source.job_type]
    fields: dict[str, Any] = {item.provider_name: (Any, None) for item in source.inputs.values()}
    made = create_model("".join(part.title() for part in source.name.split("-")), __base__=DerivedInput, **fields)
    made.source, made.medium, made.output, made.category = source, medium, output, category
    return made

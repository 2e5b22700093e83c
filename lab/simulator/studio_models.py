"""What the studio backend takes."""

from collections.abc import Mapping

from pydantic import Field

from lab.simulator.model_input import ModelInput
from lab.simulator.samples import Medium


class StudioVideo(ModelInput):
    medium = Medium.VIDEO

    prompt: str = Field(min_length=1)
    duration: str = "8"
    aspect_ratio: str = "16:9"
    negative_prompt: str | None = None
    num_videos: int = Field(1, ge=1, le=8)
    seed: int | None = None
    person_generation: str = "ALLOW_ALL"
    input_image_base64: str | None = None

    @property
    def outputs(self) -> int:
        return self.num_videos


class StudioVideoFromImage(StudioVideo):
    image_url: str = Field(min_length=1)


MODELS: Mapping[str, type[ModelInput]] = {
    "studio/video": StudioVideo,
    "studio/image-to-video": StudioVideoFromImage,
}

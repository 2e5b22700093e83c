"""Replicate's models: what each accepts and how its output looks, as their pages say.

`owner/name:version` is run by version, `owner/name` (an official model) by name.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from lab.simulator.model_input import ModelInput
from lab.simulator.samples import Medium

URI = {"type": "string", "title": "Output", "format": "uri"}
URIS = {"type": "array", "title": "Output", "items": {"type": "string", "format": "uri"}}


class ReplicateInput(ModelInput):
    @abstractmethod
    def output(self, urls: list[str]) -> Any:
        """What the prediction's `output` is, around its files."""

    @classmethod
    @abstractmethod
    def output_schema(cls) -> dict[str, Any]:
        """Of the version's `openapi_schema`."""


class OneFile(ReplicateInput):
    def output(self, urls: list[str]) -> str:
        return urls[0]

    @classmethod
    def output_schema(cls) -> dict[str, Any]:
        return URI


class SeveralFiles(ReplicateInput):
    def output(self, urls: list[str]) -> list[str]:
        return urls

    @classmethod
    def output_schema(cls) -> dict[str, Any]:
        return URIS


class Zeroscope(SeveralFiles):
    medium = Medium.VIDEO

    prompt: str = "An astronaut riding a horse"
    negative_prompt: str | None = None
    num_frames: int = 24
    num_inference_steps: int = Field(50, ge=1, le=500)
    width: int = Field(576, ge=256)
    height: int = Field(320, ge=256)
    guidance_scale: float = Field(7.5, ge=1, le=100)
    fps: int = 8
    model: Literal["xl", "576w", "potat1", "animov-512x"] = "xl"
    batch_size: int = Field(1, ge=1)
    remove_watermark: bool = False
    seed: int | None = None

    @property
    def outputs(self) -> int:
        return self.batch_size


class Seedance(OneFile):
    medium = Medium.VIDEO

    prompt: str
    image: str | None = None
    duration: int = Field(5, ge=2, le=12)
    resolution: Literal["480p", "720p", "1080p"] = "720p"
    aspect_ratio: Literal["16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "9:21"] = "16:9"
    fps: Literal[24] = 24
    camera_fixed: bool = False
    seed: int | None = None


class FluxSchnell(SeveralFiles):
    medium = Medium.IMAGE

    prompt: str
    aspect_ratio: Literal["1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21"] = "1:1"
    num_outputs: int = Field(1, ge=1, le=4)
    num_inference_steps: int = Field(4, ge=1, le=4)
    seed: int | None = None
    output_format: Literal["webp", "jpg", "png"] = "webp"
    output_quality: int = Field(80, ge=0, le=100)
    disable_safety_checker: bool = False
    go_fast: bool = True
    megapixels: Literal["1", "0.25"] = "1"

    @property
    def outputs(self) -> int:
        return self.num_outputs


class Speech(OneFile):
    medium = Medium.AUDIO

    text: str = Field(max_length=10_000)
    voice_id: str = "Wise_Woman"
    speed: float = Field(1, ge=0.5, le=2)
    volume: float = Field(1, ge=0, le=10)
    pitch: int = Field(0, ge=-12, le=12)
    emotion: str = "auto"
    audio_format: Literal["mp3", "wav", "flac", "pcm"] = "mp3"
    english_normalization: bool = False


MODELS: Mapping[str, type[ReplicateInput]] = {
    "anotherjesse/zeroscope-v2-xl:9f747673945c62801b13b84701c783929c0ee784e4748ec062204894dda1a351": Zeroscope,
    "bytedance/seedance-1-lite": Seedance,
    "black-forest-labs/flux-schnell": FluxSchnell,
    "minimax/speech-02-turbo": Speech,
}

"""Endpoints of fal that Reelay's catalogue does not know: of every category, with files of every kind and with none."""

import base64
from typing import Any, Literal

from pydantic import BaseModel, Field

from lab.simulator.fal_models import (
    FalFile,
    FalInput,
    File,
    ImageInput,
    ImagesOutput,
    NamedSize,
    Size,
    VideoInput,
    VideoOutput,
)
from lab.simulator.samples import Medium

ONE_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG."""
STEMS = ("vocals", "drums", "bass", "other")


class Lora(BaseModel):
    path: str = Field(min_length=1, description="URL or path of the weights.")
    scale: float = Field(1, ge=0, le=4)


class LtxVideo(VideoInput):
    prompt: str = Field(min_length=1, description="The prompt to generate the video from.")
    negative_prompt: str = "low quality, worst quality"
    seed: int | None = None
    num_inference_steps: int = Field(30, ge=1, le=50)
    guidance_scale: float = Field(3, gt=1, le=10)
    loras: list[Lora] = Field([], max_length=3)

    @property
    def billable_units(self) -> float:
        return 1.0

    def result(self, files: list[File]) -> dict[str, Any]:
        return {**super().result(files), "seed": self.seed or 1}


class MattedVideo(VideoOutput):
    mask_video: FalFile | None = None


class BackgroundRemoval(VideoInput):
    category = "video-to-video"
    output = MattedVideo

    video_url: str = Field(min_length=1, description="URL of the video to remove the background from.")
    output_mask: bool = False

    @property
    def media(self) -> list[Medium]:
        return [Medium.VIDEO] * (1 + self.output_mask)

    @property
    def billable_units(self) -> float:
        return 110.0

    def result(self, files: list[File]) -> dict[str, Any]:
        return {"video": next(iter(files), None), "mask_video": files[1] if len(files) > 1 else None}


class Recraft(FalInput):
    """Its answer carries the pictures themselves where that is asked for."""

    category = "text-to-image"
    output = ImagesOutput

    prompt: str = Field(min_length=1, max_length=1000)
    image_size: NamedSize | Size = "square_hd"
    style: Literal["any", "realistic_image", "digital_illustration"] = "realistic_image"
    num_images: int = Field(1, ge=1, le=6)
    sync_mode: bool = False

    @property
    def media(self) -> list[Medium]:
        return [] if self.sync_mode else [Medium.IMAGE] * self.num_images

    @property
    def billable_units(self) -> float:
        return float(self.num_images)

    def result(self, files: list[File]) -> dict[str, Any]:
        if self.sync_mode:
            # One after the other: files that are equal are one file.
            pictures = [ONE_PIXEL + bytes([number]) for number in range(self.num_images)]
            files = [{"url": f"data:image/png;base64,{base64.b64encode(each).decode()}"} for each in pictures]
        return {"images": files}


class Photon(ImageInput):
    prompt: str = Field(min_length=3, max_length=5000)
    image_size: NamedSize | Size = "landscape_4_3"

    @property
    def billable_units(self) -> float:
        return 1.0 * self.num_images


class Speech(BaseModel):
    audio: str = Field(description="The speech: its bytes in hexadecimal, or its URL.")


class F5Tts(FalInput):
    """Its answer is the sound in hexadecimal, unless an address is asked for."""

    category = "text-to-speech"
    medium = Medium.AUDIO
    output = Speech

    gen_text: str = Field(min_length=1, description="The text to be converted to speech.")
    ref_audio_url: str = Field(min_length=1, description="The URL of the reference audio file.")
    output_format: Literal["hex", "url"] = "hex"

    @property
    def billable_units(self) -> float:
        return len(self.gen_text) / 1000

    def result(self, files: list[File]) -> dict[str, Any]:
        if not files:
            return {"audio": None}
        return {"audio": silence().hex() if self.output_format == "hex" else files[0]["url"]}


def silence() -> bytes:
    """A tenth of a second of it, as a WAV file."""
    samples = bytes(1600)
    header = (16).to_bytes(4, "little") + b"\1\0\1\0" + (8000).to_bytes(4, "little") * 2 + b"\1\0\x08\0"
    body = b"WAVEfmt " + header + b"data" + len(samples).to_bytes(4, "little") + samples
    return b"RIFF" + len(body).to_bytes(4, "little") + body


class ModelOutput(BaseModel):
    model_glb: FalFile
    model_glb_pbr: FalFile | None = None
    model_mesh: FalFile
    thumbnail: FalFile | None = None
    seed: int


class Hunyuan3d(FalInput):
    """A shape, an archive of its mesh and textures, and a picture of it."""

    category = "image-to-3d"
    output = ModelOutput

    input_image_url: str = Field(min_length=1, description="URL of image to use while generating the 3D model.")
    octree_resolution: int = Field(256, ge=1, le=1024)
    textured_mesh: bool = False

    @property
    def media(self) -> list[Medium]:
        return [Medium.SHAPE, Medium.ARCHIVE, Medium.IMAGE]

    @property
    def billable_units(self) -> float:
        return 1.0

    def result(self, files: list[File]) -> dict[str, Any]:
        names = ("model_glb", "model_mesh", "thumbnail")
        return {**dict(zip(names, files, strict=False)), "model_glb_pbr": None, "seed": 7}


class StemsOutput(BaseModel):
    stems: dict[str, FalFile]


class Demucs(FalInput):
    category = "audio-to-audio"
    output = StemsOutput

    audio_url: str = Field(min_length=1, description="URL of the audio file to separate into stems.")
    stems: list[Literal["vocals", "drums", "bass", "other"]] | None = None

    @property
    def media(self) -> list[Medium]:
        return [Medium.AUDIO] * len(self.stems or STEMS)

    @property
    def billable_units(self) -> float:
        return 30.0

    def result(self, files: list[File]) -> dict[str, Any]:
        return {"stems": dict(zip(self.stems or STEMS, files, strict=False))}


class TrainingOutput(BaseModel):
    diffusers_lora_file: FalFile
    config_file: FalFile | None = None


class LoraTraining(FalInput):
    category = "training"
    output = TrainingOutput

    images_data_url: str = Field(min_length=1, description="URL to a zip archive with images.")
    trigger_word: str | None = None
    steps: int = Field(1000, ge=1, le=10_000)

    @property
    def media(self) -> list[Medium]:
        return [Medium.WEIGHTS]

    @property
    def billable_units(self) -> float:
        return float(self.steps)

    def result(self, files: list[File]) -> dict[str, Any]:
        return {"diffusers_lora_file": next(iter(files), None), "config_file": None}


class TextOutput(BaseModel):
    output: str
    reasoning: str | None = None


class VisualQuery(FalInput):
    category = "vision"
    output = TextOutput

    image_url: str = Field(min_length=1)
    prompt: str = Field(min_length=1)

    @property
    def billable_units(self) -> float:
        return 2.0

    def result(self, files: list[File]) -> dict[str, Any]:
        return {"output": "A lighthouse.", "reasoning": None}


class AnyLlm(FalInput):
    category = "llm"
    output = TextOutput

    prompt: str = Field(min_length=1)
    model: Literal["google/gemini-2.5-flash", "meta-llama/llama-4-scout"] = "google/gemini-2.5-flash"
    temperature: float | None = Field(None, ge=0, le=2)

    @property
    def billable_units(self) -> float:
        return 1.0

    def result(self, files: list[File]) -> dict[str, Any]:
        return {"output": f"You said: {self.prompt}", "reasoning": None}

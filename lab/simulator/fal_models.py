"""fal's models: what each accepts, what its answer looks like and what it bills, as their schemas say."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from lab.simulator.faults import Fault, parse_faults
from lab.simulator.model_input import ModelInput
from lab.simulator.samples import Medium

File = dict[str, Any]
SafetyTolerance = Literal["1", "2", "3", "4", "5", "6"]
NamedSize = Literal["square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"]
PIXELS_PER_MEGAPIXEL = 1024 * 1024
"""1024 x 1024 is billed as one megapixel."""
PIXELS: Mapping[str, int] = {
    "square_hd": 1024 * 1024,
    "square": 512 * 512,
    "portrait_4_3": 768 * 1024,
    "portrait_16_9": 576 * 1024,
    "landscape_4_3": 1024 * 768,
    "landscape_16_9": 1024 * 576,
}
SENTENCE = "The quick brown fox jumps over the lazy dog and runs along the river until the night falls."
TRANSCRIPT = " ".join([SENTENCE] * 15)
SECONDS_PER_WORD = 0.4


class FalFile(BaseModel):
    """As fal's documents describe it."""

    model_config = ConfigDict(title="File")

    url: str = Field(description="The URL where the file can be downloaded from.")
    content_type: str | None = Field(None, description="The mime type of the file.")
    file_name: str | None = Field(None, description="The name of the file.")
    file_size: int | None = Field(None, description="The size of the file in bytes.")


class FalInput(ModelInput):
    category: ClassVar[str] = "text-to-video"
    output: ClassVar[type[BaseModel]]
    """What `result` answers, as the endpoint's document describes it."""

    @property
    @abstractmethod
    def billable_units(self) -> float:
        """In the unit of the model's price."""

    @abstractmethod
    def result(self, files: list[File]) -> dict[str, Any]:
        """The answer around its files; with no files, an answer without media."""


class Size(BaseModel):
    width: int = Field(gt=0, le=14142)
    height: int = Field(gt=0, le=14142)


class VideoOutput(BaseModel):
    video: FalFile


class ImagesOutput(BaseModel):
    images: list[FalFile]


class AudioOutput(BaseModel):
    audio: FalFile


class TranscriptOutput(BaseModel):
    text: str
    chunks: list[dict[str, Any]]


class VideoInput(FalInput):
    medium = Medium.VIDEO
    output = VideoOutput

    def result(self, files: list[File]) -> dict[str, Any]:
        return {"video": next(iter(files), None)}


class Veo(VideoInput):
    prompt: str = Field(min_length=1, max_length=20_000)
    aspect_ratio: Literal["16:9", "9:16"] = "16:9"
    duration: Literal["4s", "6s", "8s"] = "8s"
    resolution: Literal["720p", "1080p"] = "720p"
    generate_audio: bool = True
    negative_prompt: str | None = None
    seed: int | None = None
    auto_fix: bool = True
    safety_tolerance: SafetyTolerance = "4"

    @property
    def billable_units(self) -> float:
        return float(self.duration.removesuffix("s"))


class VeoFromImage(Veo):
    image_url: str = Field(min_length=1)
    aspect_ratio: Literal["auto", "16:9", "9:16"] = "auto"  # type: ignore[assignment]  # an image has a shape to keep
    auto_fix: bool = False


class Veo31(Veo):
    resolution: Literal["720p", "1080p", "4k"] = "720p"  # type: ignore[assignment]  # the 3.1 family adds 4k


class Veo31FromImage(VeoFromImage, Veo31):
    resolution: Literal["720p", "1080p", "4k"] = "720p"  # type: ignore[assignment]  # the 3.1 family adds 4k


class Kling(VideoInput):
    prompt: str = Field(min_length=1, max_length=2500)
    duration: Literal["5", "10"] = "5"
    negative_prompt: str = "blur, distort, and low quality"
    cfg_scale: float = Field(0.5, ge=0, le=1)

    @property
    def billable_units(self) -> float:
        return float(self.duration)


class KlingFromText(Kling):
    aspect_ratio: Literal["16:9", "9:16", "1:1"] = "16:9"


class KlingFromImage(Kling):
    image_url: str = Field(min_length=1)
    tail_image_url: str | None = None


class Seedance2(VideoInput):
    prompt: str = Field(min_length=1)
    duration: Literal["auto", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"] = "auto"
    resolution: Literal["480p", "720p", "1080p", "4k"] = "720p"
    aspect_ratio: Literal["auto", "21:9", "16:9", "4:3", "1:1", "3:4", "9:16"] = "auto"
    generate_audio: bool = True
    seed: int | None = None

    @property
    def billable_units(self) -> float:
        """Thousands of tokens, of a picture in 16:9."""
        pixels = {"480p": 854 * 480, "720p": 1280 * 720, "1080p": 1920 * 1080, "4k": 3840 * 2160}[self.resolution]
        seconds = 5 if self.duration == "auto" else int(self.duration)
        return pixels * seconds * 24 / 1024 / 1000

    def result(self, files: list[File]) -> dict[str, Any]:
        return {**super().result(files), "seed": self.seed or 42}


class Seedance2FromImage(Seedance2):
    image_url: str = Field(min_length=1)
    end_image_url: str | None = None


class CogVideo(VideoInput):
    prompt: str = Field(min_length=1)
    video_size: NamedSize | Size = Size(width=720, height=480)
    negative_prompt: str = ""
    num_inference_steps: int = Field(50, ge=1, le=50)
    guidance_scale: float = Field(7, ge=0, le=20)
    use_rife: bool = True
    export_fps: int = Field(16, ge=4, le=32)
    seed: int = 42

    @property
    def billable_units(self) -> float:
        return 1.0

    def result(self, files: list[File]) -> dict[str, Any]:
        return {**super().result(files), "timings": {}, "seed": self.seed, "prompt": self.prompt}


class CogVideoFromImage(CogVideo):
    image_url: str = Field(min_length=1)


class ImageInput(FalInput):
    category = "text-to-image"
    medium = Medium.IMAGE
    output = ImagesOutput

    prompt: str = Field(min_length=1)
    num_images: int = Field(1, ge=1, le=4)
    sync_mode: bool = False

    @property
    def outputs(self) -> int:
        return self.num_images

    @property
    def billable_units(self) -> float:
        return float(self.num_images)

    def result(self, files: list[File]) -> dict[str, Any]:
        return {"images": files}


class NanoBanana(ImageInput):
    aspect_ratio: Literal["21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16"] = "1:1"
    output_format: Literal["png", "jpeg", "webp"] = "png"
    safety_tolerance: SafetyTolerance = "4"
    seed: int | None = None
    limit_generations: bool = False

    def result(self, files: list[File]) -> dict[str, Any]:
        return {**super().result(files), "description": ""}


class Flux(ImageInput):
    image_size: NamedSize | Size = "landscape_4_3"
    num_inference_steps: int = Field(28, ge=1, le=50)
    guidance_scale: float = Field(3.5, ge=1, le=20)
    seed: int = 42
    enable_safety_checker: bool = True
    output_format: Literal["jpeg", "png"] = "jpeg"
    acceleration: Literal["none", "regular", "high"] = "none"

    @property
    def billable_units(self) -> float:
        """Megapixels, rounded up."""
        size = self.image_size
        pixels = size.width * size.height if isinstance(size, Size) else PIXELS[size]
        return float(math.ceil(pixels / PIXELS_PER_MEGAPIXEL) * self.num_images)

    def result(self, files: list[File]) -> dict[str, Any]:
        flags = [Fault.RESULT_NSFW in parse_faults(self.prompt)] * self.num_images
        about = {"timings": {}, "seed": self.seed, "has_nsfw_concepts": flags, "prompt": self.prompt}
        return {**super().result(files), **about}


class AudioInput(FalInput):
    category = "text-to-audio"
    medium = Medium.AUDIO
    output = AudioOutput

    def result(self, files: list[File]) -> dict[str, Any]:
        return {"audio": next(iter(files), None)}


class Chatterbox(AudioInput):
    category = "text-to-speech"

    text: str = Field(min_length=1, max_length=5000)
    audio_url: str | None = None
    exaggeration: float = Field(0.25, ge=0, le=1)
    temperature: float = Field(0.7, ge=0.05, le=2)
    cfg: float = Field(0.5, ge=0.1, le=1)
    seed: int | None = None

    @property
    def billable_units(self) -> float:
        """Thousands of characters."""
        return len(self.text) / 1000


class SoundEffects(AudioInput):
    text: str = Field(min_length=1, max_length=450)
    duration_seconds: float | None = Field(None, ge=0.5, le=22)
    prompt_influence: float = Field(0.3, ge=0, le=1)
    loop: bool = False
    output_format: str = Field("mp3_44100_128", pattern=r"^(mp3|pcm|ulaw|alaw|opus)_\d+(_\d+)?$")

    @property
    def billable_units(self) -> float:
        return self.duration_seconds or 5.0


class Transcription(FalInput):
    category = "speech-to-text"
    output = TranscriptOutput

    audio_url: str = Field(min_length=1)
    task: Literal["transcribe", "translate"] = "transcribe"
    language: str | None = None

    @property
    def billable_units(self) -> float:
        """Compute seconds."""
        return 1.0

    @property
    def transcript(self) -> str:
        return TRANSCRIPT

    def chunks(self, words_per_chunk: int) -> list[dict[str, Any]]:
        words = self.transcript.split()
        return [
            {
                "timestamp": [
                    round(start * SECONDS_PER_WORD, 2),
                    round((start + words_per_chunk) * SECONDS_PER_WORD, 2),
                ],
                "text": " ".join(words[start : start + words_per_chunk]),
            }
            for start in range(0, len(words), words_per_chunk)
        ]


class Whisper(Transcription):
    diarize: bool = False
    chunk_level: Literal["none", "segment", "word"] = "segment"
    version: Literal["3"] = "3"
    batch_size: int = Field(64, ge=1, le=64)
    prompt: str = ""
    num_speakers: int | None = Field(None, ge=1)

    @property
    def transcript(self) -> str:
        sentences = parse_faults(self.prompt).times.get(Fault.TRANSCRIPT_LONG)
        return " ".join([SENTENCE] * sentences) if sentences else TRANSCRIPT

    def result(self, files: list[File]) -> dict[str, Any]:
        sizes = {"none": len(self.transcript.split()), "segment": len(SENTENCE.split()), "word": 1}
        return {
            "text": self.transcript,
            "chunks": self.chunks(sizes[self.chunk_level]),
            "inferred_languages": [self.language or "en"],
            "diarization_segments": [],
        }


class Wizper(Transcription):
    language: str | None = "en"
    chunk_level: Literal["segment"] = "segment"
    version: Literal["3"] = "3"
    max_segment_len: int = Field(29, ge=1, le=29)
    merge_chunks: bool = True

    def result(self, files: list[File]) -> dict[str, Any]:
        chunks = self.chunks(len(SENTENCE.split()))
        return {"text": self.transcript, "chunks": chunks, "languages": [self.language or "en"]}

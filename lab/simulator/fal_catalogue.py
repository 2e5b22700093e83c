"""fal's endpoints by id, and what each costs."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from lab.simulator.fal_derived import derived
from lab.simulator.fal_models import (
    Chatterbox,
    CogVideo,
    CogVideoFromImage,
    FalInput,
    Flux,
    KlingFromImage,
    KlingFromText,
    NanoBanana,
    Seedance2,
    Seedance2FromImage,
    SoundEffects,
    Veo,
    Veo31,
    Veo31FromImage,
    VeoFromImage,
    Whisper,
    Wizper,
)
from lab.simulator.fal_other_models import (
    AnyLlm,
    BackgroundRemoval,
    Demucs,
    F5Tts,
    Hunyuan3d,
    LoraTraining,
    LtxVideo,
    Photon,
    Recraft,
    VisualQuery,
)
from reelay.catalog.loader import load_catalog
from reelay.catalog.model import Model
from reelay.domain.generation import ProviderName


class Listed(NamedTuple):
    """An endpoint as fal's platform lists it."""

    model: type[FalInput]
    unit: str
    unit_price: float
    """US dollars."""
    is_deprecated: bool = False


def _listed(model: Model) -> Listed:
    """By what the catalogue says of it."""
    price = model.price
    unit, cents = (price.unit, price.rates[-1].cents) if price and price.billed_in_unit else ("units", Decimal(100))
    return Listed(derived(model), unit, float(cents) / 100)


OWN: Mapping[str, Listed] = {
    "fal-ai/veo3/fast": Listed(Veo, "seconds", 0.15),
    "fal-ai/veo3/fast/image-to-video": Listed(VeoFromImage, "seconds", 0.15),
    "fal-ai/veo3.1": Listed(Veo31, "seconds", 0.4),
    "fal-ai/veo3.1/fast": Listed(Veo31, "seconds", 0.15),
    "fal-ai/veo3.1/image-to-video": Listed(Veo31FromImage, "seconds", 0.4),
    "fal-ai/veo3.1/fast/image-to-video": Listed(Veo31FromImage, "seconds", 0.15),
    "fal-ai/kling-video/v2.5-turbo/pro/text-to-video": Listed(KlingFromText, "seconds", 0.07),
    "fal-ai/kling-video/v2.5-turbo/pro/image-to-video": Listed(KlingFromImage, "seconds", 0.07),
    "bytedance/seedance-2.0/text-to-video": Listed(Seedance2, "1000 tokens", 0.014),
    "bytedance/seedance-2.0/image-to-video": Listed(Seedance2FromImage, "1000 tokens", 0.014),
    "fal-ai/cogvideox-5b": Listed(CogVideo, "videos", 0.2),
    "fal-ai/cogvideox-5b/image-to-video": Listed(CogVideoFromImage, "videos", 0.2),
    "fal-ai/nano-banana": Listed(NanoBanana, "images", 0.039),
    "fal-ai/flux/dev": Listed(Flux, "megapixels", 0.025),
    "fal-ai/chatterbox/text-to-speech": Listed(Chatterbox, "1000 characters", 0.025),
    "fal-ai/elevenlabs/sound-effects/v2": Listed(SoundEffects, "seconds", 0.002),
    "fal-ai/whisper": Listed(Whisper, "compute seconds", 0.00111),
    "fal-ai/wizper": Listed(Wizper, "compute seconds", 0.00111),
    # What Reelay's catalogue does not know.
    "fal-ai/ltx-video": Listed(LtxVideo, "videos", 0.02),
    "fal-ai/birefnet/v2/video": Listed(BackgroundRemoval, "megapixels", 0.0008),
    "fal-ai/recraft/v3/text-to-image": Listed(Recraft, "images", 0.04),
    "fal-ai/luma-photon": Listed(Photon, "megapixels", 0.019),
    "fal-ai/f5-tts": Listed(F5Tts, "1000 characters", 0.05),
    "fal-ai/hunyuan3d-v21": Listed(Hunyuan3d, "generations", 0.3),
    "fal-ai/demucs": Listed(Demucs, "seconds", 0.0007),
    "fal-ai/flux-lora-fast-training": Listed(LoraTraining, "steps", 0.002),
    "fal-ai/moondream2/visual-query": Listed(VisualQuery, "compute seconds", 0.00017),
    "fal-ai/any-llm": Listed(AnyLlm, "units", 1),
    "fal-ai/stable-cascade": Listed(Photon, "images", 0.02, is_deprecated=True),
}
ENDPOINTS: Mapping[str, Listed] = {
    model.endpoint: _listed(model) for model in load_catalog().models if model.provider is ProviderName.FAL
} | dict(OWN)
MODELS: Mapping[str, type[FalInput]] = {endpoint: listed.model for endpoint, listed in ENDPOINTS.items()}

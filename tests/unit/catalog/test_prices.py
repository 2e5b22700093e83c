"""What a request costs, against the providers' published figures."""

from typing import Any

import pytest

from lab.simulator.fal_catalogue import MODELS
from reelay.catalog.catalog import Catalog
from reelay.domain.money import charge_for
from reelay.settings import Settings

PROMPT = {"prompt": "a fox"}
PICTURE = {"firstFrameUrl": "https://example.com/first.png"}
AUDIO = {"audioUrl": "https://example.com/talk.mp3"}
SILENT = {"generateAudio": False}
UHD = {"resolution": "4k"}


FAL: list[tuple[str, dict[str, Any], int]] = [
    ("veo3.1", PROMPT, 320),
    ("veo3.1", PROMPT | PICTURE, 320),
    ("veo3.1", PROMPT | SILENT, 160),
    ("veo3.1", PROMPT | UHD, 480),
    ("veo3.1", PROMPT | UHD | SILENT, 320),
    ("veo3.1", PROMPT | {"duration": 4, "resolution": "1080p"}, 160),
    ("veo3.1-fast", PROMPT, 120),
    ("veo3.1-fast", PROMPT | PICTURE | SILENT, 80),
    ("veo3.1-fast", PROMPT | UHD, 280),
    ("veo3.1-fast", PROMPT | UHD | SILENT, 240),
    ("veo3.1-lite", PROMPT, 40),
    ("veo3.1-lite", PROMPT | PICTURE | SILENT | {"resolution": "1080p"}, 40),
    ("veo3.1-first-last", PROMPT | PICTURE | {"lastFrameUrl": "https://example.com/last.png"} | UHD, 480),
    ("veo3.1-fast-first-last", PROMPT | PICTURE | {"lastFrameUrl": "https://example.com/last.png"}, 120),
    ("veo3.1-lite-first-last", PROMPT | PICTURE | {"lastFrameUrl": "https://example.com/last.png"}, 40),
    ("veo3.1-reference", PROMPT | {"imageUrls": ["https://example.com/a.png"]}, 320),
    ("veo3.1-extend", PROMPT | {"videoUrl": "https://example.com/a.mp4"}, 280),
    ("veo3.1-fast-extend", PROMPT | SILENT | {"videoUrl": "https://example.com/a.mp4"}, 70),
    ("veo3-fast-text", PROMPT, 120),
    ("veo3-fast", PROMPT | PICTURE | SILENT | {"duration": 4}, 40),
    ("kling-2.5-turbo-pro", PROMPT, 35),
    ("kling-2.5-turbo-pro", PROMPT | {"duration": 10}, 70),
    ("kling-2.5-turbo-pro", PROMPT | PICTURE | {"duration": 10}, 70),
    ("cogvideox-5b-text", PROMPT, 20),
    ("cogvideox-5b", PROMPT | PICTURE, 20),
    ("seedance-2.0", PROMPT, 152),
    ("seedance-2.0", PROMPT | PICTURE | {"duration": 15}, 456),
    ("seedance-2.0", PROMPT | {"duration": 10, "resolution": "1080p"}, 682),
    ("seedance-2.0", PROMPT | {"duration": 15} | UHD, 2340),
    ("nano-banana", PROMPT, 4),
    ("nano-banana", PROMPT | {"numImages": 4}, 16),
    ("flux-dev", PROMPT, 3),
    ("flux-dev", PROMPT | {"aspectRatio": "1:1"}, 3),
    ("flux-dev", PROMPT | {"aspectRatio": {"width": 1920, "height": 1080}}, 5),
    ("flux-dev", PROMPT | {"aspectRatio": {"width": 1920, "height": 1080}, "numImages": 3}, 15),
    ("chatterbox", {"text": "x"}, 1),
    ("chatterbox", {"text": "x" * 1000}, 3),
    ("chatterbox", {"text": "x" * 5000}, 13),
    ("elevenlabs-sound-effects", PROMPT | {"duration": 10}, 2),
    ("elevenlabs-sound-effects", PROMPT | {"duration": 0.5}, 1),
    ("elevenlabs-sound-effects", PROMPT, 5),
    ("kling-3-pro", PROMPT | {"duration": 10}, 140),
    ("kling-o3-standard", PROMPT | PICTURE, 70),
    ("seedance-1.5-pro", PROMPT, 26),
    ("seedance-1.5-pro", PROMPT | SILENT | {"resolution": "1080p"}, 30),
    ("wan-2.7", PROMPT | PICTURE, 50),
    ("ltx-2.3", PROMPT | {"resolution": "2160p"}, 192),
    ("grok-imagine-video", PROMPT, 30),
    ("grok-imagine-image", PROMPT | {"numImages": 4}, 8),
    ("hailuo-2.3", PROMPT | {"duration": 10}, 56),
    ("hailuo-2.3-pro", PROMPT | PICTURE, 49),
    ("nano-banana-2", PROMPT, 8),
    ("nano-banana-2-edit", PROMPT | {"imageUrls": ["https://example.com/a.png"], "resolution": "4K"}, 16),
    ("nano-banana-pro", PROMPT | {"numImages": 2}, 30),
    ("flux-2-pro", PROMPT, 3),
    ("flux-2-pro", PROMPT | {"aspectRatio": {"width": 2048, "height": 1024}}, 5),
    ("flux-2-max", PROMPT, 7),
    ("seedream-4.5", PROMPT, 4),
    ("gpt-image-1.5", PROMPT | {"quality": "medium"}, 5),
    ("eleven-v3", {"text": "x" * 1000}, 10),
    ("minimax-speech-2.8-turbo", {"text": "x" * 500}, 3),
    ("qwen-3-tts", {"text": "x" * 1000}, 9),
    ("elevenlabs-music", PROMPT, 80),
    ("minimax-music-2", PROMPT | {"lyrics": "la la la la"}, 3),
    ("stable-audio-2.5", PROMPT, 20),
    ("mmaudio-2", PROMPT, 1),
    ("mirelo-sfx-1.5", {"videoUrl": "https://example.com/a.mp4"}, 20),
    ("scribe-2", AUDIO, 11),
    ("whisper", AUDIO, 6),
    ("whisper", AUDIO | {"diarize": True}, 12),
    ("wizper", AUDIO, 6),
]
REPLICATE: list[tuple[str, dict[str, Any], int]] = [
    ("zeroscope-v2-xl", PROMPT, 5),
    ("seedance-1-lite", PROMPT, 18),
    ("seedance-1-lite", PROMPT | PICTURE | {"duration": 10, "resolution": "1080p"}, 72),
    ("seedance-1-lite", PROMPT | {"resolution": "480p"}, 9),
    ("flux-schnell", PROMPT, 1),
    ("flux-schnell", PROMPT | {"numImages": 4}, 2),
    ("minimax-speech-02-turbo", {"text": "x" * 1000}, 6),
]


@pytest.mark.parametrize(("name", "words", "cents"), [*FAL, *REPLICATE])
def test_price(catalog: Catalog, name: str, words: dict[str, Any], cents: int) -> None:
    model = catalog.find(name, words)
    assert model.price_cents(model.arguments(words)) == cents


def test_only_what_nobody_knows_in_advance_is_an_estimate(catalog: Catalog) -> None:
    assert {model.name for model in catalog.models if model.price and model.price.estimated} == {
        *("whisper", "wizper", "zeroscope-v2-xl", "scribe-2", "nemotron-asr"),
        *("gemini-tts", "gpt-image-1.5", "mirelo-sfx-1.5"),
    }


def test_only_what_depends_on_the_callers_video_has_no_price(catalog: Catalog) -> None:
    assert {model.name for model in catalog.models if not model.price} == {"sync-lipsync-2", "topaz-upscale-video"}


@pytest.mark.parametrize(("name", "words", "cents"), FAL)
def test_what_the_simulator_counts_costs_what_was_estimated(
    catalog: Catalog, name: str, words: dict[str, Any], cents: int
) -> None:
    model = catalog.find(name, words)
    arguments = model.arguments(words)
    counted = MODELS[model.endpoint].model_validate(arguments).billable_units
    charge = charge_for(cents, model.tariff(arguments), counted)

    leaves_it_open = name == "elevenlabs-sound-effects" and "duration" not in words
    assert (charge.cost_cents, charge.doubt) == (1 if leaves_it_open else cents, None)


def test_compute_seconds_are_no_seconds_of_media(catalog: Catalog) -> None:
    others = {model.name for model in catalog.models if model.price and not model.price.billed_in_unit}
    assert others == {
        *("whisper", "wizper", "seedance-1-lite", "seedance-2.0", "flux-schnell", "minimax-speech-02-turbo"),
        *("seedance-1.5-pro", "elevenlabs-music", "gemini-tts", "gpt-image-1.5", "mirelo-sfx-1.5"),
        *("scribe-2", "nemotron-asr"),
    }


def test_the_usual_interactive_budget_asks_at_a_price_that_exists(catalog: Catalog) -> None:
    model, budget = catalog.find("seedance-2.0"), Settings.model_fields["interactive_budget_cents"].default
    assert model.price_cents(model.arguments(PROMPT)) <= budget
    assert model.price_cents(model.arguments(PROMPT | {"duration": 10, "resolution": "1080p"})) > budget

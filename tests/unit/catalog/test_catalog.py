"""Which model a request means."""

import json
from datetime import timedelta

import pytest

from reelay.catalog.catalog import Catalog
from reelay.catalog.errors import UnknownModel
from reelay.catalog.model import JobKind, Quality
from reelay.domain.generation import JobType

PICTURE = "https://example.com/first.png"
SHORTEST_RETENTION = timedelta(minutes=6)
"""How long fal keeps a result of 10 KB or more."""


@pytest.mark.parametrize(
    ("name", "text", "first_frame"),
    [
        ("veo3.1", "fal-ai/veo3.1", "fal-ai/veo3.1/image-to-video"),
        ("veo3.1-fast", "fal-ai/veo3.1/fast", "fal-ai/veo3.1/fast/image-to-video"),
        (
            "kling-2.5-turbo-pro",
            "fal-ai/kling-video/v2.5-turbo/pro/text-to-video",
            "fal-ai/kling-video/v2.5-turbo/pro/image-to-video",
        ),
        ("seedance-2.0", "bytedance/seedance-2.0/text-to-video", "bytedance/seedance-2.0/image-to-video"),
    ],
)
def test_a_first_frame_picks_the_endpoint_that_takes_one(
    catalog: Catalog, name: str, text: str, first_frame: str
) -> None:
    assert catalog.find(name).endpoint == text
    assert catalog.find(name, {"prompt": "a fox", "firstFrameUrl": None}).endpoint == text
    assert catalog.find(name, {"prompt": "a fox", "firstFrameUrl": PICTURE}).endpoint == first_frame
    assert catalog.find(name, {"prompt": "a fox", "image_url": PICTURE}).endpoint == first_frame
    assert catalog.find(name, {"prompt": "a fox", "inputImageUrl": PICTURE}).endpoint == first_frame
    assert catalog.find(name, {"prompt": "a fox", "images": [PICTURE]}).endpoint == first_frame
    assert catalog.find(name, {"prompt": "a fox", "images": []}).endpoint == text


@pytest.mark.parametrize(
    ("name", "endpoint", "from_text"),
    [
        ("veo3-fast", "fal-ai/veo3/fast/image-to-video", "fal-ai/veo3/fast"),
        ("cogvideox-5b", "fal-ai/cogvideox-5b/image-to-video", "fal-ai/cogvideox-5b"),
    ],
)
def test_a_name_that_demands_a_picture_leaves_another_for_text(
    catalog: Catalog, name: str, endpoint: str, from_text: str
) -> None:
    assert catalog.find(name).endpoint == catalog.find(name, {"inputImageUrl": PICTURE}).endpoint == endpoint
    assert catalog.find(f"{name}-text").endpoint == catalog.find(from_text).endpoint == from_text


@pytest.mark.parametrize(
    ("endpoint", "before", "after", "expected"),
    [
        ("fal-ai/veo3.1", {}, {"firstFrameUrl": PICTURE}, "fal-ai/veo3.1/image-to-video"),
        ("fal-ai/veo3.1/image-to-video", {"image_url": PICTURE}, {}, "fal-ai/veo3.1"),
        ("fal-ai/veo3.1", {}, {"prompt": "a fox"}, "fal-ai/veo3.1"),
        ("fal-ai/veo3.1/image-to-video", {}, {"prompt": "a fox"}, "fal-ai/veo3.1/image-to-video"),
        ("fal-ai/veo3/fast/image-to-video", {"image_url": PICTURE}, {}, "fal-ai/veo3/fast/image-to-video"),
    ],
)
def test_a_first_frame_that_comes_or_goes_picks_the_other_endpoint(
    catalog: Catalog, endpoint: str, before: dict[str, str], after: dict[str, str], expected: str
) -> None:
    assert catalog.sibling(catalog.find(endpoint), before, after).endpoint == expected


def test_every_endpoint_is_a_name_that_overrules_the_words(catalog: Catalog) -> None:
    for model in catalog.models:
        assert catalog.find(model.endpoint) is model
        assert catalog.find(model.endpoint, {"firstFrameUrl": PICTURE}) is model


def test_an_unknown_name_is_answered_with_the_known_ones(catalog: Catalog) -> None:
    with pytest.raises(UnknownModel, match=r'did you mean "veo3\.1"\?') as raised:
        catalog.find("veo-3.1")
    (error,) = raised.value.errors
    assert error.field == "model"
    assert error.value == "veo-3.1"
    assert error.limit == list(raised.value.known)
    assert {"veo3.1", "kling-2.5-turbo-pro", "nano-banana", "chatterbox", "whisper"} <= set(raised.value.known)


def test_a_model_of_another_kind_is_not_found(catalog: Catalog) -> None:
    with pytest.raises(UnknownModel) as raised:
        catalog.find("veo3.1", kind=JobKind.VOICE)
    assert {"chatterbox", "minimax-speech-02-turbo"} <= set(raised.value.known)
    assert "veo3.1" not in raised.value.known


@pytest.mark.parametrize(
    ("kind", "quality", "has_first_frame", "endpoint"),
    [
        (JobKind.VIDEO, Quality.STANDARD, False, "fal-ai/veo3.1"),
        (JobKind.VIDEO, Quality.STANDARD, True, "fal-ai/veo3.1/image-to-video"),
        (JobKind.VIDEO, Quality.FAST, False, "fal-ai/veo3.1/fast"),
        (JobKind.VIDEO, Quality.FAST, True, "fal-ai/veo3.1/fast/image-to-video"),
        (JobKind.FIRST_FRAME, Quality.STANDARD, False, "fal-ai/nano-banana"),
        (JobKind.FIRST_FRAME, Quality.FAST, False, "fal-ai/nano-banana"),
        (JobKind.VOICE, Quality.STANDARD, False, "fal-ai/chatterbox/text-to-speech"),
        (JobKind.AMBIENT, Quality.STANDARD, False, "fal-ai/elevenlabs/sound-effects/v2"),
        (JobKind.TRANSCRIBE, Quality.STANDARD, False, "fal-ai/whisper"),
    ],
)
def test_a_call_without_a_model_gets_the_default_of_its_kind(
    catalog: Catalog, kind: JobKind, quality: Quality, has_first_frame: bool, endpoint: str
) -> None:
    words = {"firstFrameUrl": PICTURE} if has_first_frame else {}
    assert catalog.choose(kind, words, quality=quality).endpoint == endpoint


def test_job_types_are_those_of_the_database(catalog: Catalog) -> None:
    types = {model.name: model.job_type for model in catalog.models}
    assert set(types.values()) == {*JobType} - {JobType.OTHER}
    assert (
        types.items()
        >= {
            "veo3.1": JobType.VIDEO_VEO31,
            "veo3.1-fast": JobType.VIDEO_VEO31,
            "veo3-fast": JobType.VIDEO,
            "veo3-fast-text": JobType.VIDEO,
            "kling-2.5-turbo-pro": JobType.VIDEO,
            "cogvideox-5b": JobType.VIDEO,
            "cogvideox-5b-text": JobType.VIDEO,
            "seedance-2.0": JobType.VIDEO,
            "studio-video": JobType.VIDEO,
            "studio-push": JobType.VIDEO,
            "nano-banana": JobType.FIRST_FRAME,
            "flux-dev": JobType.FIRST_FRAME,
            "chatterbox": JobType.VOICE,
            "elevenlabs-sound-effects": JobType.AMBIENT,
            "whisper": JobType.TRANSCRIPTION,
            "wizper": JobType.TRANSCRIPTION,
            "zeroscope-v2-xl": JobType.VIDEO,
            "seedance-1-lite": JobType.VIDEO,
            "flux-schnell": JobType.FIRST_FRAME,
            "minimax-speech-02-turbo": JobType.VOICE,
            "nano-banana-2-edit": JobType.FIRST_FRAME,
            "eleven-v3": JobType.VOICE,
            "elevenlabs-music": JobType.AMBIENT,
            "mirelo-sfx-1.5": JobType.AMBIENT,
            "scribe-2": JobType.TRANSCRIPTION,
            "sync-lipsync-2": JobType.VIDEO,
        }.items()
    )


def test_a_lost_webhook_is_noticed_while_the_provider_still_has_the_result(catalog: Catalog) -> None:
    for model in catalog.models:
        assert model.timing.patience + model.timing.poll_interval < SHORTEST_RETENTION, model.endpoint


def test_waits_follow_one_another(catalog: Catalog) -> None:
    for model in catalog.models:
        timing = model.timing
        assert timing.poll_interval < timing.expected * 2 <= timing.patience * 2, model.endpoint
        assert timing.patience < timing.adoption_window < timing.deadline, model.endpoint
        assert timing.deadline >= timedelta(minutes=15), model.endpoint


def test_the_public_view_speaks_the_callers_words(catalog: Catalog) -> None:
    view = catalog.find("kling-2.5-turbo-pro", {"firstFrameUrl": PICTURE}).describe()
    inputs = {item["name"]: item for item in view["inputs"]}
    assert view["name"] == "kling-2.5-turbo-pro"
    assert view["type"] == "video"
    assert view["expectedSeconds"] == 85
    assert view["price"]["words"] == "35 cents for the first 5 seconds, then 7 cents per second"
    assert inputs["duration"]["limit"] == [5, 10]
    assert inputs["duration"]["default"] == 5
    assert inputs["firstFrameUrl"]["required"]
    assert inputs["firstFrameUrl"]["aliases"] == ["inputImageUrl", "images"]
    assert inputs["firstFrameUrl"]["providerName"] == "image_url"
    assert "aspectRatio" not in inputs


def test_every_public_view_is_json(catalog: Catalog) -> None:
    for model in catalog.models:
        assert json.loads(json.dumps(model.describe(), allow_nan=False)) == model.describe()


def test_prices_are_told_in_words(catalog: Catalog) -> None:
    words = {model.endpoint: model.price.description for model in catalog.models if model.price}
    assert words["fal-ai/veo3/fast"] == "15 cents per second with generateAudio true; 10 cents per second otherwise"
    assert words["fal-ai/cogvideox-5b"] == "20 cents per video"
    assert words["fal-ai/wizper"] == "about 6 cents per transcription"

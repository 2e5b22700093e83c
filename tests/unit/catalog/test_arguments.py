"""From the caller's words to the provider's arguments, or to every field that is wrong."""

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelay.catalog.catalog import Catalog
from reelay.catalog.errors import FieldError, InvalidInput
from reelay.catalog.loader import load_catalog
from reelay.catalog.model import Model
from reelay.domain.generation import ProviderName

PICTURE = "https://example.com/first.png"
AUDIO = "https://example.com/talk.mp3"
NO_ADDRESS = (
    "must be an absolute http(s) URL without user name or password, or name a file of yours: asset:ID, job:ID, "
    "job:ID/NAME"
)


def wrong_fields(model: Model, words: Mapping[str, Any]) -> dict[str, FieldError]:
    with pytest.raises(InvalidInput) as raised:
        model.arguments(words)
    return {error.field: error for error in raised.value.errors}


def test_defaults_are_the_providers_own(catalog: Catalog) -> None:
    assert catalog.find("veo3.1").arguments({"prompt": "a fox"}) == {
        "prompt": "a fox",
        "duration": "8s",
        "aspect_ratio": "16:9",
        "resolution": "720p",
        "generate_audio": True,
        "auto_fix": True,
        "safety_tolerance": "4",
    }
    assert catalog.find("cogvideox-5b-text").arguments({"prompt": "a fox"}) == {
        "prompt": "a fox",
        "negative_prompt": "",
        "video_size": {"width": 720, "height": 480},
        "num_inference_steps": 50,
        "guidance_scale": 7,
        "use_rife": True,
        "export_fps": 16,
    }
    assert catalog.find("flux-dev").arguments({"prompt": "a fox"})["image_size"] == "landscape_4_3"
    assert catalog.find("wizper").arguments({"audioUrl": AUDIO})["language"] == "en"
    assert "language" not in catalog.find("whisper").arguments({"audioUrl": AUDIO})


def test_changes_replace_every_spelling_of_their_input_and_null_removes_it(catalog: Catalog) -> None:
    model = catalog.find("veo3.1", {"firstFrameUrl": PICTURE})
    sent = {"prompt": "a fox", "images": [PICTURE], "aspect_ratio": "16:9", "quality": "fast"}

    changed = model.with_changes(sent, {"image_url": "asset:1", "aspectRatio": None, "colour": None})
    assert changed == {"prompt": "a fox", "quality": "fast", "image_url": "asset:1", "colour": None}
    assert model.with_changes(sent, {}) == sent


def test_the_first_frame_changes_the_defaults_of_veo(catalog: Catalog) -> None:
    words = {"prompt": "a fox", "firstFrameUrl": PICTURE}
    arguments = catalog.find("veo3.1", words).arguments(words)
    assert arguments["image_url"] == PICTURE
    assert arguments["aspect_ratio"] == "auto"
    assert arguments["auto_fix"] is False


@pytest.mark.parametrize("duration", [6, 6.0, "6", "6s", "6.0"])
def test_a_duration_takes_the_form_that_the_provider_wants(catalog: Catalog, duration: object) -> None:
    veo, sound = catalog.find("veo3.1"), catalog.find("elevenlabs-sound-effects")
    assert veo.arguments({"prompt": "a fox", "duration": duration})["duration"] == "6s"
    assert sound.arguments({"prompt": "rain", "duration": duration})["duration_seconds"] == 6
    kling = catalog.find("kling-2.5-turbo-pro")
    assert kling.arguments({"prompt": "a fox", "duration": 10})["duration"] == "10"


@pytest.mark.parametrize(
    "duration", [True, 5, 6.5, -6, "six", "6 s", "٦", "6s\n", "", [], {}, math.nan, math.inf, 10**400]
)
def test_other_durations_are_refused_with_the_allowed_ones(catalog: Catalog, duration: object) -> None:
    errors = wrong_fields(catalog.find("veo3.1"), {"prompt": "a fox", "duration": duration})
    assert list(errors) == ["duration"]
    assert errors["duration"].limit == [4, 6, 8]
    assert errors["duration"].message == "must be one of 4, 6, 8 seconds"


def test_the_callers_words_are_the_same_for_every_model(catalog: Catalog) -> None:
    wide = {"prompt": "a fox", "aspectRatio": "16:9"}
    assert catalog.find("nano-banana").arguments(wide)["aspect_ratio"] == "16:9"
    assert catalog.find("flux-dev").arguments(wide)["image_size"] == "landscape_16_9"
    assert catalog.find("elevenlabs-sound-effects").arguments({"prompt": "rain"})["text"] == "rain"


def test_the_providers_own_words_do_as_well(catalog: Catalog) -> None:
    model = catalog.find("flux-dev")
    assert model.arguments({"prompt": "a fox", "image_size": "square"})["image_size"] == "square"
    size = {"width": 1920, "height": 1080}
    assert model.arguments({"prompt": "a fox", "image_size": size})["image_size"] == size
    assert catalog.find("veo3.1").arguments({"prompt": "a fox", "safety_tolerance": 2})["safety_tolerance"] == "2"


@pytest.mark.parametrize(
    ("name", "words", "argument"),
    [
        ("veo3.1", {"inputImageUrl": PICTURE}, {"image_url": PICTURE}),
        ("veo3.1", {"images": [PICTURE]}, {"image_url": PICTURE}),
        ("veo3.1", {"durationSeconds": 6}, {"duration": "6s"}),
        ("veo3.1", {"ratio": "9:16"}, {"aspect_ratio": "9:16"}),
        ("seedance-1-lite", {"images": [PICTURE], "durationSeconds": 7}, {"image": PICTURE, "duration": 7}),
        ("cogvideox-5b-text", {"fps": 8, "cfg": 5}, {"export_fps": 8, "guidance_scale": 5}),
        ("kling-2.5-turbo-pro", {"cfg": 0.7}, {"cfg_scale": 0.7}),
        ("zeroscope-v2-xl", {"fps": 12, "cfg": 9}, {"fps": 12, "guidance_scale": 9}),
        ("studio-video", {"numberOfVideos": 3}, {"num_videos": 3}),
        ("nano-banana", {"numberOfImages": 2}, {"num_images": 2}),
    ],
)
def test_words_of_other_forms_mean_the_same_for_every_model(
    catalog: Catalog, name: str, words: dict[str, Any], argument: dict[str, Any]
) -> None:
    words = {"prompt": "a fox", **words}
    assert argument.items() <= catalog.find(name, words).arguments(words).items()


def test_a_models_own_word_is_no_alias(catalog: Catalog) -> None:
    words = {"text": "Hello.", "cfg": 0.3}
    assert catalog.find("chatterbox").arguments(words)["cfg"] == 0.3


@pytest.mark.parametrize(
    "nothing", [{"images": []}, {"images": None}, {"inputImageUrl": None}, {"firstFrameUrl": None}]
)
@pytest.mark.parametrize("name", ["veo3.1", "fal-ai/kling-video/v2.5-turbo/pro/text-to-video", "chatterbox"])
def test_no_picture_is_nothing_to_models_that_take_one_and_to_others(
    catalog: Catalog, name: str, nothing: dict[str, Any]
) -> None:
    words = {"text": "Hello."} if name == "chatterbox" else {"prompt": "a fox"}
    assert catalog.find(name, words | nothing).arguments(words | nothing) == catalog.find(name).arguments(words)


@pytest.mark.parametrize(
    ("words", "field", "message"),
    [
        ({"images": [PICTURE, PICTURE]}, "images", "has 2 items, the most is 1"),
        ({"images": PICTURE}, "images", "must be a list"),
        ({"images": [None]}, "images", NO_ADDRESS),
        ({"durationSeconds": 7}, "durationSeconds", "must be one of 4, 6, 8 seconds"),
    ],
)
def test_an_alias_that_does_not_fit_is_named_as_it_was_sent(
    catalog: Catalog, words: dict[str, Any], field: str, message: str
) -> None:
    words = {"prompt": "a fox", **words}
    errors = wrong_fields(catalog.find("veo3.1", words), words)
    assert {name: error.message for name, error in errors.items()} == {field: message}


@pytest.mark.parametrize("endpoint", ["fal-ai/veo3.1", "chatterbox"])
def test_a_picture_is_no_input_of_a_model_that_takes_none(catalog: Catalog, endpoint: str) -> None:
    errors = wrong_fields(catalog.find(endpoint), {"prompt": "a fox", "text": "Hello.", "images": [PICTURE]})
    assert errors["images"].message.startswith("is not an input of ")


def test_an_alias_beside_its_word_has_to_say_the_same(catalog: Catalog) -> None:
    model = catalog.find("veo3.1")
    for same in ({"duration": 6, "durationSeconds": 6}, {"duration": "6s", "durationSeconds": 6.0}):
        assert model.arguments({"prompt": "a fox", **same})["duration"] == "6s"
    others: list[Any] = [8, 7, "six", []]
    for other in others:
        errors = wrong_fields(model, {"prompt": "a fox", "duration": 6, "durationSeconds": other})
        assert errors["duration"].message == "is given twice, as duration, durationSeconds, with different values"
    words = {"prompt": "a fox", "inputImageUrl": PICTURE, "images": [f"{PICTURE}?2"]}
    assert list(wrong_fields(catalog.find("veo3.1", words), words)) == ["inputImageUrl"]


def test_our_word_beside_the_providers_has_to_say_the_same(catalog: Catalog) -> None:
    words = {"prompt": "a fox", "aspectRatio": "16:9", "aspect_ratio": "9:16"}
    errors = wrong_fields(catalog.find("veo3.1"), words)
    assert errors["aspectRatio"].message == "is given twice, as aspectRatio, aspect_ratio, with different values"


def test_null_is_nothing_except_where_the_provider_gives_it_a_meaning(catalog: Catalog) -> None:
    words = {"prompt": "a fox", "duration": None, "seed": None}
    assert catalog.find("veo3.1").arguments(words) == catalog.find("veo3.1").arguments({"prompt": "a fox"})
    assert catalog.find("wizper").arguments({"audioUrl": AUDIO, "language": None})["language"] is None
    assert wrong_fields(catalog.find("veo3.1"), {"prompt": None})["prompt"].message.startswith("is required")


def test_all_wrong_fields_are_named_at_once(catalog: Catalog) -> None:
    words = {"duration": 7, "resolution": "8k", "generateAudio": "yes", "seed": -1, "aspectRation": "16:9"}
    errors = wrong_fields(catalog.find("veo3.1"), words)
    assert set(errors) == {"prompt", "duration", "resolution", "generateAudio", "seed", "aspectRation"}
    assert errors["resolution"].limit == ["720p", "1080p", "4k"]
    assert errors["resolution"].value == "8k"
    assert errors["seed"].limit == {"min": 0, "max": 4_294_967_295}
    assert errors["aspectRation"].message == 'is not an input of fal-ai/veo3.1; did you mean "aspectRatio"?'
    assert "duration" in (errors["aspectRation"].limit or [])


@pytest.mark.parametrize(
    ("endpoint", "words", "missing"),
    [
        ("veo3-fast", {"prompt": "a fox"}, "firstFrameUrl"),
        ("cogvideox-5b", {"prompt": "a fox", "images": []}, "firstFrameUrl"),
        ("fal-ai/veo3/fast/image-to-video", {"prompt": "a fox"}, "firstFrameUrl"),
        ("fal-ai/cogvideox-5b/image-to-video", {"prompt": "a fox"}, "firstFrameUrl"),
        ("fal-ai/kling-video/v2.5-turbo/pro/image-to-video", {"prompt": "a fox"}, "firstFrameUrl"),
        ("whisper", {}, "audioUrl"),
        ("chatterbox", {}, "text"),
        ("elevenlabs-sound-effects", {}, "prompt"),
    ],
)
def test_a_missing_asset_is_said_to_be_missing(
    catalog: Catalog, endpoint: str, words: dict[str, Any], missing: str
) -> None:
    errors = wrong_fields(catalog.find(endpoint), words)
    assert list(errors) == [missing]
    assert errors[missing].message.startswith("is required: ")


@pytest.mark.parametrize(
    "url",
    [
        "first.png",
        "//example.com/first.png",
        "ftp://example.com/first.png",
        "data:image/png;base64,AAAA",
        "https://",
        "https://user:secret@example.com/first.png",
        "https://@example.com/first.png",
        "https://example.com\\@evil.example/first.png",
        "https://exam\nple.com/first.png",
        "https://example.com:99999/first.png",
        "https://[::1/first.png",
        "https://example.com/" + "a" * 5000,
        7,
    ],
)
def test_an_address_must_be_absolute_and_plain(catalog: Catalog, url: object) -> None:
    words = {"prompt": "a fox", "firstFrameUrl": url}
    errors = wrong_fields(catalog.find("veo3.1", words), words)
    assert list(errors) == ["firstFrameUrl"]


@pytest.mark.parametrize("prompt", ["", " \n", "a\0b", "a\ud800b", 7, ["a fox"], "x" * 20_001])
def test_a_prompt_must_be_text_of_a_bearable_length(catalog: Catalog, prompt: object) -> None:
    errors = wrong_fields(catalog.find("veo3.1"), {"prompt": prompt})
    assert errors["prompt"].limit == {"maxLength": 20_000}
    json.dumps(errors["prompt"].value, allow_nan=False).encode()


def test_long_values_are_cut(catalog: Catalog) -> None:
    errors = wrong_fields(catalog.find("veo3.1"), {"prompt": "x" * 20_001})
    assert errors["prompt"].value == "x" * 100 + "…"
    assert errors["prompt"].message == "has 20001 characters, the most is 20000"


@pytest.mark.parametrize("value", [math.nan, math.inf, True, "0.5", 1.01])
def test_numbers_are_finite_and_in_range(catalog: Catalog, value: object) -> None:
    errors = wrong_fields(catalog.find("kling-2.5-turbo-pro"), {"prompt": "a fox", "cfgScale": value})
    assert errors["cfgScale"].limit == {"min": 0, "max": 1}


@pytest.mark.parametrize(
    "size", ["2:1", {"width": 512}, {"width": 512, "height": 0}, {"width": 512, "height": 512, "depth": 1}, [512, 512]]
)
def test_a_size_is_a_preset_or_two_sides_within_bounds(catalog: Catalog, size: object) -> None:
    assert list(wrong_fields(catalog.find("flux-dev"), {"prompt": "a fox", "aspectRatio": size})) == ["aspectRatio"]


def test_a_flood_of_unknown_fields_is_answered_briefly(catalog: Catalog) -> None:
    words = {"prompt": "a fox"} | {f"junk{number}": number for number in range(10_000)}
    errors = wrong_fields(catalog.find("veo3.1"), words)
    assert len(errors) == 21
    assert errors["*"].message == "9980 more fields are not inputs either"


MODELS = load_catalog().models
SPELLINGS = sorted({spelling for model in MODELS for item in model.inputs.values() for spelling in item.spellings})
GOOD_VALUES = ["a fox", PICTURE, [PICTURE], 1, 4, 6, 8, 10, 0.5, True, False, "16:9", "8s", "720p", "png", "segment"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.sampled_from(GOOD_VALUES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
json_objects = st.dictionaries(st.sampled_from(SPELLINGS) | st.text(max_size=20), json_values, max_size=12)


def is_priced(model: Model, arguments: dict[str, Any]) -> bool:
    """Whether it costs something, and what is our own nothing."""
    cents = model.price_cents(arguments)
    if model.price is None:
        return cents is None
    return cents is not None and (cents > 0) is (model.provider is not ProviderName.STUDIO)


@given(model=st.sampled_from(MODELS), words=json_objects)
def test_any_json_becomes_arguments_or_a_list_of_errors(model: Model, words: dict[str, Any]) -> None:
    try:
        arguments = model.arguments(words)
    except InvalidInput as invalid:
        answer = [(error.field, error.message, error.limit, error.value) for error in invalid.errors]
        json.dumps(answer, allow_nan=False, ensure_ascii=False).encode()
    else:
        assert model.arguments(arguments) == arguments
        assert is_priced(model, arguments)


@st.composite
def valid_requests(draw: st.DrawFn) -> tuple[Model, dict[str, Any]]:
    """A model and words within its limits, as these are told to callers."""
    model = draw(st.sampled_from(MODELS))
    words = {}
    for item in model.describe()["inputs"]:
        if item["required"] or (item["type"] != "json" and draw(st.booleans())):
            words[item["name"]] = draw(within(item))
    return model, words


def within(item: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    match item["type"], item["limit"]:
        case "text", {"maxLength": longest}:
            return st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=min(longest, 50))
        case "url", _:
            return st.just(PICTURE)
        case "json", None:
            return st.just([PICTURE])
        case "integer", {"min": low, "max": high}:
            return st.integers(low, high)
        case (("number" | "duration"), {"min": low, "max": high}):
            return st.floats(low, high)
        case "size", {"choices": choices, "width": {"min": low, "max": high}}:
            side = st.integers(low, high)
            return st.sampled_from(choices) | st.fixed_dictionaries({"width": side, "height": side})
        case _, choices:
            return st.sampled_from(choices)


@given(request=valid_requests())
def test_whatever_the_public_limits_allow_is_taken(request: tuple[Model, dict[str, Any]]) -> None:
    model, words = request
    arguments = model.arguments(words)
    assert set(arguments) <= {item.provider_name for item in model.inputs.values()}
    assert model.arguments(arguments) == arguments
    assert is_priced(model, arguments)

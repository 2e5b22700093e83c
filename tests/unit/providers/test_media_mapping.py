"""One mapping from answers to media, for webhooks and polls."""

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelay.domain.generation import RemoteMedia
from reelay.providers.media_mapping import MAX_FILES, file_address, media_at, media_of, without_files

A, B, C = (f"https://v3b.fal.media/files/{name}" for name in ("a.mp4", "b.mp4", "c.png"))


def urls(answer: Any) -> list[str]:
    return [media.url for media in media_of(answer)]


@pytest.mark.parametrize(
    "answer",
    [
        {"video": {"url": A}},
        {"audio": {"url": A}},
        {"image": {"url": A}},
        {"images": [{"url": A}]},
        {"images": [A]},
        {"video": A},
        {"video_url": A},
        {"videoUrl": A},
        {"file_url": A},
        {"videos": [{"file_url": A}]},
        {"signed_url": A},
        {"download_url": A},
        {"file": {"url": A}},
        {"url": A},
        {"output": A},
        {"output": [A]},
        {"data": {"output": [{"video_url": A}]}},
        {"request_id": "r", "status": "OK", "payload": {"video": {"url": A}}},
        {"model_mesh": {"url": A}},
        A,
        [A],
        [[{"url": A}]],
    ],
)
def test_every_known_form_is_found(answer: Any) -> None:
    assert urls(answer) == [A]


def test_a_file_keeps_its_declared_type_and_name() -> None:
    video = {"url": A, "content_type": "video/mp4", "file_name": "output.mp4", "file_size": 12418965}
    assert media_of({"video": video}) == (RemoteMedia(url=A, content_type="video/mp4", file_name="output.mp4"),)


@pytest.mark.parametrize(
    "answer",
    [
        {"prompt": A},
        {"prompt": {"url": A}},
        {"image_url": A, "audio_url": A},
        {"input": {"video_url": A, "image": {"url": A}}},
        {"input_video": {"url": A}, "reference_images": [{"url": A}]},
        {"text": A, "chunks": [{"text": A, "timestamp": [0.0, None]}], "inferred_languages": ["en"]},
        {"chunks": [{"url": A}], "diarization_segments": [{"url": A}]},
        {"detail": [{"loc": ["body", "prompt"], "msg": "missing", "type": "missing", "url": A, "input": {"url": A}}]},
        {"status_url": A, "response_url": A, "cancel_url": A, "urls": {"get": A}},
        {"logs": [{"url": A}], "metrics": {"url": A}},
        {"has_nsfw_concepts": [False], "seed": 42},
        f"see {A} for more",
        [1, None, True, {"url": None}],
    ],
)
def test_echoed_inputs_texts_and_errors_are_no_media(answer: Any) -> None:
    assert media_of(answer) == ()


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://fal.media/a",
        "data:text/html,<script>",
        "javascript:alert(1)",
        "//fal.media/a.mp4",
        "https://",
        "https://[::1",
        "https://fal.media/a\n",
        "https://fal.media/\u202ea",
        "https://fal.media/" + "a" * 10_000,
        "",
    ],
)
def test_only_plain_web_addresses_count(url: str) -> None:
    assert media_of({"video": {"url": url}}) == ()


def test_several_addresses_of_one_file_are_one_file() -> None:
    assert urls({"download_url": C, "url": A, "signed_url": B}) == [A]


def test_an_unusable_address_gives_way_to_the_next() -> None:
    assert urls({"url": "file:///a.mp4", "signed_url": B}) == [B]


def test_spaces_in_an_address_are_encoded() -> None:
    assert urls({"video": {"url": "https://fal.media/a video.mp4 "}}) == ["https://fal.media/a%20video.mp4"]


def test_a_file_may_stand_in_the_answer_itself() -> None:
    data = "data:image/png;base64,iVBORw0KGgo="
    assert urls({"images": [{"url": data}]}) == urls({"image": data}) == [data]
    assert urls({"text": data, "prompt": data}) == []


BYTES = b"RIFF" + bytes(60)


@pytest.mark.parametrize(
    ("answer", "paths", "found"),
    [
        ({"mesh": {"url": A}, "preview": None}, ["mesh", "preview"], [A]),
        ({"layers": [{"image": {"url": A}}, {"image": {"url": B}}]}, ["layers[].image"], [A, B]),
        ({"stems": {"drums": {"url": A}, "bass": {"url": B}}}, ["stems.*"], [A, B]),
        ({"model_urls": {"glb": {"url": A}}}, ["model_urls.glb?"], [A]),
        ([{"url": A}], ["[]"], [A]),
        ({"audio": BYTES.hex()}, ["audio"], [f"data:;base64,{b64encode(BYTES).decode()}"]),
        ({"audio": "abcdef"}, ["audio"], []),
        ({"output": "a text"}, ["output"], []),
        ({"video": "?"}, ["video.url", "video[]", "video.*"], []),
    ],
)
def test_files_are_found_where_the_schema_says(answer: Any, paths: list[str], found: list[str]) -> None:
    assert [media.url for media in media_at(answer, paths)] == found


def test_what_is_kept_as_a_file_is_not_kept_in_the_answer() -> None:
    data = "data:image/png;base64," + "A" * 5000
    short = without_files({"images": [{"url": data}], "audio": "ab" * 5000, "seed": 1, "text": "x" * 5000})
    assert short["images"][0]["url"].startswith(f"{data[:40]}… (5022 characters, sha256 ")
    assert (short["seed"], len(short["text"])) == (1, 5000)
    assert [media.url for media in media_at(short, ["audio"])] == [short["audio"]] == [file_address(short["audio"])]
    twins = without_files({"files": ["ab" * 5000, "ab" * 4999 + "ac"]})["files"]
    assert len(set(twins)) == 2


def test_the_same_file_is_reported_once() -> None:
    assert urls({"video": {"url": A}, "videos": [{"url": A}, {"url": B}]}) == [A, B]


def test_the_order_of_keys_does_not_matter() -> None:
    thumbnail, video, images = ("a_thumbnail", {"url": C}), ("video", {"url": A}), ("images", [{"url": B}])
    assert urls(dict([thumbnail, images, video])) == urls(dict([video, images, thumbnail])) == [A, B, C]


def test_the_order_of_a_list_does() -> None:
    assert urls({"images": [{"url": B}, {"url": A}]}) == [B, A]


@pytest.mark.fault("W14")
def test_a_flood_of_files_is_bounded() -> None:
    assert len(media_of([f"https://fal.media/{n}" for n in range(5000)])) == MAX_FILES


@pytest.mark.fault("W14")
def test_a_bottomless_answer_is_bounded() -> None:
    answer: dict[str, Any] = {"url": A}
    for _ in range(5000):
        answer = {"data": answer}
    assert media_of(answer) == ()


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
NAMES = st.text() | st.sampled_from(["video", "images", "url", "output", "prompt", "input", "detail", "text"])
ANSWERS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.integers(), inner, max_size=4),
    max_leaves=20,
)
WRAPPERS = st.sampled_from(
    [
        lambda inner: [inner],
        lambda inner: [None, inner, 3],
        lambda inner: {"data": inner},
        lambda inner: {"payload": inner, "prompt": "x"},
        lambda inner: {"result": inner, "seed": 1, "timings": {}},
    ]
)


@given(ANSWERS)
def test_it_never_raises_and_repeats_itself(answer: Any) -> None:
    assert media_of(answer) == media_of(answer)


@given(
    form=st.sampled_from(
        [
            {"video": {"url": A}},
            {"audio": {"url": A}},
            {"images": [{"url": A}, {"url": A}]},
            {"image": {"url": A}},
            {"video_url": A},
            {"signed_url": A},
            {"download_url": A},
            {"file": {"url": A}},
            {"url": A},
            A,
            [A],
        ]
    ),
    wrappers=st.lists(WRAPPERS, max_size=5),
)
def test_known_forms_are_found_however_they_are_nested(form: Any, wrappers: list[Any]) -> None:
    for wrap in wrappers:
        form = wrap(form)
    assert urls(form) == [A]

"""What a push says: its secret, its version, its status, its videos. Pure."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from domain.failure import FailureCode
from domain.generation import Status
from providers.errors import Forged, Malformed
from providers.studio_push import CURRENT_VERSION, Push, failure_of, read_push, verify_secret

SECRET = SecretStr("sésame, open")
VIDEO = {"url": "https://studio.example/shot.mp4", "filename": "shot.mp4"}


def push(status: str = "completed", **more: Any) -> Push:
    videos = {"videos": [VIDEO]} if status == "completed" else {}
    body = {"version": 2, "job_id": "j", "content_type": "video", "status": status} | videos | more
    return read_push(json.dumps({name: value for name, value in body.items() if value is not None}).encode())


def test_the_right_secret_is_right() -> None:
    verify_secret({"x-webhook-secret": SECRET.get_secret_value().encode().decode("latin-1")}, SECRET)


@pytest.mark.parametrize("given", ["", "s", "sésame", "SÉSAME, OPEN", "sésame, open ", "sésame, open, please", "日本"])
def test_any_other_secret_is_wrong(given: str) -> None:
    with pytest.raises(Forged) as refused:
        verify_secret({"x-webhook-secret": given}, SECRET)
    assert SECRET.get_secret_value() not in str(refused.value)


@pytest.mark.parametrize("headers", [{}, {"x-webhook-secret": ""}, {"x-webhook-secret": "None"}])
def test_without_a_secret_of_ours_nothing_is_right(headers: dict[str, str]) -> None:
    with pytest.raises(Forged):
        verify_secret(headers, None)


@pytest.mark.parametrize(
    ("status", "public", "percent"),
    [
        ("pending", Status.SUBMITTED, 0),
        ("processing", Status.IN_PROGRESS, 25),
        ("generating", Status.IN_PROGRESS, 50),
        ("Downloading", Status.IN_PROGRESS, 75),
        (" COMPLETED ", Status.COMPLETED, 100),
        ("failed", Status.FAILED, 0),
    ],
)
def test_each_status_has_its_percent_and_its_message(status: str, public: Status, percent: int) -> None:
    told = push(status, videos=[VIDEO])
    assert told.phase
    assert (told.phase.status, told.percent) == (public, percent)
    assert told.phase.message


def test_nothing_follows_from_an_unknown_status() -> None:
    assert push("warming_up").phase is None


@pytest.mark.parametrize(
    ("status", "progress", "percent"),
    [
        ("generating", 63.9, 63),
        ("generating", 10, 50),
        ("generating", 99, 74),
        ("downloading", 99.9, 99),
        ("processing", -1e300, 25),
        ("generating", 10**400, 74),
        ("generating", "63", 50),
        ("generating", True, 50),
        ("completed", 7, 100),
        ("failed", 99, 0),
    ],
)
def test_measured_progress_counts_between_two_statuses(status: str, progress: object, percent: int) -> None:
    assert push(status, progress=progress).percent == percent


@pytest.mark.parametrize(
    "change",
    [
        {"job_id": None},
        {"job_id": " "},
        {"job_id": 7},
        {"content_type": None},
        {"content_type": "audio"},
        {"status": None},
        {"status": ["completed"]},
        {"videos": None},
        {"videos": []},
        {"videos": VIDEO},
        {"videos": [VIDEO, {"filename": "lost.mp4"}]},
        {"videos": [{"url": "file:///etc/passwd"}]},
        {"videos": [None]},
        {"videos": [VIDEO] * 65},
        {"version": "next"},
        {"version": 0},
        {"version": True},
        {"version": [2]},
    ],
    ids=str,
)
def test_what_is_missing_or_odd_is_named(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed, match=next(iter(change))):
        push(**change)


def test_several_videos_keep_order_name_and_metadata() -> None:
    told = push(
        videos=[
            {**VIDEO, "metadata": {"seed": 7}},
            {"download_url": "https://studio.example/2.mp4", "filename": "two\nlines"},
            "https://studio.example/3.mp4",
            {**VIDEO, "url": "https://studio.example/4.mp4", "metadata": {"frames": "x" * 5000}},
        ]
    )
    assert [video.url.rsplit("/", 1)[1] for video in told.videos] == ["shot.mp4", "2.mp4", "3.mp4", "4.mp4"]
    assert [video.file_name for video in told.videos] == ["shot.mp4", None, None, "shot.mp4"]
    assert [video.metadata for video in told.videos] == [{"seed": 7}, {}, {}, {}]
    assert told.body["videos"][3]["metadata"]["frames"]


@pytest.mark.parametrize("version", [None, 1, "1", "v1.2", 1.0])
def test_an_older_shape_is_read_as_todays(version: object) -> None:
    told = push(
        version=version,
        videos=None,
        video_url="https://studio.example/old.mp4",
        filename="old.mp4",
        duration=8,
        model_name="wan",
        model_version="2.1",
        processing_time=12.5,
        generation_time=10,
        download_time_ms=300,
    )
    assert [(video.url, video.file_name) for video in told.videos] == [("https://studio.example/old.mp4", "old.mp4")]
    assert told.body["version"] == CURRENT_VERSION
    assert told.body["model"] == {"name": "wan", "version": "2.1"}
    assert told.body["timings"] == {"processing_ms": 12_500, "generation_ms": 10_000, "download_ms": 300}


def test_a_newer_shape_is_kept_as_it_is_and_read_as_far_as_it_is_known() -> None:
    told = push(version=9, storyboard={"scenes": 3}, model_name="not ours to move")
    assert [video.url for video in told.videos] == [VIDEO["url"]]
    assert told.body["storyboard"] == {"scenes": 3}
    assert told.body["version"] == 9
    assert "model" not in told.body


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        ({"code": "content_policy_violation", "message": "no"}, FailureCode.CONTENT_POLICY, "no"),
        ("out of\nmemory", FailureCode.PROVIDER_ERROR, "out of memory"),
        (None, FailureCode.PROVIDER_ERROR, "The video's generation failed"),
        ({"message": 7}, FailureCode.PROVIDER_ERROR, "The video's generation failed"),
    ],
)
def test_a_failure_is_told_in_the_backends_words(error: object, code: FailureCode, message: str) -> None:
    failure = failure_of(push("failed", error=error))
    assert (failure.code, failure.message) == (code, message)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
fields = st.sampled_from(
    ["job_id", "content_type", "status", "version", "videos", "progress", "message", "error", "video", "url"]
)


@given(odd=st.dictionaries(fields, values), status=st.sampled_from(["completed", "failed", "generating"]))
def test_whatever_is_sent_is_read_or_refused(odd: dict[str, Any], status: str) -> None:
    body = {"job_id": "j", "content_type": "video", "status": status, **odd}
    try:
        told = read_push(json.dumps(body).encode())
    except Malformed:
        return
    assert 0 <= told.percent <= 100
    assert failure_of(told).message

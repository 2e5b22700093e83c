"""What a push says: its secret, its status, its videos, the reason of a failure. Pure."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from reelay.domain.failure import FailureCode
from reelay.domain.generation import Status
from reelay.domain.language import Language
from reelay.providers.errors import Forged, Malformed
from reelay.providers.studio_push import PHASES, Push, failure_of, read_push, verify_secret

SECRET = SecretStr("sésame, open")
VIDEO = {"file_url": "https://studio.example/shot.mp4", "filename": "shot.mp4"}


def push(status: object = "completed", **more: Any) -> Push:
    data = {"data": {"videos": [VIDEO]}} if str(status).strip().lower() == "completed" else {}
    body = {"job_id": "j", "content_type": "video", "status": status} | data | more
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
def test_each_status_has_its_percent(status: str, public: Status, percent: int) -> None:
    told = push(status)
    assert told.phase
    assert (told.phase.status, told.percent) == (public, percent)


def test_messages_in_french_are_the_documents() -> None:
    assert {word: phase.message(Language.FRENCH) for word, phase in PHASES.items()} == {
        "pending": "En attente de traitement",
        "processing": "Traitement en cours",
        "generating": "Génération de la vidéo en cours",
        "downloading": "Téléchargement de la vidéo depuis Google",
        "completed": "Génération terminée avec succès",
        "failed": "La génération a échoué",
    }


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
        {"data": None},
        {"data": []},
        {"data": {"videos": []}},
        {"data": {"videos": VIDEO}},
        {"data": {"videos": [VIDEO, {"filename": "lost.mp4"}]}},
        {"data": {"videos": [{"file_url": "file:///etc/passwd"}]}},
        {"data": {"videos": [None]}},
        {"data": {"videos": ["https://studio.example/shot.mp4"]}},
        {"data": {"videos": [VIDEO] * 65}},
        {"data": None, "videos": [VIDEO]},
    ],
    ids=str,
)
def test_what_is_missing_or_odd_is_named(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed, match=next(iter(change))):
        push(**change)


def test_several_videos_keep_their_order_and_names() -> None:
    second = {"file_url": "https://studio.example/2.mp4", "filename": "two\nlines"}
    told = push(data={"videos": [VIDEO, second], "metadata": {"model_name": "wan"}})
    assert [video.url.rsplit("/", 1)[1] for video in told.videos] == ["shot.mp4", "2.mp4"]
    assert [video.file_name for video in told.videos] == ["shot.mp4", None]
    assert told.data["metadata"] == {"model_name": "wan"}


def test_a_space_in_an_address_is_encoded() -> None:
    told = push(data={"videos": [{"file_url": " https://studio.example/my shot.mp4", "filename": "my shot.mp4"}]})
    assert [(video.url, video.file_name) for video in told.videos] == [
        ("https://studio.example/my%20shot.mp4", "my shot.mp4")
    ]


@pytest.mark.parametrize("version", [None, 1, "1", "v1.2", 2, ["next"]])
def test_version_is_not_looked_at(version: object) -> None:
    assert [video.url for video in push(version=version).videos] == [VIDEO["file_url"]]


@pytest.mark.parametrize(
    ("told", "code", "message"),
    [
        ({"error": {"code": "content_policy_violation", "message": "no"}}, FailureCode.CONTENT_POLICY, "no"),
        ({"error": "out of\nmemory", "message": "later"}, FailureCode.PROVIDER_ERROR, "out of memory"),
        ({"error_message": "out of disk"}, FailureCode.PROVIDER_ERROR, "out of disk"),
        (
            {"data": {"error": "out of paper", "metadata": {"prompt_used": "a reef"}}},
            FailureCode.PROVIDER_ERROR,
            "out of paper",
        ),
        ({"message": "out of ink"}, FailureCode.PROVIDER_ERROR, "out of ink"),
        (
            {"data": {"metadata": {"prompt_used": "un récif"}}},
            FailureCode.PROVIDER_ERROR,
            'Échec de génération pour: "un récif"',
        ),
        ({}, FailureCode.PROVIDER_ERROR, "Erreur inconnue lors de la génération"),
        ({"error": {"message": 7}, "data": []}, FailureCode.PROVIDER_ERROR, "Erreur inconnue lors de la génération"),
    ],
    ids=str,
)
def test_a_failure_is_told_in_the_backends_words_else_by_its_prompt(
    told: dict[str, Any], code: FailureCode, message: str
) -> None:
    failure = failure_of(push("failed", **told), Language.FRENCH)
    assert (failure.code, failure.message) == (code, message)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
fields = st.sampled_from(
    ["job_id", "content_type", "status", "version", "data", "videos", "metadata", "progress", "message", "error"]
)


@given(odd=st.dictionaries(fields, values), status=st.sampled_from(["completed", "failed", "generating"]))
def test_whatever_is_sent_is_read_or_refused(odd: dict[str, Any], status: str) -> None:
    body = {"job_id": "j", "content_type": "video", "status": status, **odd}
    try:
        told = read_push(json.dumps(body).encode())
    except Malformed:
        return
    assert 0 <= told.percent <= 100
    assert failure_of(told, Language.PORTUGUESE).message

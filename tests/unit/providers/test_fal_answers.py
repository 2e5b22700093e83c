"""What fal's answers mean, without a network."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelay.domain.failure import FailureCode
from reelay.domain.generation import ProviderState
from reelay.providers.errors import (
    AccountLocked,
    GenerationFailed,
    NotAccepted,
    ProviderError,
    ResultExpired,
    StillRunning,
    SubmissionUncertain,
    Unauthorized,
    Unavailable,
)
from reelay.providers.exchange import Answer
from reelay.providers.fal_answers import accepted, cancel_of, progress_of, result_of
from reelay.providers.reading import readable


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(
        status=status,
        headers=httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()}),
        body=content,
    )


def failure_code(given_answer: Answer) -> FailureCode:
    with pytest.raises(GenerationFailed) as raised:
        result_of(given_answer)
    return raised.value.failure.code


@pytest.mark.fault("P10")
@pytest.mark.parametrize("status", [400, 404, 405, 409, 413, 415, 422, 451])
def test_every_refusal_is_certain(status: int) -> None:
    with pytest.raises(NotAccepted):
        accepted(answer(status, b"<html>no</html>"))


@pytest.mark.parametrize("detail", ["User is locked. Reason: TOP_UP", "Admin lock. Please contact support@fal.ai"])
def test_every_wording_of_a_lock_is_recognised(detail: str) -> None:
    with pytest.raises(AccountLocked):
        accepted(answer(403, {"detail": detail}))


def test_a_payment_refusal_concerns_the_account() -> None:
    with pytest.raises(AccountLocked):
        accepted(answer(402))


def test_a_lock_does_not_end_a_generation_that_is_under_way() -> None:
    with pytest.raises(Unavailable):
        result_of(answer(403, {"detail": "User is locked. Reason: Exhausted balance."}))
    with pytest.raises(Unauthorized):
        result_of(answer(403, {"detail": "no"}))


@pytest.mark.fault("S2")
@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("in_queue", ProviderState.QUEUED),
        ("In_Progress", ProviderState.RUNNING),
        ("COMPLETED", ProviderState.ENDED),
        ("WARMING_UP", ProviderState.RUNNING),
        ("FAILED", ProviderState.RUNNING),
        ("", ProviderState.RUNNING),
    ],
)
def test_an_unknown_word_means_keep_waiting(word: str, state: ProviderState) -> None:
    assert progress_of(answer(200, {"status": word})).state is state


@pytest.mark.parametrize("position", [-1, 2**40, "2", 1.5, True, None, [1]])
def test_an_odd_queue_position_is_ignored(position: object) -> None:
    assert progress_of(answer(202, {"status": "IN_QUEUE", "queue_position": position})).queue_position is None


def test_logs_are_text_whatever_their_shape() -> None:
    logs = [{"message": "10%", "level": "INFO"}, "20%", {"message": 3}, None, {"message": "two\nlines"}]
    assert progress_of(answer(200, {"status": "IN_PROGRESS", "logs": logs})).logs == ("10%", "20%", "two lines")


def test_only_the_last_log_lines_are_kept() -> None:
    progress = progress_of(answer(200, {"status": "IN_PROGRESS", "logs": [f"line {n}" for n in range(1000)]}))
    assert len(progress.logs) == 100
    assert progress.logs[-1] == "line 999"


@pytest.mark.parametrize("status", [404, 410])
def test_an_unknown_request_is_expired(status: int) -> None:
    with pytest.raises(ResultExpired):
        progress_of(answer(status, {"status": "NOT_FOUND"}))
    with pytest.raises(ResultExpired):
        result_of(answer(status))


@pytest.mark.fault("S4")
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_status_call_never_fails_a_generation(status: int) -> None:
    with pytest.raises(Unavailable) as raised:
        progress_of(answer(status, {"detail": "internal_error"}, Retry_After="7"))
    assert raised.value.retry_after == timedelta(seconds=7)


@pytest.mark.fault("S3")
def test_asking_too_early_is_not_a_failure() -> None:
    with pytest.raises(StillRunning):
        result_of(answer(400, {"detail": "Request is still in progress"}, X_Fal_Request_Id="r"))


def test_a_replayed_400_is_a_failure() -> None:
    detail = [{"loc": ["body"], "msg": "upstream is in progress of failing", "type": "downstream_service_error"}]
    assert failure_code(answer(400, {"detail": detail})) is FailureCode.PROVIDER_ERROR


@pytest.mark.parametrize(
    ("given_answer", "code"),
    [
        (answer(422, {"detail": [{"loc": ["body", "prompt"], "msg": "m", "type": "missing"}]}), "provider_rejected"),
        (answer(422, {"detail": [{"msg": "no", "type": "content_policy_violation"}]}), "content_policy_violation"),
        (answer(422, {"detail": "no media generated"}), "provider_rejected"),
        (answer(422, b""), "provider_rejected"),
        (answer(499, {"detail": "gone", "error_type": "client_cancelled"}), "canceled"),
        (answer(499, b""), "canceled"),
        (answer(504, {"detail": "too slow", "error_type": "request_timeout"}), "provider_error"),
        (answer(500, b"Internal Server Error", X_Fal_Error_Type="runner_server_error"), "provider_error"),
    ],
)
def test_what_the_run_answered_is_its_end(given_answer: Answer, code: str) -> None:
    assert failure_code(given_answer) == code


@pytest.mark.parametrize(
    "given_answer",
    [
        answer(500, b"Internal Server Error"),
        answer(500, b"Internal Server Error", X_Fal_Request_Id="r"),
        answer(504, {"detail": "upstream request timeout"}, X_Fal_Request_Id="r"),
        answer(502, b"<html><center>nginx</center></html>"),
        answer(503, b""),
        answer(504, {"message": "upstream request timeout"}),
        answer(400, b"<html>bad request</html>"),
        answer(429, {"detail": "slow down"}, X_Fal_Request_Id="r"),
        answer(200, b""),
        answer(200, b"<html>"),
        answer(200, b"[" * 100_000),
        answer(302),
    ],
)
def test_what_came_from_elsewhere_is_asked_again(given_answer: Answer) -> None:
    with pytest.raises(Unavailable):
        result_of(given_answer)


@pytest.mark.fault("S6")
def test_the_message_is_one_readable_line() -> None:
    detail = [
        {"loc": ["body", "images", 0], "msg": "bad\x00\n\x1b[2J\u202eimage", "type": "image_load_error"},
        {"loc": "odd", "msg": 5},
        "and more",
    ]
    with pytest.raises(GenerationFailed) as raised:
        result_of(answer(422, {"detail": detail}))
    assert raised.value.failure.message == "images.0: bad [2J image; and more"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            'no picture at "https://s3.example/u/1.png?X-Amz-Signature=5e.c", sorry',
            'no picture at "https://s3.example/u/1.png?...", sorry',
        ),
        ("could not load https://a.example/x#token", "could not load https://a.example/x?..."),
        ("data:image/png;base64,iVBORw0KGgo= is empty", "data:image/png;base64,... is empty"),
        ("what? https://a.example/x.png is no picture", "what? https://a.example/x.png is no picture"),
    ],
)
def test_what_signs_an_input_is_not_repeated(said: str, kept: str) -> None:
    with pytest.raises(GenerationFailed) as raised:
        result_of(answer(422, {"detail": [{"msg": said, "type": "file_download_error"}]}))
    assert raised.value.failure.message == kept


def test_a_long_message_is_cut() -> None:
    assert len(readable("word " * 1000)) == 500


@pytest.mark.fault("S7")
@pytest.mark.parametrize(
    ("header", "units"),
    [("8", 8.0), ("0.5", 0.5), ("0", 0.0), ("-1", None), ("nan", None), ("inf", None), ("1e999", None), ("many", None)],
)
def test_only_a_sensible_cost_is_believed(header: str, units: float | None) -> None:
    result = result_of(answer(200, {}, X_Fal_Billable_Units=header))
    assert (result.billable_units, result.unusable_units) == (units, header if units is None else None)


def test_a_result_that_python_wrote_with_nan_is_still_a_result() -> None:
    result = result_of(answer(200, b'{"video": {"url": "https://fal.media/a.mp4"}, "timings": NaN, "x": 1e999}'))
    assert len(result.media) == 1
    assert result.data["timings"] is None
    assert result.data["x"] is None


def test_a_result_that_is_no_object_is_wrapped() -> None:
    assert result_of(answer(200, ["https://fal.media/a.png"])).data == {"output": ["https://fal.media/a.png"]}


def test_retry_after_may_be_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    wait = answer(429, Retry_After=soon).retry_after
    assert wait is not None
    assert timedelta(seconds=80) < wait <= timedelta(seconds=90)


@pytest.mark.fault("P7")
@pytest.mark.parametrize("value", ["-5", "1.5", "nan", "9" * 400, "٣", "Wed, 99 Foo 2026", "tomorrow", ""])
def test_a_garbled_retry_after_is_ignored(value: str) -> None:
    headers = httpx.Headers([(b"Retry-After", value.encode())])
    assert Answer(status=429, headers=headers, body=b"").retry_after is None


def test_a_retry_after_in_the_past_is_now() -> None:
    assert answer(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT").retry_after == timedelta(0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FAL_LIKE = st.dictionaries(
    st.sampled_from(
        ["detail", "error", "error_type", "status", "request_id", "queue_position", "logs", "video", "url"]
    ),
    JSON | st.lists(st.dictionaries(st.sampled_from(["loc", "msg", "type", "message"]), JSON, max_size=4), max_size=3),
)
ANSWERS = st.builds(
    Answer,
    status=st.integers(100, 599),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "x-fal-error-type", "x-fal-request-id", "x-fal-billable-units"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    ).map(httpx.Headers),
    body=st.binary() | (JSON | FAL_LIKE).map(lambda value: json.dumps(value).encode()),
    is_cut=st.booleans(),
)


@given(ANSWERS)
def test_no_answer_raises_anything_but_a_provider_error(any_answer: Answer) -> None:
    for meaning in (accepted, progress_of, result_of, cancel_of):
        with contextlib.suppress(ProviderError):
            meaning(any_answer)


@given(ANSWERS)
def test_a_submission_is_certain_only_if_refused_or_named(any_answer: Answer) -> None:
    try:
        body = accepted(any_answer)
    except NotAccepted:
        assert 400 <= any_answer.status < 500
    except SubmissionUncertain:
        pass
    else:
        assert any_answer.is_success
        assert body["request_id"]

"""Replicate's client against real sockets: what was bought, what is said of it, and where the token goes."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr

from reelay.domain.failure import FailureCode
from reelay.domain.generation import ProviderState, Submission
from reelay.providers.errors import (
    AccountLocked,
    GenerationFailed,
    NotListed,
    Rejected,
    ResultExpired,
    StillRunning,
    SubmissionUncertain,
    Throttled,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from reelay.providers.provider import CancelAnswer, SubmissionRequest
from reelay.providers.replicate import ReplicateProvider
from tests.unit.providers.scripted_server import Behaviour, ScriptedServer, answer, json_answer, raw, reset

TOKEN = "r8_0123456789abcdef"
ID = "gm3qorzdhgbfurvjtvhg6dckhu"
VERSION = "9f" * 32
HOOK = "https://app.test/api/webhooks/replicate?job=1&token=1.x"
REQUEST = SubmissionRequest(
    job_id=UUID(int=1),
    endpoint="bytedance/seedance-1-lite",
    arguments={"prompt": "a reef"},
    attempt=1,
    webhook_url=HOOK,
)
BY_VERSION = SubmissionRequest(
    job_id=UUID(int=1),
    endpoint=f"anotherjesse/zeroscope-v2-xl:{VERSION}",
    arguments={"prompt": "a reef"},
    attempt=1,
    webhook_url=None,
    deadline=timedelta(hours=1),
)


@pytest.fixture
def replicate(server: ScriptedServer, client: httpx.AsyncClient) -> ReplicateProvider:
    return provider(client, server.url)


def provider(client: httpx.AsyncClient, base: str) -> ReplicateProvider:
    return ReplicateProvider(client, submit_client=client, token=SecretStr(TOKEN), base=base)


@pytest.fixture
def submission(replicate: ReplicateProvider) -> Submission:
    return replicate.recover(endpoint=REQUEST.endpoint, request_id=ID, attempt=1)


def prediction(status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    return {"id": ID, "status": status, "output": None, "error": None, "logs": "", "data_removed": False, **changes}


def shown(status: str = "succeeded", **changes: Any) -> Behaviour:
    return json_answer(200, prediction(status, **changes))


async def test_an_official_model_is_run_by_name(server: ScriptedServer, replicate: ReplicateProvider) -> None:
    server.script = [json_answer(201, prediction("starting", urls={"get": "https://evil.test/steal"}))]
    submission = await replicate.submit(REQUEST)

    (seen,) = server.seen
    assert (seen.method, seen.target) == ("POST", "/v1/models/bytedance/seedance-1-lite/predictions")
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"
    assert not {"prefer", "cancel-after"} & seen.headers.keys()
    assert json.loads(seen.body) == {
        "input": {"prompt": "a reef"},
        "webhook": HOOK,
        "webhook_events_filter": ["completed"],
    }
    assert submission == Submission(
        attempt=1,
        request_id=ID,
        status_url=f"{server.url}/v1/predictions/{ID}",
        response_url=f"{server.url}/v1/predictions/{ID}",
        cancel_url=f"{server.url}/v1/predictions/{ID}/cancel",
        webhook_expected=True,
    )


async def test_a_community_model_is_run_by_version_until_its_deadline(
    server: ScriptedServer, replicate: ReplicateProvider
) -> None:
    server.script = [json_answer(201, prediction("starting"))]
    submission = await replicate.submit(BY_VERSION)

    (seen,) = server.seen
    assert (seen.target, seen.headers["cancel-after"]) == ("/v1/predictions", "3600s")
    assert json.loads(seen.body) == {"version": VERSION, "input": {"prompt": "a reef"}}
    assert not submission.webhook_expected


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_any_2xx_that_names_a_prediction_is_an_acceptance(
    server: ScriptedServer, replicate: ReplicateProvider, status: int
) -> None:
    server.script = [json_answer(status, prediction("failed"))]
    assert (await replicate.submit(REQUEST)).request_id == ID


INVALID = {
    "title": "Input validation failed",
    "detail": "- input: duration must be 12 or less\n",
    "status": 422,
    "invalid_fields": [{"type": "invalid", "field": "input", "description": "duration must be 12 or less"}],
}


@pytest.mark.parametrize(
    ("behaviour", "error", "said"),
    [
        (json_answer(422, INVALID), Rejected, "duration must be 12 or less"),
        (json_answer(404, {"detail": "The requested resource could not be found."}), Rejected, "could not be found"),
        (answer(400, b"no json"), Rejected, "HTTP 400"),
        (json_answer(401, {"title": "Unauthenticated"}), Unauthorized, "401"),
        (json_answer(403, {}), Unauthorized, "403"),
        (json_answer(402, {"detail": "You have insufficient credit"}), AccountLocked, "insufficient credit"),
        (json_answer(429, {"detail": "Request was throttled."}), Throttled, "429"),
    ],
)
async def test_refusals_buy_nothing(
    server: ScriptedServer, replicate: ReplicateProvider, behaviour: Behaviour, error: type[Exception], said: str
) -> None:
    server.script = [behaviour]
    with pytest.raises(error, match=said):
        await replicate.submit(REQUEST)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("headers", "detail", "seconds"),
    [
        ({"Retry_After": "3"}, "", 3),
        ({}, "Request was throttled. Your rate limit resets in ~30s.", 30),
        ({}, "Request was throttled. Your rate limit resets in 5 s.", 5),
        ({}, "Later.", None),
        ({"Retry_After": "soon"}, "", None),
    ],
)
async def test_a_429_says_how_long_to_wait(
    server: ScriptedServer,
    replicate: ReplicateProvider,
    headers: dict[str, str],
    detail: str,
    seconds: int | None,
) -> None:
    server.script = [json_answer(429, {"detail": detail, "status": 429}, **headers)]
    with pytest.raises(Throttled) as throttled:
        await replicate.submit(REQUEST)
    assert throttled.value.retry_after == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "behaviour",
    [
        reset,
        raw(b""),
        raw(b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{"),
        answer(500),
        answer(502),
        answer(504),
        answer(408),
        answer(499),
        answer(301, Location="https://elsewhere.test/"),
        answer(201, b"<html>"),
        json_answer(201, {}),
        json_answer(201, {"id": "../../account"}),
        json_answer(201, {"id": 7}),
    ],
    ids=range(13),
)
async def test_what_proves_nothing_is_uncertain_and_not_sent_again(
    server: ScriptedServer, replicate: ReplicateProvider, behaviour: Behaviour
) -> None:
    server.script = [behaviour]
    with pytest.raises(SubmissionUncertain):
        await replicate.submit(REQUEST)
    assert len(server.seen) == 1


async def test_a_refused_connection_sent_nothing(client: httpx.AsyncClient) -> None:
    with pytest.raises(Unreachable):
        await provider(client, "http://127.0.0.1:1").submit(REQUEST)


async def test_an_answer_that_quotes_the_token_is_masked(server: ScriptedServer, replicate: ReplicateProvider) -> None:
    server.script = [json_answer(422, {"detail": f"bad token {TOKEN}"})]
    with pytest.raises(Rejected) as rejected:
        await replicate.submit(REQUEST)
    assert TOKEN not in str(rejected.value)


async def test_the_token_goes_to_no_other_host(
    server: ScriptedServer, client: httpx.AsyncClient, submission: Submission
) -> None:
    with pytest.raises(Unavailable):
        await provider(client, "http://127.0.0.1:1").result(submission)
    assert server.seen == []


@pytest.mark.parametrize(
    ("url", "carries_the_token"),
    [
        ("https://api.replicate.com/v1/files/abc/download?signature=x", True),
        ("https://API.replicate.com:443/v1/files/abc", True),
        ("https://replicate.delivery/xezq/abc/video.mp4", False),
        ("https://api.replicate.com.evil.example/v1/files/abc", False),
        ("https://api.replicate.com@evil.example/v1/files/abc", False),
        ("http://api.replicate.com/v1/files/abc", False),
        ("https://api.replicate.com:8443/v1/files/abc", False),
        ("https://api.replicate.com/v1/account", False),
        ("https://api.replicate.com/v1/files/../account", False),
        ("https://api.replicate.com/v1/files/%2e%2e/account", False),
        ("https://[::1/v1/files/abc", False),
    ],
)
def test_only_a_file_of_the_api_itself_is_downloaded_with_the_token(
    client: httpx.AsyncClient, url: str, carries_the_token: bool
) -> None:
    headers = provider(client, "https://api.replicate.com").download_headers(url)
    assert headers == ({"Authorization": f"Bearer {TOKEN}"} if carries_the_token else {})


@pytest.mark.parametrize("token", ["", " ", "r8_hush\x7f", "r8_hushé"])
def test_a_token_that_no_header_can_carry_is_refused(client: httpx.AsyncClient, token: str) -> None:
    with pytest.raises(ValueError, match="Replicate key") as refusal:
        ReplicateProvider(client, submit_client=client, token=SecretStr(token), base="https://x.test")
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("starting", ProviderState.QUEUED),
        ("Processing", ProviderState.RUNNING),
        ("warming_up", ProviderState.RUNNING),
        ("succeeded", ProviderState.ENDED),
        ("FAILED", ProviderState.ENDED),
        ("canceled", ProviderState.ENDED),
        ("cancelled", ProviderState.ENDED),
        ("aborted", ProviderState.ENDED),
    ],
)
async def test_status_words_are_read_whatever_their_case(
    server: ScriptedServer, replicate: ReplicateProvider, submission: Submission, word: str, state: ProviderState
) -> None:
    server.script = [shown(word, logs="one\n\x1b[2Jtwo\n\n")]
    progress = await replicate.progress(submission, logs=True)
    assert progress.state is state
    assert progress.logs == ("one", "[2Jtwo")


@pytest.mark.parametrize(
    ("logs", "percent"),
    [
        ("  0%|          | 0/50\r 42%|####      | 21/50 [00:08<00:11,  2.51it/s]", 42),
        ("100%|##########| 50/50\nUploading", 100),
        (" 90%|######### |\n" + "x" * 5000, None),
        ("guidance at 42% of the prompt", None),
        ("99.5%|", None),
        ("420%|", None),
        ("", None),
        (None, None),
        ({"lines": []}, None),
    ],
    ids=range(9),
)
async def test_the_last_bar_of_the_log_tells_the_percent(
    server: ScriptedServer, replicate: ReplicateProvider, submission: Submission, logs: Any, percent: int | None
) -> None:
    server.script = [shown("processing", logs=logs)]
    assert (await replicate.progress(submission)).percent == percent


URL = "https://replicate.delivery/xezq/a/output.mp4"


@pytest.mark.parametrize(
    ("output", "urls"),
    [
        (URL, [URL]),
        ([URL, URL + "2"], [URL, URL + "2"]),
        ({"video": URL}, [URL]),
        ({"preview": URL, "seed": 1}, [URL]),
        ({"a": [{"b": {"c": [URL]}}]}, [URL]),
        ([{"file": {"url": URL}}], [URL]),
        ({"text": URL, "segments": [{"text": URL}]}, []),
        (["a lake ", "at ", "dawn"], []),
        (None, []),
        ([], []),
        (7, []),
    ],
)
async def test_output_has_any_form(
    server: ScriptedServer, replicate: ReplicateProvider, submission: Submission, output: Any, urls: list[str]
) -> None:
    server.script = [shown(output=output, metrics={"predict_time": 12.5})]
    result = await replicate.result(submission)

    assert [media.url for media in result.media] == urls
    assert result.billable_units == 12.5
    assert result.data == (output if isinstance(output, dict) else {"output": output})


@pytest.mark.parametrize("metrics", [None, {}, {"predict_time": None}, {"predict_time": -1}, {"predict_time": True}])
async def test_metrics_without_a_time_are_no_cost(
    server: ScriptedServer, replicate: ReplicateProvider, submission: Submission, metrics: Any
) -> None:
    server.script = [shown(output=URL, metrics=metrics)]
    assert (await replicate.result(submission)).billable_units is None


@pytest.mark.parametrize(
    ("word", "error", "code", "said"),
    [
        ("failed", "CUDA out of memory", FailureCode.PROVIDER_ERROR, "CUDA out of memory"),
        ("failed", None, FailureCode.PROVIDER_ERROR, "gave no reason"),
        ("failed", {"a": 1}, FailureCode.PROVIDER_ERROR, "gave no reason"),
        ("failed", "NSFW content detected. Try another prompt", FailureCode.CONTENT_POLICY, "NSFW"),
        ("failed", "The input or output was flagged as sensitive. (E005)", FailureCode.CONTENT_POLICY, "flagged"),
        ("failed", "This violates our content policy", FailureCode.CONTENT_POLICY, "violates"),
        ("failed", "The prompt was blocked by the safety system", FailureCode.CONTENT_POLICY, "blocked"),
        # A word is not a verdict.
        ("failed", "Failed to load safety_checker: CUDA out of memory", FailureCode.PROVIDER_ERROR, "CUDA"),
        ("failed", "nsfw_detector.onnx: file not found", FailureCode.PROVIDER_ERROR, "onnx"),
        ("failed", "case-sensitive path: models/Flux", FailureCode.PROVIDER_ERROR, "path"),
        ("canceled", None, FailureCode.CANCELED, "canceled at Replicate"),
        ("aborted", None, FailureCode.DEADLINE_EXCEEDED, "before it ran"),
    ],
)
async def test_ends_without_an_output_say_why(
    server: ScriptedServer,
    replicate: ReplicateProvider,
    submission: Submission,
    word: str,
    error: Any,
    code: FailureCode,
    said: str,
) -> None:
    server.script = [shown(word, error=error)]
    with pytest.raises(GenerationFailed, match=said) as failed:
        await replicate.result(submission)
    assert failed.value.failure.code is code


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (shown("processing"), StillRunning),
        (shown("warming_up"), StillRunning),
        (shown(data_removed=True), ResultExpired),
        (answer(404), ResultExpired),
        (answer(410), ResultExpired),
        (answer(401), Unauthorized),
        (answer(429), Unavailable),
        (answer(503), Unavailable),
        (answer(200, b"<html>"), Unavailable),
        (json_answer(200, {"status": None}), Unavailable),
        (json_answer(200, [1]), Unavailable),
        (reset, Unavailable),
    ],
    ids=range(12),
)
async def test_other_answers_are_no_results(
    server: ScriptedServer,
    replicate: ReplicateProvider,
    submission: Submission,
    behaviour: Behaviour,
    error: type[Exception],
) -> None:
    server.script = [behaviour]
    with pytest.raises(error):
        await replicate.result(submission)


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (shown("canceled", started_at=None), CancelAnswer.CANCELED),
        (shown("aborted", started_at=None), CancelAnswer.CANCELED),
        (shown("canceled", started_at="2026-10-05T12:00:00Z"), CancelAnswer.REQUESTED),
        (shown("processing"), CancelAnswer.REQUESTED),
        (shown("succeeded"), CancelAnswer.TOO_LATE),
        (answer(404), CancelAnswer.TOO_LATE),
        (answer(422), CancelAnswer.TOO_LATE),
    ],
    ids=range(7),
)
async def test_cancel(
    server: ScriptedServer,
    replicate: ReplicateProvider,
    submission: Submission,
    behaviour: Behaviour,
    said: CancelAnswer,
) -> None:
    server.script = [behaviour]
    assert await replicate.cancel(submission) is said
    assert (server.seen[0].method, server.seen[0].target) == ("POST", f"/v1/predictions/{ID}/cancel")


START = datetime(2026, 10, 5, 12, tzinfo=UTC)
WINDOW = (START, START + timedelta(minutes=2))


def listed(prediction_id: str = ID, *, seconds: float = 30, **changes: Any) -> dict[str, Any]:
    moment = (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    return {
        "id": prediction_id,
        "model": "bytedance/seedance-1-lite",
        "version": "hidden",
        "input": {"prompt": "a reef"},
        "created_at": moment,
        "status": "processing",
        **changes,
    }


def page(*predictions: Any, next_url: str | None = None) -> Behaviour:
    return json_answer(200, {"next": next_url, "previous": None, "results": list(predictions)})


async def test_a_lost_prediction_is_found_by_model_input_and_time(
    server: ScriptedServer, replicate: ReplicateProvider
) -> None:
    server.script = [
        page(
            listed("late", seconds=121),
            listed("ours"),
            listed("another-input", input={"prompt": "a fox"}),
            listed("more-input", input={"prompt": "a reef", "seed": 1}),
            listed("no-input", input={}),
            listed("another-model", model="bytedance/seedance-1-pro"),
            listed("no-time", created_at=None),
            listed("odd/id"),
            "no prediction",
            next_url=f"{server.url}/v1/predictions?cursor=2",
        ),
        page(
            listed("ours-too", seconds=0), listed("early", seconds=-1), next_url=f"{server.url}/v1/predictions?cursor=3"
        ),
    ]
    assert await replicate.requests_like(REQUEST, sent_between=WINDOW) == ["ours", "ours-too"]

    first, second = server.seen
    assert first.target.startswith("/v1/predictions?created_after=2026-10-05T12")
    assert second.target == "/v1/predictions?cursor=2"


async def test_a_webhook_address_in_the_list_decides(server: ScriptedServer, replicate: ReplicateProvider) -> None:
    server.script = [page(listed("ours", webhook=HOOK, input={}), listed("theirs", webhook=HOOK + "2"))]
    assert await replicate.requests_like(REQUEST, sent_between=WINDOW) == ["ours"]


async def test_a_model_that_is_run_by_version_is_found_by_version(
    server: ScriptedServer, replicate: ReplicateProvider
) -> None:
    server.script = [page(listed("ours", version=VERSION, model="x/y"), listed("theirs", version="ab" * 32))]
    assert await replicate.requests_like(BY_VERSION, sent_between=WINDOW) == ["ours"]


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_list_that_is_not_for_us_is_none(
    server: ScriptedServer, replicate: ReplicateProvider, status: int
) -> None:
    server.script = [answer(status)]
    with pytest.raises(NotListed):
        await replicate.requests_like(REQUEST, sent_between=WINDOW)


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(503),
        answer(200, b"{"),
        json_answer(200, {"results": None}),
        json_answer(200, {"results": [], "next": 7}),
        page(next_url="https://evil.test/v1/predictions"),
    ],
    ids=range(5),
)
async def test_a_list_that_is_not_whole_finds_nothing(
    server: ScriptedServer, replicate: ReplicateProvider, behaviour: Behaviour
) -> None:
    server.script = [behaviour]
    with pytest.raises(Unavailable):
        await replicate.requests_like(REQUEST, sent_between=WINDOW)


async def test_a_list_without_an_end_is_given_up(server: ScriptedServer, replicate: ReplicateProvider) -> None:
    server.always = page(listed(), next_url=f"{server.url}/v1/predictions?cursor=1")
    with pytest.raises(Unavailable, match="too long"):
        await replicate.requests_like(REQUEST, sent_between=WINDOW)
    assert len(server.seen) == 10

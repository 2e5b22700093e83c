"""The studio backend's client: one POST, and what each answer to it means."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr

from reelay.domain.failure import FailureCode
from reelay.domain.generation import ProviderState, Submission
from reelay.domain.language import Language
from reelay.providers.errors import (
    GenerationFailed,
    NotListed,
    Rejected,
    StillRunning,
    SubmissionUncertain,
    Throttled,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from reelay.providers.provider import CancelAnswer, SubmissionRequest
from reelay.providers.studio import STARTED_BY_BACKEND, StudioProvider
from tests.unit.providers.scripted_server import (
    Behaviour,
    ScriptedServer,
    answer,
    hang,
    json_answer,
    raw,
    reset,
    timeout_with,
)
from tests.unit.providers.test_fal import free_port

JOB = UUID(int=7)
HOOK = "https://app.test/api/webhooks/video-completion"


class Words:
    """What was pushed last."""

    def __init__(self, said: dict[str, Any] | None = None) -> None:
        self._said = said

    async def get(self, generation_id: UUID) -> bytes | None:
        assert generation_id == JOB
        return None if self._said is None else json.dumps(self._said).encode()


def studio(
    client: httpx.AsyncClient,
    url: str | None,
    said: dict[str, Any] | None = None,
    timeout: timedelta = timedelta(seconds=30),
) -> StudioProvider:
    return StudioProvider(
        client,
        submit_client=client,
        backend_url=url,
        secret=SecretStr("shared secret"),
        final_pushes=Words(said),
        language=Language.ENGLISH,
        timeout=timeout,
    )


def request(endpoint: str = "studio/video") -> SubmissionRequest:
    return SubmissionRequest(job_id=JOB, endpoint=endpoint, arguments={"prompt": "a reef"}, attempt=1, webhook_url=HOOK)


async def submission(provider: StudioProvider) -> Submission:
    return provider.recover(endpoint="studio/video", request_id=str(JOB), attempt=1)


async def test_one_post_says_what_to_make_and_where_to_report(
    server: ScriptedServer, client: httpx.AsyncClient
) -> None:
    server.script = [json_answer(202, {"job_id": str(JOB)})]
    accepted = await studio(client, f"{server.url}/jobs").submit(request())

    (seen,) = server.seen
    assert (seen.method, seen.target, seen.headers["authorization"]) == ("POST", "/jobs", "Bearer shared secret")
    assert json.loads(seen.body) == {
        "version": 1,
        "job_id": str(JOB),
        "content_type": "video",
        "model": "studio/video",
        "input": {"prompt": "a reef"},
        "attempt": 1,
        "webhook_url": HOOK,
    }
    assert (accepted.request_id, accepted.webhook_expected) == (str(JOB), True)


@pytest.mark.parametrize("accepting", [answer(200), answer(202, b"thanks"), json_answer(409, {"error": "I have it"})])
async def test_what_it_takes_or_has_taken_is_accepted(
    server: ScriptedServer, client: httpx.AsyncClient, accepting: Behaviour
) -> None:
    server.script = [accepting]
    assert (await studio(client, server.url).submit(request())).request_id == str(JOB)


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (answer(401), Unauthorized),
        (answer(403), Unauthorized),
        (json_answer(422, {"error": "no such ratio"}), Rejected),
        (answer(404), Rejected),
        (answer(429, Retry_After="3"), Throttled),
        (answer(408), SubmissionUncertain),
        (answer(500), SubmissionUncertain),
        (answer(504), SubmissionUncertain),
        (answer(307, Location="/elsewhere"), SubmissionUncertain),
        (raw(b"HTTP/1.1 2"), SubmissionUncertain),
        (reset, SubmissionUncertain),
        (hang, SubmissionUncertain),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
async def test_each_answer_is_certain_or_not_and_never_asked_for_twice(
    server: ScriptedServer, client: httpx.AsyncClient, behaviour: Behaviour, error: type[Exception]
) -> None:
    server.script = [behaviour]
    with pytest.raises(error):
        await studio(client, server.url, timeout=timeout_with(behaviour)).submit(request())
    assert len(server.seen) == 1


async def test_nobody_there_means_nothing_sent(client: httpx.AsyncClient) -> None:
    with pytest.raises(Unreachable):
        await studio(client, f"http://127.0.0.1:{free_port()}").submit(request())


async def test_a_job_that_the_backend_starts_is_not_sent_to_it(client: httpx.AsyncClient) -> None:
    accepted = await studio(client, None).submit(request(STARTED_BY_BACKEND))
    assert accepted.request_id == str(JOB)


async def test_without_a_backend_nothing_else_can_be_made(client: httpx.AsyncClient) -> None:
    with pytest.raises(Rejected, match="STUDIO_BACKEND_URL"):
        await studio(client, None).submit(request())


async def test_it_runs_until_its_last_word(client: httpx.AsyncClient) -> None:
    silent = studio(client, None)
    assert (await silent.progress(await submission(silent))).state is ProviderState.RUNNING
    with pytest.raises(StillRunning):
        await silent.result(await submission(silent))


async def test_its_last_word_is_the_result(client: httpx.AsyncClient) -> None:
    videos = [{"file_url": "https://studio.example/1.mp4"}]
    said = {"job_id": str(JOB), "content_type": "video", "status": "completed"}
    done = studio(client, None, said | {"data": {"videos": videos, "metadata": {"model_name": "wan"}}})
    assert (await done.progress(await submission(done))).state is ProviderState.ENDED
    result = await done.result(await submission(done))
    assert [media.url for media in result.media] == ["https://studio.example/1.mp4"]
    assert result.data["metadata"] == {"model_name": "wan"}


async def test_its_last_word_may_be_a_failure(client: httpx.AsyncClient) -> None:
    said = {"job_id": str(JOB), "content_type": "video", "status": "failed", "error_message": "out of memory"}
    failed = studio(client, None, said)
    with pytest.raises(GenerationFailed, match="out of memory") as ended:
        await failed.result(await submission(failed))
    assert ended.value.failure.code is FailureCode.PROVIDER_ERROR


@pytest.mark.parametrize(("status", "said"), [(200, CancelAnswer.REQUESTED), (404, CancelAnswer.TOO_LATE)])
async def test_a_cancellation_is_passed_on(
    server: ScriptedServer, client: httpx.AsyncClient, status: int, said: CancelAnswer
) -> None:
    server.script = [answer(status)]
    provider = studio(client, f"{server.url}/jobs")
    assert await provider.cancel(await submission(provider)) is said
    assert (server.seen[0].method, server.seen[0].target) == ("DELETE", f"/jobs/{JOB}")


async def test_a_cancellation_that_is_not_answered_can_be_repeated(
    server: ScriptedServer, client: httpx.AsyncClient
) -> None:
    server.script = [answer(503)]
    provider = studio(client, server.url)
    with pytest.raises(Unavailable):
        await provider.cancel(await submission(provider))


async def test_it_lists_nothing(client: httpx.AsyncClient) -> None:
    with pytest.raises(NotListed):
        await studio(client, None).requests_like(request(), sent_between=(None, None))  # type: ignore[arg-type]

"""The studio backend over HTTP: one raw POST per job. All that follows, it pushes; see `studio_push`.

    POST STUDIO_BACKEND_URL  {"version": 1, "job_id", "content_type", "model", "input", "attempt", "webhook_url"}
    DELETE STUDIO_BACKEND_URL/<job_id>  optional: stop

Both with the shared secret, where there is one, as a bearer token. The request's id is our job id, so the backend can
report by it and tell a repeated POST from a new one (409).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import httpx
from pydantic import SecretStr

from reelay.domain.failure import Failure, FailureCode
from reelay.domain.generation import ProviderProgress, ProviderState, Result, Status, Submission
from reelay.domain.language import Language
from reelay.providers.errors import (
    GenerationFailed,
    NotListed,
    NotUploaded,
    ProviderError,
    Rejected,
    StillRunning,
    SubmissionUncertain,
    Throttled,
    Unauthorized,
    Unavailable,
)
from reelay.providers.exchange import Answer
from reelay.providers.keyed_api import KeyedApi, json_of
from reelay.providers.provider import CancelAnswer, FinalPushes, OutgoingFile, SubmissionRequest
from reelay.providers.reading import is_refusal, object_of, readable
from reelay.providers.studio_push import CONTENT_TYPE, failure_of, read_push

STARTED_BY_BACKEND = "studio/push"
"""The endpoint of jobs that the backend starts by itself: nothing is sent, its pushes are waited for."""
VERSION = 1
"""Of what the backend is sent."""
NO_SECRET = SecretStr("development")
"""Sent to a backend with which no secret is shared."""
ALREADY_THERE = 409
SUBMIT_WITHIN = timedelta(minutes=1)
CALL_TIMEOUT = timedelta(seconds=10)
MAX_ANSWER_BYTES = 64 * 1024


class StudioProvider:
    """Implements `providers.provider.Provider`."""

    longest_data_uri = 8 * 1024 * 1024

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        submit_client: httpx.AsyncClient,
        backend_url: str | None,
        secret: SecretStr | None,
        final_pushes: FinalPushes,
        language: Language,
        timeout: timedelta = SUBMIT_WITHIN,
    ) -> None:
        """`backend_url`: None where the backend starts all jobs by itself. `secret`: None in development alone.
        `language`: of failures of which the backend gives no reason.

        Raises: ValueError, see `KeyedApi`.
        """
        self._url = backend_url
        self._api = KeyedApi(
            client,
            submit_client=submit_client,
            provider="studio",
            scheme="Bearer",
            keys=[secret or NO_SECRET],
            bases=(backend_url,) if backend_url else (),
        )
        self.account = self._api.account
        self._final_pushes = final_pushes
        self._language = language
        self._timeout = timeout

    async def submit(self, request: SubmissionRequest) -> Submission:
        """Send the POST once. Whether it created a request is decided here and in `_refusal`."""
        if request.endpoint != STARTED_BY_BACKEND:
            await self._post_job(request)
        return self.recover(endpoint=request.endpoint, request_id=str(request.job_id), attempt=request.attempt)

    async def progress(self, submission: Submission, *, logs: bool = False) -> ProviderProgress:
        """Whether its final push has come. Raises: Unavailable."""
        ended = await self._final_pushes.get(UUID(submission.request_id)) is not None
        return ProviderProgress(state=ProviderState.ENDED if ended else ProviderState.RUNNING)

    async def result(self, submission: Submission) -> Result:
        """What the last push said. Raises: StillRunning, GenerationFailed, Unavailable."""
        raw = await self._final_pushes.get(UUID(submission.request_id))
        if raw is None:
            raise StillRunning("the studio backend has not reported the end yet")
        push = read_push(raw)
        if push.phase is None or push.phase.status is not Status.COMPLETED:
            raise GenerationFailed(failure_of(push, self._language))
        return Result(media=push.videos, data=push.data)

    async def cancel(self, submission: Submission) -> CancelAnswer:
        """Best effort: a backend need not support it. Raises: Unavailable."""
        if self._url is None:
            return CancelAnswer.TOO_LATE
        url = f"{self._url}/{submission.request_id}"
        answer = await self._api.ask("DELETE", url, within=CALL_TIMEOUT, at_most=MAX_ANSWER_BYTES)
        if answer.status >= 500:
            raise Unavailable(f"the studio backend answered HTTP {answer.status}", answer.retry_after)
        return CancelAnswer.REQUESTED if answer.is_success else CancelAnswer.TOO_LATE

    async def requests_like(self, original: SubmissionRequest, *, sent_between: tuple[datetime, datetime]) -> list[str]:
        """Its next push shows whether it has the job."""
        raise NotListed("the studio backend lists no jobs")

    async def erase(self, request_id: str) -> None:
        """Nothing to do: the backend is the operator's own, and its protocol has no word for it."""

    async def upload(self, file: OutgoingFile) -> str:
        """Raises: NotUploaded."""
        raise NotUploaded("the studio backend takes no files")

    def download_headers(self, url: str) -> Mapping[str, str]:
        """None: videos are fetched without the secret."""
        return {}

    def recover(self, *, endpoint: str, request_id: str, attempt: int) -> Submission:
        own_url = f"{self._url}/{request_id}" if self._url else ""
        return Submission(
            attempt=attempt,
            request_id=request_id,
            status_url="",
            response_url="",
            cancel_url=own_url,
            webhook_expected=True,
        )

    async def _post_job(self, request: SubmissionRequest) -> None:
        if self._url is None:
            failure = Failure(
                code=FailureCode.PROVIDER_REJECTED,
                message="No studio backend is configured (STUDIO_BACKEND_URL): it can only start jobs by itself.",
            )
            raise Rejected(failure)
        body = {
            "version": VERSION,
            "job_id": str(request.job_id),
            "content_type": CONTENT_TYPE,
            "model": request.endpoint,
            "input": dict(request.arguments),
            "attempt": request.attempt,
            "webhook_url": request.webhook_url,
        }
        answer = await self._api.submit(self._url, json_of(body), within=self._timeout, at_most=MAX_ANSWER_BYTES)
        if not (answer.is_success or answer.status == ALREADY_THERE):
            raise _refusal(answer)


def _refusal(answer: Answer) -> ProviderError:
    status = answer.status
    if not is_refusal(answer):
        return SubmissionUncertain(f"the studio backend answered the submission with HTTP {status}")
    match status:
        case 401 | 403:
            return Unauthorized(f"the studio backend does not accept our secret (HTTP {status})")
        case 429:
            return Throttled("the studio backend asks to submit later (HTTP 429)", answer.retry_after)
    return Rejected(Failure(code=FailureCode.PROVIDER_REJECTED, message=_explanation(answer)))


def _explanation(answer: Answer) -> str:
    body = object_of(answer)
    reasons = (body.get(name) for name in ("detail", "error", "message"))
    given = next((reason for reason in reasons if isinstance(reason, str) and reason), "")
    return readable(given) or f"The studio backend answered HTTP {answer.status} and gave no reason."

"""Replicate over HTTP: one raw POST per submission, then get and cancel of the prediction it became."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
from pydantic import SecretStr

from reelay.domain.generation import ProviderProgress, Result, Submission
from reelay.providers.errors import Unavailable
from reelay.providers.exchange import Answer
from reelay.providers.keyed_api import KeyedApi, json_of
from reelay.providers.provider import CancelAnswer, OutgoingFile, SubmissionRequest
from reelay.providers.replicate_answers import cancel_of, created, progress_of, result_of
from reelay.providers.replicate_files import upload
from reelay.providers.replicate_listing import Original, is_like, page_of
from reelay.providers.strict_json import parse_json

SUBMISSION_LIMIT = timedelta(minutes=1)
"""Replicate answers as soon as the prediction exists: it is not asked to wait for the end."""
CALL_TIMEOUT = timedelta(seconds=20)
SHORTEST_DEADLINE = timedelta(seconds=5)
MAX_PREDICTION_BYTES = 10 * 1024 * 1024
"""A prediction carries its input, its output and its logs."""
MAX_PAGES = 10
MAX_PAGE_BYTES = 10 * 1024 * 1024


class ReplicateProvider:
    """Implements `providers.provider.Provider`. An endpoint is `owner/name`, or `owner/name:version` of a model that
    has to be run by version. The token goes to `base` and nowhere else."""

    longest_data_uri = 256 * 1024
    """As its documents advise."""

    def __init__(
        self, client: httpx.AsyncClient, *, submit_client: httpx.AsyncClient, token: SecretStr, base: str
    ) -> None:
        """`base`: the API's origin, without `/v1`. Raises: ValueError for a token that no HTTP header can carry."""
        self._v1 = f"{base.rstrip('/')}/v1"
        self._api = KeyedApi(
            client, submit_client=submit_client, provider="Replicate", scheme="Bearer", keys=[token], bases=(self._v1,)
        )
        self.account = self._api.account
        self._client = client

    async def submit(self, request: SubmissionRequest) -> Submission:
        """Send the POST once. Whether it created a request is decided here and in `replicate_answers.created`."""
        model, version = _model_and_version(request.endpoint)
        path = "predictions" if version else f"models/{model}/predictions"
        answer = await self._api.submit(
            f"{self._v1}/{path}",
            _body(request, version),
            headers=_deadline(request.deadline),
            within=SUBMISSION_LIMIT,
            at_most=MAX_PREDICTION_BYTES,
        )
        prediction = created(answer)
        built = self.recover(endpoint=request.endpoint, request_id=prediction["id"], attempt=request.attempt)
        return replace(built, webhook_expected=request.webhook_url is not None)

    async def progress(self, submission: Submission, *, logs: bool = False) -> ProviderProgress:
        """The prediction's status, with the last log lines if asked for."""
        return progress_of(await self._get(submission.status_url), logs=logs)

    async def result(self, submission: Submission) -> Result:
        """The output, which Replicate keeps for an hour."""
        return result_of(await self._get(submission.response_url))

    async def cancel(self, submission: Submission) -> CancelAnswer:
        """Stops it, also while it runs; the time that it ran is charged."""
        return cancel_of(
            await self._api.ask("POST", submission.cancel_url, within=CALL_TIMEOUT, at_most=MAX_PREDICTION_BYTES)
        )

    async def requests_like(self, original: SubmissionRequest, *, sent_between: tuple[datetime, datetime]) -> list[str]:
        """By webhook address where the list shows it, else by model, input and time."""
        model, version = _model_and_version(original.endpoint)
        wanted = Original(
            model=model,
            version=version,
            arguments=parse_json(json_of(original.arguments)),
            webhook_url=original.webhook_url,
            sent_between=sent_between,
        )
        url = str(httpx.URL(f"{self._v1}/predictions", params={"created_after": sent_between[0].isoformat()}))
        found: list[str] = []
        for _ in range(MAX_PAGES):
            page = page_of(await self._api.ask("GET", url, within=CALL_TIMEOUT, at_most=MAX_PAGE_BYTES))
            found += [listed["id"] for listed in page.predictions if is_like(listed, wanted)]
            if page.next_url is None or page.reaches_back_to(sent_between[0]):
                return list(dict.fromkeys(found))
            url = page.next_url
        raise Unavailable("Replicate's list of predictions is too long to be read to its end")

    async def erase(self, request_id: str) -> None:
        """Nothing to do: an hour after a prediction's end Replicate deletes its input, output and files by itself."""

    async def upload(self, file: OutgoingFile) -> str:
        """Raises: NotUploaded, Unavailable."""
        return await upload(self._api, self._client, f"{self._v1}/files", file)

    def download_headers(self, url: str) -> Mapping[str, str]:
        """The token for a file that the API itself keeps; its media host, replicate.delivery, serves without."""
        return self._api.authorization(url) if _is_file(url, f"{self._v1}/files/") else {}

    def recover(self, *, endpoint: str, request_id: str, attempt: int) -> Submission:
        """Every model's predictions live at the same address.

        No webhook is expected: it has been here and brought the id, or the prediction was found without one.
        """
        url = f"{self._v1}/predictions/{request_id}"
        return Submission(
            attempt=attempt,
            request_id=request_id,
            status_url=url,
            response_url=url,
            cancel_url=f"{url}/cancel",
            webhook_expected=False,
        )

    async def _get(self, url: str) -> Answer:
        return await self._api.ask("GET", url, within=CALL_TIMEOUT, at_most=MAX_PREDICTION_BYTES)


def _is_file(url: str, folder: str) -> bool:
    """Whether the path leads into the folder and, however it is encoded, not out of it again."""
    try:
        path = httpx.URL(url).path
    except httpx.InvalidURL:
        return False
    return path.startswith(httpx.URL(folder).path) and ".." not in path.split("/")


def _model_and_version(endpoint: str) -> tuple[str, str | None]:
    model, _, version = endpoint.strip("/").partition(":")
    return model, version or None


def _body(request: SubmissionRequest, version: str | None) -> bytes:
    """Only the end is asked for: nothing follows from the other events, and none of them is sent twice."""
    webhook = {"webhook": request.webhook_url, "webhook_events_filter": ["completed"]} if request.webhook_url else {}
    return json_of({"input": dict(request.arguments), **({"version": version} if version else {}), **webhook})


def _deadline(deadline: timedelta | None) -> dict[str, str]:
    """After this nobody waits for the prediction any more, so Replicate ends it by itself."""
    if deadline is None:
        return {}
    return {"Cancel-After": f"{int(max(deadline, SHORTEST_DEADLINE).total_seconds())}s"}

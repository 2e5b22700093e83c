"""fal's queue over HTTP: one raw POST per submission, then status, result and cancel."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from reelay.domain.generation import ProviderProgress, Result, Submission
from reelay.providers.errors import NotUploaded, Unauthorized, Unavailable
from reelay.providers.exchange import Answer
from reelay.providers.fal_answers import accepted, cancel_of, position_of, progress_of, result_of
from reelay.providers.fal_listing import is_like, page_of
from reelay.providers.fal_storage import FalStorage
from reelay.providers.keyed_api import KeyedApi, json_of
from reelay.providers.provider import CancelAnswer, OutgoingFile, SubmissionRequest
from reelay.providers.strict_json import parse_json

# Endpoints of these namespaces are addressed by three segments, all others by two.
LONG_NAMESPACES = frozenset({"workflows", "comfy"})

CALL_TIMEOUT = timedelta(seconds=20)
"""The most that a status or cancel call may take: they are repeated anyway."""
OTHER_BASE_TIMEOUT = timedelta(seconds=3)
"""The most that each other base may take: with the queue's own time this stays below the polling activity's 30 s."""
MOST_OTHER_BASES = 3
REQUEST_ID_HEADER = "x-fal-request-id"
MAX_SHORT_ANSWER_BYTES = 64 * 1024
MAX_STATUS_BYTES = 1024 * 1024
"""A status answer carries the logs."""
MAX_RESULT_BYTES = 10 * 1024 * 1024
PAGE_LENGTH = 100
"""Requests in one answer of the list; fal's maximum."""
MAX_PAGES = 10
MAX_PAGE_BYTES = 10 * 1024 * 1024


def app_of(endpoint: str) -> str:
    """What the addresses of an endpoint's requests begin with: its sub-path is none of it."""
    segments = endpoint.strip("/").split("/")
    return "/".join(segments[: 3 if segments[0] in LONG_NAMESPACES else 2])


class FalProvider:
    """Implements `providers.provider.Provider`. The keys go to `queue_base`, to `platform_base` and nowhere else."""

    longest_data_uri = 4 * 1024 * 1024

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        submit_client: httpx.AsyncClient,
        keys: Sequence[SecretStr],
        queue_base: str,
        platform_base: str,
        timeout: timedelta,
        other_bases: Sequence[str] = (),
        admin_key: SecretStr | None = None,
        storage_base: str | None = None,
    ) -> None:
        """`other_bases` are where status and result are looked for, in this order, when the queue is out of reach or
        does not know the request; at most `MOST_OTHER_BASES` of them.
        `storage_base` takes uploads. `keys` are of one account; see `KeyedApi`.

        `admin_key` may delete what fal stores of requests; the others may not.

        `timeout` is the most that a submission or a result may take from first to last byte.

        Raises: ValueError for a key that no HTTP header can carry.
        """
        self._base = queue_base.rstrip("/")
        self._platform = platform_base.rstrip("/")
        self._timeout = timeout
        others = dict.fromkeys(base.rstrip("/") for base in other_bases)
        self._others = [base for base in others if base != self._base][:MOST_OTHER_BASES]
        bases = (self._base, self._platform, *self._others, *([storage_base] if storage_base else []))
        self._api = KeyedApi(client, submit_client=submit_client, provider="fal", scheme="Key", keys=keys, bases=bases)
        self.account = self._api.account
        self._admin_api = (
            KeyedApi(
                client,
                submit_client=submit_client,
                provider="fal",
                scheme="Key",
                keys=[admin_key],
                bases=(self._platform,),
            )
            if admin_key
            else None
        )
        self._storage = FalStorage(self._api, client, storage_base) if storage_base else None

    async def submit(self, request: SubmissionRequest) -> Submission:
        """Send the POST once. Whether it created a request is decided here and in `fal_answers.accepted`."""
        answer = await self._api.submit(
            f"{self._base}/{request.endpoint.strip('/')}",
            json_of(request.arguments),
            params={"fal_webhook": request.webhook_url} if request.webhook_url else None,
            within=self._timeout,
            at_most=MAX_SHORT_ANSWER_BYTES,
        )
        body = accepted(answer)
        built = self.recover(endpoint=request.endpoint, request_id=body["request_id"], attempt=request.attempt)
        return replace(
            built,
            status_url=self._api.own_url(body.get("status_url")) or built.status_url,
            response_url=self._api.own_url(body.get("response_url")) or built.response_url,
            cancel_url=self._api.own_url(body.get("cancel_url")) or built.cancel_url,
            webhook_expected=request.webhook_url is not None,
            queue_position=position_of(body),
        )

    async def progress(self, submission: Submission, *, logs: bool = False) -> ProviderProgress:
        """The queue's word, with the last log lines if asked for."""
        return progress_of(
            await self._find(
                submission.status_url,
                params={"logs": "1"} if logs else None,
                within=CALL_TIMEOUT,
                at_most=MAX_STATUS_BYTES,
            )
        )

    async def result(self, submission: Submission) -> Result:
        """The model's answer as fal keeps it: for an hour, or for minutes when it is 10 KB or more."""
        return result_of(await self._find(submission.response_url, within=self._timeout, at_most=MAX_RESULT_BYTES))

    async def cancel(self, submission: Submission) -> CancelAnswer:
        """Out of the queue at once; once it runs, only models with a cancel handler stop."""
        return cancel_of(
            await self._ask("PUT", submission.cancel_url, within=CALL_TIMEOUT, at_most=MAX_SHORT_ANSWER_BYTES)
        )

    async def requests_like(self, original: SubmissionRequest, *, sent_between: tuple[datetime, datetime]) -> list[str]:
        """By endpoint, input and time. Ended requests alone may be listed, and some time after their end."""
        arguments = parse_json(json_of(original.arguments))
        query = {
            "endpoint_id": original.endpoint,
            "start": sent_between[0].isoformat(),
            "expand": "payloads",
            "limit": str(PAGE_LENGTH),
        }
        found: list[str] = []
        for _ in range(MAX_PAGES):
            page = page_of(await self._get_page(query))
            found += [
                listed["request_id"]
                for listed in page.requests
                if is_like(listed, endpoint=original.endpoint, arguments=arguments, sent_between=sent_between)
            ]
            if page.next_cursor is None:
                return list(dict.fromkeys(found))
            query["cursor"] = page.next_cursor
        raise Unavailable("fal's list of requests is too long to be read to its end")

    async def erase(self, request_id: str) -> None:
        """Nothing without an admin key: fal deletes payloads by itself, after the time that the account is set to."""
        if self._admin_api is None:
            return
        answer = await self._admin_api.ask(
            "DELETE",
            f"{self._platform}/models/requests/{quote(request_id, safe='')}/payloads",
            headers={"Idempotency-Key": f"erase-{request_id}"},
            within=min(CALL_TIMEOUT, self._timeout),
            at_most=MAX_SHORT_ANSWER_BYTES,
        )
        if answer.status in (401, 403):
            raise Unauthorized(f"fal does not let FAL_ADMIN_KEY delete payloads (HTTP {answer.status})")
        if not answer.is_success and answer.status not in (404, 410):
            raise Unavailable(f"fal did not delete the payloads (HTTP {answer.status})")

    async def upload(self, file: OutgoingFile) -> str:
        """Raises: NotUploaded, Unavailable."""
        if self._storage is None:
            raise NotUploaded("it has no storage set up")
        return await self._storage.upload(file)

    def download_headers(self, url: str) -> Mapping[str, str]:
        """None: fal's media hosts are public."""
        return {}

    def recover(self, *, endpoint: str, request_id: str, attempt: int) -> Submission:
        """The addresses are those of the app: fal answers 405 when an endpoint's sub-path is in them.

        No webhook is expected: it has been here and brought the request id, or the request was found without one.
        """
        request_url = f"{self._base}/{app_of(endpoint)}/requests/{request_id}"
        return Submission(
            attempt=attempt,
            request_id=request_id,
            status_url=f"{request_url}/status",
            response_url=request_url,
            cancel_url=f"{request_url}/cancel",
            webhook_expected=False,
        )

    async def _find(
        self, url: str, *, params: Mapping[str, str] | None = None, within: timedelta, at_most: int
    ) -> Answer:
        """The queue's answer; when it has none, or does not know the request, that of the first other base that does.

        Raises: Unavailable, with the queue's own error.
        """
        try:
            answer = await self._ask("GET", url, params=params, within=within, at_most=at_most)
        except Unavailable:
            if (found := await self._find_at_other_bases(url, params, at_most)) is None:
                raise
            return found
        if answer.status not in (404, 410):
            return answer
        return await self._find_at_other_bases(url, params, at_most) or answer

    async def _find_at_other_bases(self, url: str, params: Mapping[str, str] | None, at_most: int) -> Answer | None:
        if not url.startswith(f"{self._base}/"):
            return None
        for base in self._others:
            with suppress(Unavailable):
                other = base + url.removeprefix(self._base)
                answer = await self._ask("GET", other, params=params, within=OTHER_BASE_TIMEOUT, at_most=at_most)
                # Only what speaks of a request counts: another host's 404, or its home page, says nothing.
                if answer.is_success and REQUEST_ID_HEADER in answer.headers:
                    return answer
        return None

    async def _ask(
        self, method: str, url: str, *, params: Mapping[str, str] | None = None, within: timedelta, at_most: int
    ) -> Answer:
        return await self._api.ask(method, url, params=params, within=min(within, self._timeout), at_most=at_most)

    async def _get_page(self, query: Mapping[str, str]) -> Answer:
        url = f"{self._platform}/models/requests/by-endpoint"
        return await self._ask("GET", url, params=query, within=CALL_TIMEOUT, at_most=MAX_PAGE_BYTES)

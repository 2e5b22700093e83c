"""fal's queue over HTTP: one raw POST per submission, then status, result and cancel."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
from pydantic import SecretStr

from domain.failure import Failure, FailureCode
from domain.generation import ProviderProgress, Result, Submission
from providers.errors import Rejected, SubmissionUncertain, Unavailable, Unreachable
from providers.exchange import Answer, exchange
from providers.fal_answers import accepted, cancel_of, position_of, progress_of, result_of
from providers.fal_listing import is_like, page_of
from providers.provider import CancelAnswer, SubmissionRequest, fingerprint
from providers.strict_json import parse_json

NOTHING_SENT = (
    httpx.ConnectError,  # refused, DNS, TLS
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,  # the tunnel to fal was not opened
    httpx.UnsupportedProtocol,
)
# Endpoints of these namespaces are addressed by three segments, all others by two.
LONG_NAMESPACES = frozenset({"workflows", "comfy"})

QUICK_CALL = timedelta(seconds=20)
"""The most that a status or cancel call may take: they are repeated anyway."""
MAX_SHORT_ANSWER_BYTES = 64 * 1024
MAX_STATUS_BYTES = 1024 * 1024
"""A status answer carries the logs."""
MAX_RESULT_BYTES = 10 * 1024 * 1024
PAGE_LENGTH = 100
"""Requests in one answer of the list; fal's maximum."""
MAX_PAGES = 10
MAX_PAGE_BYTES = 10 * 1024 * 1024
MIN_MASKED_LENGTH = 8
"""Shorter keys are stand-ins, and masking them would garble ordinary words."""


class FalProvider:
    """Implements `providers.provider.Provider`. The key goes to `queue_base`, to `platform_base` and nowhere else."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        purchases: httpx.AsyncClient,
        key: SecretStr,
        queue_base: str,
        platform_base: str,
        timeout: timedelta,
    ) -> None:
        """`purchases` sends the submissions and keeps no connection: one that the server has just closed would make
        the next submission uncertain.

        `timeout` is the most that a submission or a result may take from first to last byte.

        Raises: ValueError for a key that no HTTP header can carry (httpx would print it in its own error).
        """
        secret = key.get_secret_value().strip()
        if not secret or not secret.isascii() or not secret.isprintable():
            raise ValueError("the fal key is empty or has characters that no key has")
        self._client = client
        self._purchases = purchases
        self._key = SecretStr(secret)
        self.account = fingerprint(secret)
        self._base = queue_base.rstrip("/")
        self._origin = _origin(self._base)
        self._platform = platform_base.rstrip("/")
        self._timeout = timeout

    async def submit(self, request: SubmissionRequest) -> Submission:
        """Send the POST once. Whether it bought something is decided here and in `fal_answers.accepted`."""
        call = self._request(
            "POST",
            f"{self._base}/{request.endpoint.strip('/')}",
            params={"fal_webhook": request.webhook_url} if request.webhook_url else None,
            content=_json_of(request.arguments),
        )
        try:
            answer = await self._exchange(self._purchases, call, within=self._timeout, at_most=MAX_SHORT_ANSWER_BYTES)
        except NOTHING_SENT as error:
            raise Unreachable(f"no connection to fal ({type(error).__name__})") from error
        except httpx.TransportError as error:
            raise SubmissionUncertain(f"fal's answer was lost ({type(error).__name__})") from error
        body = accepted(answer)
        built = self.recover(endpoint=request.endpoint, request_id=body["request_id"], attempt=request.attempt)
        return replace(
            built,
            status_url=self._own_url(body.get("status_url")) or built.status_url,
            response_url=self._own_url(body.get("response_url")) or built.response_url,
            cancel_url=self._own_url(body.get("cancel_url")) or built.cancel_url,
            webhook_expected=request.webhook_url is not None,
            queue_position=position_of(body),
        )

    async def progress(self, submission: Submission, *, logs: bool = False) -> ProviderProgress:
        """The queue's word, with the last log lines if asked for."""
        return progress_of(
            await self._ask(
                "GET",
                submission.status_url,
                params={"logs": "1"} if logs else None,
                within=QUICK_CALL,
                at_most=MAX_STATUS_BYTES,
            )
        )

    async def result(self, submission: Submission) -> Result:
        """The model's answer as fal keeps it: for an hour, or for minutes when it is 10 KB or more."""
        return result_of(
            await self._ask("GET", submission.response_url, within=self._timeout, at_most=MAX_RESULT_BYTES)
        )

    async def cancel(self, submission: Submission) -> CancelAnswer:
        """Out of the queue at once; once it runs, only models with a cancel handler stop."""
        return cancel_of(
            await self._ask("PUT", submission.cancel_url, within=QUICK_CALL, at_most=MAX_SHORT_ANSWER_BYTES)
        )

    async def requests_like(self, original: SubmissionRequest, *, sent_between: tuple[datetime, datetime]) -> list[str]:
        """By endpoint, input and time. Ended requests alone may be listed, and some time after their end."""
        arguments = parse_json(_json_of(original.arguments))
        query = {
            "endpoint_id": original.endpoint,
            "start": sent_between[0].isoformat(),
            "expand": "payloads",
            "limit": str(PAGE_LENGTH),
        }
        found: list[str] = []
        for _ in range(MAX_PAGES):
            page = page_of(await self._look_up(query))
            found += [
                listed["request_id"]
                for listed in page.requests
                if is_like(listed, endpoint=original.endpoint, arguments=arguments, sent_between=sent_between)
            ]
            if page.next_cursor is None:
                return list(dict.fromkeys(found))
            query["cursor"] = page.next_cursor
        raise Unavailable("fal's list of requests is too long to be read to its end")

    def recover(self, *, endpoint: str, request_id: str, attempt: int) -> Submission:
        """The addresses are those of the app: fal answers 405 when an endpoint's sub-path is in them.

        No webhook is expected: it has been here and brought the request id, or the request was found without one.
        """
        segments = endpoint.strip("/").split("/")
        app = "/".join(segments[: 3 if segments[0] in LONG_NAMESPACES else 2])
        request_url = f"{self._base}/{app}/requests/{request_id}"
        return Submission(
            attempt=attempt,
            request_id=request_id,
            status_url=f"{request_url}/status",
            response_url=request_url,
            cancel_url=f"{request_url}/cancel",
            webhook_expected=False,
        )

    async def _ask(
        self, method: str, url: str, *, params: Mapping[str, str] | None = None, within: timedelta, at_most: int
    ) -> Answer:
        """A call that is free to repeat."""
        if self._own_url(url) is None:
            raise Unavailable("the request's address is not on fal's queue, so our key is not sent there")
        return await self._answer(self._request(method, url, params=params), within=within, at_most=at_most)

    async def _look_up(self, query: Mapping[str, str]) -> Answer:
        call = self._request("GET", f"{self._platform}/models/requests/by-endpoint", params=query)
        return await self._answer(call, within=QUICK_CALL, at_most=MAX_PAGE_BYTES)

    async def _answer(self, call: httpx.Request, *, within: timedelta, at_most: int) -> Answer:
        try:
            return await self._exchange(self._client, call, within=min(within, self._timeout), at_most=at_most)
        except httpx.TransportError as error:
            raise Unavailable(f"fal did not answer ({type(error).__name__})") from error

    def _request(
        self, method: str, url: str, *, params: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> httpx.Request:
        headers = {"Authorization": f"Key {self._key.get_secret_value()}", "Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        return httpx.Request(method, url, params=params, content=content, headers=headers)

    async def _exchange(
        self, client: httpx.AsyncClient, call: httpx.Request, *, within: timedelta, at_most: int
    ) -> Answer:
        """An answer that quotes our key goes no further with it."""
        answer = await exchange(client, call, within=within, at_most=at_most)
        key = self._key.get_secret_value()
        if len(key) < MIN_MASKED_LENGTH:
            return answer
        return replace(answer, body=answer.body.replace(key.encode(), b"***"))

    def _own_url(self, url: object) -> str | None:
        """The address, if our key may be sent to it."""
        return url if isinstance(url, str) and _origin(url) == self._origin else None


def _origin(url: str) -> tuple[str, str, int | None, bytes] | None:
    """Scheme, host, port and user info; None for what is no absolute URL."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return None
    return (parts.scheme, parts.host, parts.port, parts.userinfo) if parts.is_absolute_url else None


def _json_of(arguments: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(dict(arguments), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        failure = Failure(code=FailureCode.PROVIDER_REJECTED, message="The input cannot be written as JSON.")
        raise Rejected(failure) from error

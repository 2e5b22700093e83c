"""A provider's HTTP API under our keys: each call sent once, the keys shown to the provider alone."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import httpx
from pydantic import SecretStr

from reelay.domain.failure import Failure, FailureCode
from reelay.providers.errors import Rejected, SubmissionUncertain, Unavailable, Unreachable
from reelay.providers.exchange import Answer, exchange
from reelay.tracing.spans import client_span

NOTHING_SENT = (
    httpx.ConnectError,  # refused, DNS, TLS
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,  # the tunnel to the provider was not opened
    httpx.UnsupportedProtocol,
)
SHORTEST_TRY = timedelta(seconds=1)
MIN_MASKED_LENGTH = 8
"""Shorter keys are stand-ins, and masking them would garble ordinary text."""


class KeyedApi:
    """Sends to `bases`' origins and nowhere else. An answer that quotes a key goes no further with it."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        submit_client: httpx.AsyncClient,
        provider: str,
        scheme: str,
        keys: Sequence[SecretStr],
        bases: tuple[str, ...],
    ) -> None:
        """`submit_client` sends the submissions and keeps no connection: one that the server has just closed would make
        the next submission uncertain. `scheme`: the word before the key in `Authorization`.
        `keys` are of one account, two during a rotation: the first is used until the provider does not know it (401),
        then the next.

        Raises: ValueError for a key that no HTTP header can carry (httpx would print it in its own error).
        """
        secrets = [key.get_secret_value().strip() for key in keys]
        if not secrets or not all(secret and secret.isascii() and secret.isprintable() for secret in secrets):
            raise ValueError(f"the {provider} key is empty or has characters that no key has")
        self._client = client
        self._submit_client = submit_client
        self._provider = provider
        self._scheme = scheme
        self._keys = [SecretStr(secret) for secret in secrets]
        self.account = fingerprint(secrets[0])
        self._origins = {origin_of(base) for base in bases}

    async def submit(
        self,
        url: str,
        content: bytes,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        within: timedelta,
        at_most: int,
    ) -> Answer:
        """Send one paid POST, once. Raises: Unreachable, SubmissionUncertain."""
        call = self._request("POST", url, params=params, content=content, headers=headers or {})
        try:
            return await self._exchange(self._submit_client, call, within=within, at_most=at_most)
        except NOTHING_SENT as error:
            raise Unreachable(f"no connection to {self._provider} ({type(error).__name__})") from error
        except httpx.TransportError as error:
            raise SubmissionUncertain(f"{self._provider}'s answer was lost ({type(error).__name__})") from error

    async def ask(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        within: timedelta,
        at_most: int,
    ) -> Answer:
        """Send a call that is free to repeat. Raises: Unavailable."""
        if self.own_url(url) is None:
            raise Unavailable(f"the address is not {self._provider}'s, so our key is not sent there")
        call = self._request(method, url, params=params, content=content, headers=headers)
        try:
            return await self._exchange(self._client, call, within=within, at_most=at_most)
        except httpx.TransportError as error:
            raise Unavailable(f"{self._provider} did not answer ({type(error).__name__})") from error

    def own_url(self, url: object) -> str | None:
        """The address, if our key may be sent to it."""
        return url if isinstance(url, str) and origin_of(url) in self._origins else None

    def authorization(self, url: str) -> dict[str, str]:
        """The header for a call that others send; none for an address that our key may not be sent to."""
        return {} if self.own_url(url) is None else self._authorization(self._keys[0])

    def _authorization(self, key: SecretStr) -> dict[str, str]:
        return {"Authorization": f"{self._scheme} {key.get_secret_value()}"}

    def _request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Request:
        all_headers = {"Accept": "application/json", **(headers or {})}
        if content is not None:
            all_headers["Content-Type"] = "application/json"
        return httpx.Request(method, url, params=params, content=content, headers=all_headers)

    async def _exchange(
        self, client: httpx.AsyncClient, call: httpx.Request, *, within: timedelta, at_most: int
    ) -> Answer:
        """The first answer that is no 401, which proves that the call had no effect: a submission created no request.

        The key that got it comes first from then on.
        """
        deadline = time.monotonic() + within.total_seconds()
        for key in tuple(self._keys):
            call.headers.update(self._authorization(key))
            left = timedelta(seconds=deadline - time.monotonic())
            with client_span(call.method, call.url.host) as span:
                answer = await exchange(client, call, within=max(left, SHORTEST_TRY), at_most=at_most)
                span.set_attribute("http.response.status_code", answer.status)
            if answer.status != HTTPStatus.UNAUTHORIZED:
                self._keys.sort(key=lambda each: each is not key)
                break
        return replace(answer, body=self._masked(answer.body))

    def _masked(self, body: bytes) -> bytes:
        for key in self._keys:
            secret = key.get_secret_value()
            if len(secret) >= MIN_MASKED_LENGTH:
                body = body.replace(secret.encode(), b"***")
        return body


def fingerprint(key: str) -> str:
    """Tells keys apart and leads back to none: a provider's keys are too long to be guessed."""
    return hashlib.sha256(f"reelay account {key}".encode()).hexdigest()[:16]


def origin_of(url: str) -> tuple[str, str, int | None, bytes] | None:
    """Scheme, host, port and user info; None for what is no absolute URL."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return None
    return (parts.scheme, parts.host, parts.port, parts.userinfo) if parts.is_absolute_url else None


def json_of(value: Mapping[str, Any]) -> bytes:
    """Raises: Rejected, for what JSON has no words for."""
    try:
        return json.dumps(dict(value), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        failure = Failure(code=FailureCode.PROVIDER_REJECTED, message="The input cannot be written as JSON.")
        raise Rejected(failure) from error

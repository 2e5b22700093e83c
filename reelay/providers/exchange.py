"""One HTTP request, one answer: sent once, its time and size bounded as a whole."""

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

CONNECT_LIMIT = timedelta(seconds=10)
# Waiting for the pool, TCP and TLS take one share each, so that a connection which never comes about is reported
# as such (nothing was sent) before the total runs out (something may have been).
CONNECT_SHARE = 4
SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back, whole or cut at the limit."""

    status: int
    headers: httpx.Headers
    body: bytes
    is_cut: bool = False
    """The body was longer than the limit; `body` is its beginning."""

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> timedelta | None:
        """`Retry-After`, in seconds or as an HTTP date, never negative; None if absent or garbage. Uncapped."""
        value = self.headers.get("retry-after", "").strip()
        if SECONDS.fullmatch(value):
            return timedelta(seconds=int(value))
        return _until(value)


async def exchange(client: httpx.AsyncClient, request: httpx.Request, *, within: timedelta, at_most: int) -> Answer:
    """Send once, follow no redirect, read at most `at_most` bytes, and end `within` the given time.

    Asks for an unencoded body and decodes none: a small one cannot unfold into a large one. Pass an `httpx.Request`
    made without the client: `client.build_request` adds its cookies, and one cookie with a character outside ASCII
    makes every later call of it raise UnicodeEncodeError.
    Raises: httpx.TransportError, and only that.
    """
    total = within.total_seconds()
    connect = min(CONNECT_LIMIT.total_seconds(), total / CONNECT_SHARE)
    request.extensions["timeout"] = httpx.Timeout(total, connect=connect, pool=connect).as_dict()
    request.headers["Accept-Encoding"] = "identity"
    request.headers["User-Agent"] = "reelay"
    try:
        async with asyncio.timeout(total):
            response = await client.send(request, stream=True, follow_redirects=False)
            try:
                return await _read(response, at_most)
            finally:
                await response.aclose()
    except TimeoutError as error:
        raise httpx.ReadTimeout(f"no whole answer within {total:g} s", request=request) from error
    except (OSError, httpx.InvalidURL, UnicodeError) as error:  # TLS on a live connection; Location, Set-Cookie
        raise httpx.RemoteProtocolError(type(error).__name__, request=request) from error
    finally:
        client.cookies.clear()


async def _read(response: httpx.Response, at_most: int) -> Answer:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > at_most:
            break
    return Answer(
        status=response.status_code,
        headers=response.headers,
        body=bytes(body[:at_most]),
        is_cut=len(body) > at_most,
    )


def _until(http_date: str) -> timedelta | None:
    try:
        moment = parsedate_to_datetime(http_date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(moment - datetime.now(UTC), timedelta(0))

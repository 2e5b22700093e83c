"""The HTTP clients of the driver and of the contenders."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus

import httpx

TRIES = 5
TRY_AGAIN_SECONDS = 1.0
CONNECTIONS = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=1.0)
"""As many as there are calls. A server that closes a resting connection after 5 s, uvicorn's way, may do so just when
it is used again."""


def open_client(origin: str = "", headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=origin, headers=headers, timeout=60, limits=CONNECTIONS, trust_env=False)


@asynccontextmanager
async def clients(*origins: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[list[httpx.AsyncClient]]:
    """One per origin."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_client(origin, headers)) for origin in origins]


async def answer_of(call: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Calls again where a connection was closed on it or the service was too busy, as every client has to.

    A server that gets no CPU for seconds closes a connection that seems to rest, although a request lies in it. The
    next request may make a second job, which nobody waits for. Raises: httpx.HTTPError, of the last try.
    """
    for _ in range(TRIES - 1):
        try:
            answer = await call()
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            continue
        if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
            return answer.raise_for_status()
        await asyncio.sleep(TRY_AGAIN_SECONDS)
    return (await call()).raise_for_status()

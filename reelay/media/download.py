"""One file from a provider's URL to the disk: guarded, streamed, counted and hashed."""

import asyncio
import re
import zlib
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import TypeAlias

import httpx

from reelay.domain.generation import ASKED_PROVIDERS, ProviderName
from reelay.media.errors import (
    BadMedia,
    MediaError,
    Refused,
    SourceGone,
    SourceUnavailable,
    TooLarge,
)
from reelay.media.guard import DownloadPolicy, GuardedTransport, ProxiedTransport, Resolve, SystemResolver
from reelay.media.saving import CHUNK_BYTES, Saved, save
from reelay.outbound import NO_PROXIES, OutboundProxies, RoutedTransport
from reelay.settings import Settings
from reelay.tracing.spans import client_span

OnBytes: TypeAlias = Callable[[int, int | None], None]
"""Hears the bytes received so far and, when the source announced it, their final number."""

HeadersFor: TypeAlias = Callable[[str], Mapping[str, str]]
"""What a request to one address carries besides. Asked for each redirect, so that a key goes no further."""

DATA_SCHEME = "data:"
HOST = re.compile(rb"([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?|[0-9A-Fa-f:.]+")
"""A name as the DNS takes it, or an address."""
MAX_HOST_LENGTH = 254
MAX_PORT = 65_535
MAX_REDIRECTS = 5
NO_CODINGS = frozenset({"", "identity", "aws-chunked"})
"""The last one is how the object was once uploaded to S3."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
TIMEOUT = httpx.Timeout(30, connect=10)
"""Of one connect or read. The whole download has `DownloadPolicy.total_timeout`."""


@dataclass(frozen=True, kw_only=True)
class Downloaded(Saved):
    length_announced: bool
    """False when only the end of the connection ended the body: it may have been cut short unseen."""


def open_download_client(
    policy: DownloadPolicy, *, resolve: Resolve | None = None, proxies: OutboundProxies = NO_PROXIES
) -> httpx.AsyncClient:
    """A client that reaches only what the policy allows, keeps no cookies and knows no credentials.

    To be closed by the caller.
    """
    resolve = resolve or SystemResolver()
    return httpx.AsyncClient(
        transport=RoutedTransport(
            proxies,
            direct=GuardedTransport(policy, resolve),
            through=lambda proxy: ProxiedTransport(policy, resolve, proxy),
        ),
        headers={"accept": "*/*", "accept-encoding": "identity", "user-agent": "reelay"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=TIMEOUT,
        follow_redirects=False,
        event_hooks={"response": [_refuse_odd_redirect]},
        trust_env=False,
    )


@dataclass(frozen=True)
class Source:
    """Where one provider's media comes from."""

    client: httpx.AsyncClient
    policy: DownloadPolicy


@asynccontextmanager
async def open_sources(settings: Settings) -> AsyncIterator[Mapping[ProviderName, Source]]:
    """A client for each provider, because a connection is opened by the policy of its client."""
    async with AsyncExitStack() as stack:
        sources = {}
        for provider in ASKED_PROVIDERS:
            policy = DownloadPolicy.of(provider, settings)
            client = open_download_client(policy, proxies=OutboundProxies.of(settings))
            sources[provider] = Source(await stack.enter_async_context(client), policy)
        yield sources


def no_headers(url: str) -> Mapping[str, str]:
    """For a public file."""
    return {}


async def download(
    client: httpx.AsyncClient,
    url: str,
    *,
    to: Path,
    policy: DownloadPolicy,
    on_bytes: OnBytes,
    headers_for: HeadersFor = no_headers,
) -> Downloaded:
    """Stream `url` into the file `to`, in memory of a few MiB whatever its size. A data URI is decoded into it.

    On failure a part of the file may be left at `to`: the folder is the caller's.

    Raises: Refused, ResolvedInside, SourceGone, SourceUnavailable, TooLarge, BadMedia, ArchiveUnavailable (the disk is
    full).
    """
    if url.startswith(DATA_SCHEME):
        return await _decoded(url, to, policy.max_bytes, on_bytes)
    try:
        async with (
            asyncio.timeout(policy.total_timeout.total_seconds()),
            _answer(client, url, policy, headers_for) as response,
        ):
            return await _save(response, to, policy.max_bytes, on_bytes)
    except TimeoutError as error:
        raise SourceUnavailable(f"not downloaded within {policy.total_timeout}") from error
    except httpx.TransportError as error:
        raise SourceUnavailable(f"the download broke off: {type(error).__name__}") from error


async def _decoded(uri: str, to: Path, max_bytes: int, on_bytes: OnBytes) -> Downloaded:
    try:
        content = await asyncio.to_thread(b64decode, uri.partition(",")[2], validate=True)
    except ValueError as error:
        raise BadMedia("a file in the answer itself is not in base64") from error

    async def whole() -> AsyncIterator[bytes]:
        yield content

    saved = await save(whole(), to, max_bytes=max_bytes, on_bytes=lambda received: on_bytes(received, len(content)))
    return Downloaded(path=to, size_bytes=saved.size_bytes, sha256=saved.sha256, length_announced=True)


@asynccontextmanager
async def _answer(
    client: httpx.AsyncClient, url: str, policy: DownloadPolicy, headers_for: HeadersFor
) -> AsyncIterator[httpx.Response]:
    """The 200 at the end of the redirects, each of them checked as if it had been the first URL."""
    target = _parse(url)
    for _ in range(MAX_REDIRECTS + 1):
        policy.check_url(target)
        with client_span("GET", target.host) as span:
            async with client.stream("GET", target, headers=headers_for(str(target))) as response:
                span.set_attribute("http.response.status_code", response.status_code)
                if response.status_code == 200:
                    yield response
                    return
                target = _redirected(response)
    raise Refused(f"more than {MAX_REDIRECTS} redirects")


def _redirected(response: httpx.Response) -> httpx.URL:
    location = response.headers.get("location")
    if response.status_code not in REDIRECTS or location is None:
        raise _status_error(response)
    target = _parse(location, relative_to=response.url)
    if response.url.scheme == "https" and target.scheme != "https":
        raise Refused("a redirect leads away from https")
    return target


def _parse(url: str, *, relative_to: httpx.URL | None = None) -> httpx.URL:
    try:
        parsed = relative_to.join(url) if relative_to else httpx.URL(url)
        # Decoded at each reading, and for some names (`xn--`) not at all.
        is_named = bool(parsed.host) and HOST.fullmatch(parsed.raw_host) and len(parsed.raw_host) <= MAX_HOST_LENGTH
    except (httpx.InvalidURL, ValueError) as error:
        raise Refused("not a valid URL") from error
    if not is_named or (parsed.port or 0) > MAX_PORT:
        raise Refused("the URL names no host")
    return parsed


async def _refuse_odd_redirect(response: httpx.Response) -> None:
    """Before httpx reads it, which does so also where it follows none, and raises what would look like bad weather."""
    if response.has_redirect_location:
        _parse(response.headers["location"], relative_to=response.url)


def _status_error(response: httpx.Response) -> MediaError:
    status = response.status_code
    message = f"{response.url.host} answered {status}"
    if 400 <= status < 500 and status not in (408, 425, 429):
        return SourceGone(message)
    return SourceUnavailable(message)


async def _save(response: httpx.Response, to: Path, max_bytes: int, on_bytes: OnBytes) -> Downloaded:
    # A body shorter than announced is an error of the HTTP layer (httpx.RemoteProtocolError).
    total = _announced_bytes(response)
    if total is not None and total > max_bytes:
        raise TooLarge(f"{total} bytes announced, {max_bytes} allowed")
    is_gzipped = codings_of(response) == ["gzip"]
    pieces = gunzipped(response.aiter_raw()) if is_gzipped else response.aiter_raw()
    length = None if is_gzipped else total
    saved = await save(pieces, to, max_bytes=max_bytes, on_bytes=lambda received: on_bytes(received, length))
    return Downloaded(
        path=to,
        size_bytes=saved.size_bytes,
        sha256=saved.sha256,
        length_announced=total is not None or "transfer-encoding" in response.headers,
    )


def codings_of(response: httpx.Response) -> list[str]:
    """Those that are to be undone, although none was asked for: stores keep what an uploader once said.

    Raises: BadMedia, for one that is not undone here.
    """
    declared = [coding.strip().lower() for coding in response.headers.get("content-encoding", "").split(",")]
    codings = ["gzip" if coding == "x-gzip" else coding for coding in declared if coding not in NO_CODINGS]
    if codings not in ([], ["gzip"]):
        raise BadMedia("the source sends a compressed body that nobody asked for")
    return codings


async def gunzipped(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """In pieces of bounded size, however much a small one unfolds into. Raises: BadMedia, SourceUnavailable."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    async for piece in pieces:
        packed = piece
        while packed and not unpacker.eof:
            try:
                yield unpacker.decompress(packed, CHUNK_BYTES)
            except zlib.error as error:
                raise BadMedia("the source's body is not compressed as it says") from error
            packed = unpacker.unconsumed_tail
    if not unpacker.eof:
        raise SourceUnavailable("the compressed body was cut short")


def _announced_bytes(response: httpx.Response) -> int | None:
    """The declared length, unless chunks make it void (RFC 9112, 6.3)."""
    if "transfer-encoding" in response.headers or "content-length" not in response.headers:
        return None
    return int(response.headers["content-length"])

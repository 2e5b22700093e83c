"""Where we connect to on a user's behalf: public addresses alone, checked once and then dialled as checked.

A name is resolved here, every answer has to be public, and the socket goes to an address that was checked: the name
server is not asked a second time. TLS and `Host` keep the name. Where a proxy leads out of our network, it resolves
the name: docs/decisions/030-outbound-proxies.md.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from ipaddress import IPv4Address, IPv6Network, ip_address, ip_network
from ssl import SSLContext
from typing import Any, Protocol, Self, TypeAlias

import httpcore
import httpx

from reelay.domain.addresses import IPAddress, IPNetwork, is_loopback, is_public, names_public_host
from reelay.domain.generation import ProviderName
from reelay.media.errors import Refused, ResolvedInside
from reelay.settings import Settings
from reelay.tls import tls_context

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[IPAddress]]]

RESOLVER_THREADS = 8
READ_BYTES = 256 * 1024
"""As much as asyncio takes from a socket at once."""

LOOKUP_SECONDS = 2.0
"""For a name that a proxy will resolve: a name server without a way out may not answer at all."""
NAT64_PREFIX_LENGTH = 96
"""The address behind it is in the last 32 bits (RFC 6052)."""

DEFAULT_PORTS = {"http": 80, "https": 443}


class SystemResolver:
    """Asks the system, in threads of its own: neither do names wait for other work, nor that for a slow name server."""

    def __init__(self, threads: int = RESOLVER_THREADS) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> list[IPAddress]:
        """All addresses of a name, in the system's order. Raises: OSError, UnicodeError for what can be no name."""
        with suppress(ValueError):
            return [ip_address(host)]
        asked = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        answers = await asyncio.get_running_loop().run_in_executor(self._threads, asked)
        return [ip_address(sockaddr[0]) for *_, sockaddr in answers]


class AddressPolicy(Protocol):
    def check_addresses(self, host: str, port: int, addresses: Sequence[IPAddress]) -> None:
        """Of a name, before one of them is dialled. Raises: Refused."""

    def check_name(self, host: str, port: int) -> None:
        """Of what somebody else will resolve, a proxy. Raises: Refused."""


def leads_outside(address: IPAddress, mapped: Iterable[IPNetwork]) -> bool:
    """Whether it is on the public internet, or in one of the networks into which our own maps names of it."""
    if is_public(address):
        return True
    network = next((each for each in mapped if address in each), None)
    if isinstance(network, IPv6Network) and network.prefixlen == NAT64_PREFIX_LENGTH:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return network is not None


@dataclass(frozen=True, kw_only=True)
class DownloadPolicy:
    """What a download may ask for, and how much of it."""

    max_bytes: int
    allowed_hosts: tuple[str, ...] = ()
    """`fal.media` allows itself and all names under it. Empty: any public host."""
    allow_http: bool = False
    """Also plain http, and any port."""
    allow_loopback: bool = False
    allowed_networks: tuple[IPNetwork, ...] = ()
    """Into which our own network maps public names."""
    own_address: tuple[str, int] | None = None
    """Host and port of a backend of the operator's own: wherever it stands, and also by plain http."""
    total_timeout: timedelta = timedelta(minutes=15)
    """From the first connection to the last byte: 2 GiB at 20 Mbit/s take 14 minutes."""

    @classmethod
    def of(cls, provider: ProviderName, settings: Settings) -> Self:
        """For what that provider names: another one's result leads to no backend of ours."""
        own = settings.studio_backend_url if provider is ProviderName.STUDIO else None
        return cls(
            max_bytes=settings.archive_max_bytes,
            allowed_hosts=settings.download_allowed_hosts,
            allow_http=settings.is_development,
            allow_loopback=settings.is_development,
            allowed_networks=tuple(map(ip_network, settings.download_allowed_networks)),
            own_address=_address(own) if own else None,
        )

    def check_url(self, url: httpx.URL) -> None:
        """Raises: Refused."""
        if self.is_own(url.host, url.port or DEFAULT_PORTS.get(url.scheme, 0)) and not url.userinfo:
            return
        if url.scheme != "https" and not (url.scheme == "http" and self.allow_http):
            raise Refused(f"downloads use https, not {url.scheme[:20] or 'a relative URL'}")
        if url.userinfo:
            raise Refused("a download URL carries no user name or password")
        if url.port not in (None, 443) and not self.allow_http:
            raise Refused(f"downloads use port 443, not {url.port}")
        if not self._allows_host(url.host):
            raise Refused(f"{url.host or 'no host'} is not one of the allowed download hosts")

    def check_addresses(self, host: str, port: int, addresses: Sequence[IPAddress]) -> None:
        """One address that is not public condemns the name. Raises: Refused, ResolvedInside."""
        if self.is_own(host, port):
            return
        inside = next((address for address in addresses if not self._allows_address(address)), None)
        if inside is None:
            return
        if not names_public_host(host):
            raise Refused(f"{host} does not lead to the public internet")
        raise ResolvedInside(
            f"{host} leads to {inside} here, which is not on the public internet; where our own network maps names so, "
            "DOWNLOAD_ALLOWED_NETWORKS names it"
        )

    def check_name(self, host: str, port: int) -> None:
        """Raises: Refused."""
        if not self.is_own(host, port) and not names_public_host(host, loopback=self.allow_loopback):
            raise Refused(f"{host} is not a name of the public internet")

    def is_own(self, host: str, port: int) -> bool:
        return (host.lower(), port) == self.own_address

    def _allows_address(self, address: IPAddress) -> bool:
        return leads_outside(address, self.allowed_networks) or (self.allow_loopback and is_loopback(address))

    def _allows_host(self, host: str) -> bool:
        name = host.rstrip(".").lower()
        suffixes = [allowed.strip(".").lower() for allowed in self.allowed_hosts]
        return bool(name) and (not suffixes or any(f".{name}".endswith(f".{suffix}") for suffix in suffixes))


def _address(url: str) -> tuple[str, int]:
    parts = httpx.URL(url)
    return parts.host.lower(), parts.port or DEFAULT_PORTS[parts.scheme]


@dataclass(frozen=True)
class Guard:
    """What is known of a name before anything is sent there."""

    policy: AddressPolicy
    resolve: Resolve

    async def checked_addresses(self, host: str, port: int, timeout: float | None) -> Sequence[IPAddress]:
        """Raises: Refused, ResolvedInside, httpcore.ConnectError, httpcore.ConnectTimeout."""
        try:
            addresses = await asyncio.wait_for(self.resolve(host, port), timeout)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} was not resolved in time") from error
        except UnicodeError as error:
            raise Refused(f"{host} is not a name") from error
        except OSError as error:
            raise httpcore.ConnectError(f"{host} does not resolve") from error
        self.policy.check_addresses(host, port, addresses)
        return addresses


class LargeReads(httpcore.AsyncNetworkStream):
    """A stream that gives as much as has arrived: httpcore asks for 64 KiB, and what lies beyond would be copied anew
    for each."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max(max_bytes, READ_BYTES), timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return LargeReads(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Dials the checked address of a name, and no other."""

    def __init__(self, policy: AddressPolicy, resolve: Resolve) -> None:
        self._guard = Guard(policy, resolve)
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises: Refused, ResolvedInside, httpcore.ConnectError, httpcore.ConnectTimeout."""
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in await self._guard.checked_addresses(host, port, timeout):
            try:
                return LargeReads(
                    await self._sockets.connect_tcp(str(address), port, timeout, local_address, socket_options)
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport, with a pool that dials through the guard."""

    def __init__(self, policy: AddressPolicy, resolve: Resolve) -> None:
        super().__init__(verify=tls_context())
        # httpx offers no parameter for the network backend of its pool.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls_context(),
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=GuardedBackend(policy, resolve),
        )


class ProxiedTransport(httpx.AsyncHTTPTransport):
    """Through a proxy, which resolves the names: they are checked as far as they are known here."""

    def __init__(self, policy: AddressPolicy, resolve: Resolve, proxy: httpx.Proxy) -> None:
        super().__init__(verify=tls_context(), proxy=proxy)
        self._policy = policy
        self._guard = Guard(policy, resolve)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises: Refused, ResolvedInside, httpx.TransportError."""
        host, port = request.url.host, request.url.port or DEFAULT_PORTS.get(request.url.scheme, 0)
        self._policy.check_name(host, port)
        with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):  # names are the proxy's to know
            await self._guard.checked_addresses(host, port, LOOKUP_SECONDS)
        return await super().handle_async_request(request)

"""The way out of the operator's network: directly, or through its proxy.

`HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` count for the calls of providers, the download of media, outgoing webhooks,
the fetching of public keys and time stamps alike. What a proxy means for where they may lead:
docs/decisions/030-outbound-proxies.md.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Self

import httpx

from reelay.settings import Settings
from reelay.tls import tls_context

LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20)

MakeTransport = Callable[[httpx.Proxy], httpx.AsyncBaseTransport]


@dataclass(frozen=True, kw_only=True)
class OutboundProxies:
    http: str | None = None
    https: str | None = None
    """By the scheme of what is asked for. The address of a proxy may hold a password."""
    exceptions: tuple[str, ...] = ()
    """What is reached directly: names with all below them, addresses, networks, each with or without a port; `*`."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        http, https = settings.http_proxy, settings.https_proxy
        return cls(
            http=http.get_secret_value() if http else None,
            https=https.get_secret_value() if https else None,
            exceptions=settings.no_proxy,
        )

    def for_url(self, url: httpx.URL) -> str | None:
        """The proxy through which this is asked for; None: none."""
        proxy = self.https if url.scheme == "https" else self.http
        return None if proxy is None or any(_names(each, url) for each in self.exceptions) else proxy


NO_PROXIES = OutboundProxies()


def _names(exception: str, url: httpx.URL) -> bool:
    """Whether an entry of `NO_PROXY` is about this URL."""
    if exception == "*":
        return True
    host = url.host.rstrip(".").lower()
    with suppress(ValueError):
        network = ip_network(exception.strip("[]"), strict=False)
        with suppress(ValueError):
            return ip_address(host) in network
        return False
    name, colon, port = exception.rpartition(":")
    if colon and port.isdigit():
        return int(port) == (url.port or {"http": 80, "https": 443}.get(url.scheme)) and _names(name, url)
    return f".{host}".endswith(f".{exception.lstrip('*').strip('.')}")


class RoutedTransport(httpx.AsyncBaseTransport):
    """Sends each request by its way."""

    def __init__(self, proxies: OutboundProxies, *, direct: httpx.AsyncBaseTransport, through: MakeTransport) -> None:
        self._proxies = proxies
        self._direct = direct
        self._through = {
            address: through(httpx.Proxy(address)) for address in {proxies.http, proxies.https} if address is not None
        }

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        proxy = self._proxies.for_url(request.url)
        transport = self._direct if proxy is None else self._through[proxy]
        return await transport.handle_async_request(request)

    async def aclose(self) -> None:
        for transport in (self._direct, *self._through.values()):
            await transport.aclose()


def open_client(settings: Settings, *, limits: httpx.Limits = LIMITS) -> httpx.AsyncClient:
    """For addresses of the configuration: providers, public keys, time stamps. To be closed by the caller."""
    transport = partial(httpx.AsyncHTTPTransport, verify=tls_context(), limits=limits)
    routed = RoutedTransport(
        OutboundProxies.of(settings), direct=transport(), through=lambda proxy: transport(proxy=proxy)
    )
    return httpx.AsyncClient(transport=routed, follow_redirects=False, trust_env=False)

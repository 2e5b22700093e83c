"""One signed POST to a receiver that may be anything: absent, slow, endless, or an address of our own network."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from ipaddress import ip_network
from typing import Protocol, Self
from uuid import UUID

import httpx
from standardwebhooks import Webhook

from reelay.domain.addresses import IPAddress, IPNetwork, is_loopback, names_public_host
from reelay.domain.outgoing import AttemptOutcome
from reelay.media.errors import Refused
from reelay.media.guard import GuardedTransport, ProxiedTransport, Resolve, SystemResolver, leads_outside
from reelay.outbound import NO_PROXIES, OutboundProxies, RoutedTransport
from reelay.settings import Settings

ATTEMPT_WITHIN = timedelta(seconds=15)
BODY_WITHIN_SECONDS = 2.0
"""Of the answer: its status is known by then."""
KEPT_BODY_BYTES = 1024
LONGEST_URL = 2048
RESOLVER_THREADS = 32
USER_AGENT = f"reelay-webhooks/{version('reelay')}"


@dataclass(frozen=True, kw_only=True)
class ReceiverPolicy:
    """Where receivers may be: on the public internet, by https. Development also has them on the same machine."""

    is_development: bool
    allowed_networks: tuple[IPNetwork, ...] = ()
    """Into which our own network maps public names."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        networks = tuple(map(ip_network, settings.download_allowed_networks))
        return cls(is_development=settings.is_development, allowed_networks=networks)

    def problem_of(self, url: str) -> str | None:
        """Why nothing is sent to that address, wherever its name leads; None when there is no reason."""
        if len(url) > LONGEST_URL:
            return f"is longer than {LONGEST_URL} characters"
        try:
            parsed = httpx.URL(url)
            host = parsed.host
        except (httpx.InvalidURL, ValueError):
            return "is no URL"
        if parsed.scheme != "https" and not (self.is_development and parsed.scheme == "http"):
            return "must be https"
        if parsed.userinfo or parsed.fragment:
            return "must have neither user, password nor fragment"
        if not names_public_host(host, loopback=self.is_development):
            return "must lead to the public internet"
        return None

    def check_addresses(self, host: str, port: int, addresses: Sequence[IPAddress]) -> None:
        """One address that is not public condemns the name. Raises: Refused."""
        for address in addresses:
            is_allowed = leads_outside(address, self.allowed_networks)
            if not is_allowed and not (self.is_development and is_loopback(address)):
                raise Refused(f"{host} does not lead to the public internet")

    def check_name(self, host: str, port: int) -> None:
        """Raises: Refused."""
        if not names_public_host(host, loopback=self.is_development):
            raise Refused(f"{host} is not a name of the public internet")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one attempt came to."""

    at: datetime
    outcome: AttemptOutcome
    took_ms: int
    status_code: int | None = None
    error: str = ""
    """In English, where there was no answer."""
    body: str = ""
    """The first KiB of the answer."""
    retry_after: timedelta | None = None
    """What the receiver asks for."""

    @property
    def is_gone(self) -> bool:
        return self.status_code == httpx.codes.GONE


class Signer(Protocol):
    def headers(self, body: bytes, at: datetime) -> Mapping[str, str]:
        """Of an attempt at that time."""


@dataclass(frozen=True, kw_only=True)
class StandardSigner:
    """As Standard Webhooks has it."""

    id: UUID
    """Of the event."""
    secrets: Sequence[str]
    """All of them sign."""

    def headers(self, body: bytes, at: datetime) -> Mapping[str, str]:
        signatures = [Webhook(secret).sign(str(self.id), at, body.decode()) for secret in self.secrets]
        return {
            "webhook-id": str(self.id),
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(signatures),
        }


@dataclass(frozen=True, kw_only=True)
class Message:
    body: bytes
    signer: Signer


class Sender:
    def __init__(
        self, policy: ReceiverPolicy, *, proxies: OutboundProxies = NO_PROXIES, resolve: Resolve | None = None
    ) -> None:
        self._policy = policy
        self._proxies = proxies
        self._resolve = resolve or SystemResolver(RESOLVER_THREADS)

    @asynccontextmanager
    async def to_one_receiver(self) -> AsyncIterator["Receiver"]:
        """Its connections are its own: no receiver waits for one that another holds."""
        async with httpx.AsyncClient(
            transport=RoutedTransport(
                self._proxies,
                direct=GuardedTransport(self._policy, self._resolve),
                through=lambda proxy: ProxiedTransport(self._policy, self._resolve, proxy),
            ),
            headers={"user-agent": USER_AGENT, "accept-encoding": "identity", "content-type": "application/json"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=ATTEMPT_WITHIN.total_seconds(),
            follow_redirects=False,
            trust_env=False,
        ) as client:
            yield Receiver(client, self._policy)


class Receiver:
    def __init__(self, client: httpx.AsyncClient, policy: ReceiverPolicy) -> None:
        self._client = client
        self._policy = policy

    async def post(self, url: str, message: Message) -> Answer:
        """One attempt, within `ATTEMPT_WITHIN`. What goes wrong is in the answer."""
        at, began = datetime.now(UTC), time.perf_counter()

        def answer(outcome: AttemptOutcome, error: str = "", **more: object) -> Answer:
            took = int((time.perf_counter() - began) * 1000)
            return Answer(at=at, outcome=outcome, took_ms=took, error=error, **more)  # type: ignore[arg-type]

        if problem := self._policy.problem_of(url):
            return answer(AttemptOutcome.NOT_ALLOWED, f"The address {problem}.")
        try:
            async with asyncio.timeout(ATTEMPT_WITHIN.total_seconds()):
                headers = message.signer.headers(message.body, at)
                async with self._client.stream("POST", url, content=message.body, headers=headers) as sent:
                    return answer(
                        AttemptOutcome.DELIVERED if sent.is_success else AttemptOutcome.REFUSED,
                        status_code=sent.status_code,
                        body=await _beginning(sent),
                        retry_after=retry_after(sent.headers.get("retry-after", ""), at),
                    )
        except (TimeoutError, httpx.TimeoutException):
            return answer(AttemptOutcome.TIMED_OUT, f"No answer within {ATTEMPT_WITHIN.total_seconds():g} s.")
        except Refused as error:
            return answer(AttemptOutcome.NOT_ALLOWED, f"{error}.")
        except (httpx.TransportError, httpx.InvalidURL, ssl.SSLError) as error:
            return answer(AttemptOutcome.NOT_CONNECTED, f"{type(error).__name__}: {str(error)[:300]}")


def retry_after(value: str, now: datetime) -> timedelta | None:
    """Of the header: seconds or a date (RFC 9110, section 10.2.3)."""
    if value.isdecimal() and len(value) < 10:
        return timedelta(seconds=int(value))
    with suppress(ValueError):
        moment = parsedate_to_datetime(value)
        return max(timedelta(0), (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now)
    return None


async def _beginning(response: httpx.Response) -> str:
    """Of its body, as far as it comes soon. The rest is not read."""
    received = bytearray()
    with suppress(TimeoutError, httpx.TransportError):
        async with asyncio.timeout(BODY_WITHIN_SECONDS):
            async for piece in response.aiter_raw():
                received += piece
                if len(received) >= KEPT_BODY_BYTES:
                    break
    # Postgres' text takes no NUL.
    return received[:KEPT_BODY_BYTES].decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpcore
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pydantic import SecretStr, ValidationError

from reelay.domain.addresses import IPAddress, is_public
from reelay.domain.generation import ProviderName
from reelay.media.download import Downloaded, download, open_download_client
from reelay.media.errors import Refused, ResolvedInside, SourceUnavailable
from reelay.media.guard import READ_BYTES, DownloadPolicy, LargeReads
from reelay.outbound import OutboundProxies
from reelay.settings import Environment, Settings
from reelay.tls import tls_context
from tests.connect_proxy import ConnectProxy, connect_proxy
from tests.unit.media.server import ScriptedServer, serving

NOT_PUBLIC = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001:0:7f00:1::1",
    "2001:1::1",
    "2001:4:112::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]

LOOPBACK_SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "localhost",
    "0.0.0.0",
    "[::ffff:127.0.0.1]",
]


class NameServer:
    """Gives each answer once, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[IPAddress]:
        self.asked.append(host)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [ip_address(address) for address in answer]


async def fetch(client: httpx.AsyncClient, url: str, policy: DownloadPolicy, to: Path) -> Downloaded:
    return await download(client, url, to=to, policy=policy, on_bytes=lambda received, total: None)


@pytest.mark.fault("D8")
@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_special_addresses_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "151.101.1.1", "2606:4700:4700::1111", "2a04:4e42::1"])
def test_internet_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.fault("D8")
@pytest.mark.parametrize("spelling", LOOPBACK_SPELLINGS)
async def test_no_spelling_of_loopback_is_connected_to(spelling: str, server: ScriptedServer, tmp_path: Path) -> None:
    port = server.origin.rpartition(":")[2]
    policy = DownloadPolicy(max_bytes=100, allow_http=True)
    async with open_download_client(policy) as client:
        with pytest.raises(Refused):
            await fetch(client, f"http://{spelling}:{port}/", policy, tmp_path / "file")
    assert server.requests == []


@pytest.mark.fault("D11")
@pytest.mark.parametrize(
    "url",
    [
        "http://media.example/a.mp4",
        "ftp://media.example/a.mp4",
        "file:///etc/passwd",
        "gopher://media.example/",
        "/relative",
        "",
        "https://",
        "https://user:secret@media.example/a.mp4",
        "https://media.example:5432/a.mp4",
        "https://media.example:80/a.mp4",
        "https://[::1/a.mp4",
        "https://media.example\n/a.mp4",
    ],
)
async def test_production_asks_for_https_on_its_port_and_nothing_else(url: str, tmp_path: Path) -> None:
    policy = DownloadPolicy.of(ProviderName.FAL, Settings(environment=Environment.PRODUCTION, _env_file=None))
    resolve = NameServer(["1.1.1.1"])
    async with open_download_client(policy, resolve=resolve) as client:
        with pytest.raises(Refused) as refusal:
            await fetch(client, url, policy, tmp_path / "file")
    assert resolve.asked == []
    assert "secret" not in str(refusal.value)


@pytest.mark.fault("D12")
@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("fal.media", True),
        ("v3b.fal.media", True),
        ("V3B.FAL.MEDIA.", True),
        ("evilfal.media", False),
        ("fal.media.evil.example", False),
        ("media", False),
    ],
)
def test_an_allowed_host_allows_what_is_under_it(host: str, allowed: bool) -> None:
    policy = DownloadPolicy(max_bytes=1, allowed_hosts=("fal.media",))
    url = httpx.URL(f"https://{host}/a.mp4")
    if allowed:
        policy.check_url(url)
    else:
        with pytest.raises(Refused):
            policy.check_url(url)


def test_development_alone_allows_http_and_loopback() -> None:
    development = DownloadPolicy.of(ProviderName.FAL, Settings(environment=Environment.DEVELOPMENT, _env_file=None))
    production = DownloadPolicy.of(ProviderName.FAL, Settings(environment=Environment.PRODUCTION, _env_file=None))
    assert (development.allow_http, development.allow_loopback) == (True, True)
    assert (production.allow_http, production.allow_loopback) == (False, False)


def test_development_does_not_allow_other_private_addresses(policy: DownloadPolicy) -> None:
    for address in ("169.254.169.254", "10.0.0.1", "fd00:ec2::254", "::ffff:127.0.0.1"):
        with pytest.raises(ResolvedInside):
            policy.check_addresses("media.example", 443, [ip_address(address)])
        with pytest.raises(Refused):
            policy.check_addresses(address, 443, [ip_address(address)])


def test_a_name_that_leads_inside_here_may_lead_elsewhere_tomorrow() -> None:
    """What was paid for waits; an address, or a private network's own name, never becomes public."""
    policy = DownloadPolicy(max_bytes=1)
    with pytest.raises(ResolvedInside, match=r"media.example leads to 198.18.0.7 .* DOWNLOAD_ALLOWED_NETWORKS"):
        policy.check_addresses("media.example", 443, [ip_address("198.18.0.7")])
    for never in ("10.0.0.1", "0x0a000001", "localhost", "db.internal", "printer"):
        with pytest.raises(Refused):
            policy.check_addresses(never, 443, [ip_address("10.0.0.1")])


MAPPED = "198.18.0.0/15, 64:ff9b::/96"


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("198.18.0.7", True),
        ("198.19.255.254", True),
        ("198.20.0.0", True),
        ("64:ff9b::808:808", True),
        ("64:ff9b::7f00:1", False),  # NAT64 of loopback
        ("64:ff9b::a9fe:a9fe", False),  # of the metadata service
        ("64:ff9b::a00:1", False),
        ("10.0.0.1", False),
        ("64:ff9b:1::808:808", False),
    ],
)
def test_networks_into_which_names_are_mapped_are_the_operators_to_name(address: str, allowed: bool) -> None:
    settings = Settings.model_validate({"environment": "production", "download_allowed_networks": MAPPED})
    policy = DownloadPolicy.of(ProviderName.FAL, settings)
    if allowed:
        policy.check_addresses("media.example", 443, [ip_address(address)])
    else:
        with pytest.raises(ResolvedInside):
            policy.check_addresses("media.example", 443, [ip_address(address)])


@pytest.mark.parametrize("value", ["fal.media", "198.18.0.1/15", "0.0.0.0/0", "::/0", "127.0.0.0/8", "169.254.0.0/16"])
def test_networks_that_no_name_is_mapped_into_are_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="DOWNLOAD_ALLOWED_NETWORKS"):
        Settings.model_validate({"download_allowed_networks": value})


@pytest.mark.fault("D10")
async def test_one_private_address_condemns_the_name(tmp_path: Path) -> None:
    policy = DownloadPolicy(max_bytes=100)
    for answer in (["1.1.1.1", "fd00:ec2::254"], ["10.0.0.1", "1.1.1.1"]):
        resolve = NameServer(answer)
        async with open_download_client(policy, resolve=resolve) as client:
            with pytest.raises(ResolvedInside):
                await fetch(client, "https://media.example/", policy, tmp_path / "file")


@pytest.mark.fault("D10")
async def test_rebinding_reaches_the_checked_address(policy: DownloadPolicy, tmp_path: Path) -> None:
    async with serving() as checked:
        checked.sends("/", b"checked")
        port = checked.origin.rpartition(":")[2]
        resolve = NameServer(["127.0.0.1"], ["127.0.0.2"])
        async with open_download_client(policy, resolve=resolve) as client:
            await fetch(client, f"http://rebind.example:{port}/", policy, tmp_path / "file")
            assert (tmp_path / "file").read_bytes() == b"checked"
    assert resolve.asked == ["rebind.example"]
    assert f"host: rebind.example:{port}" in checked.requests[0]


async def test_the_next_address_is_tried_when_one_does_not_answer(
    server: ScriptedServer, policy: DownloadPolicy, tmp_path: Path
) -> None:
    server.sends("/", b"second")
    port = server.origin.rpartition(":")[2]
    resolve = NameServer(["::1", "127.0.0.1"])
    async with open_download_client(policy, resolve=resolve) as client:
        await fetch(client, f"http://two.example:{port}/", policy, tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == b"second"


async def test_a_name_that_does_not_resolve_is_asked_again_later(policy: DownloadPolicy, tmp_path: Path) -> None:
    async with open_download_client(policy) as client:
        with pytest.raises(SourceUnavailable):
            await fetch(client, "https://no-such-name.invalid/", policy, tmp_path / "file")


@pytest.fixture
async def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScriptedServer]:
    """A server with a certificate for `media.example`, which downloads trust."""
    monkeypatch.setenv("SSL_CERT_FILE", str(make_certificate(tmp_path, "media.example")))
    tls_context.cache_clear()  # this process has trusted others before
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    async with serving(tls=tls) as scripted:
        yield scripted
    tls_context.cache_clear()


async def test_tls_is_checked_against_the_name(secure: ScriptedServer, policy: DownloadPolicy, tmp_path: Path) -> None:
    secure.sends("/", b"over TLS")
    port = secure.origin.rpartition(":")[2]
    async with open_download_client(policy, resolve=NameServer(["127.0.0.1"])) as client:
        await fetch(client, f"https://media.example:{port}/", policy, tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == b"over TLS"
        with pytest.raises(SourceUnavailable):
            await fetch(client, f"https://other.example:{port}/", policy, tmp_path / "file")


@pytest.mark.fault("D9")
async def test_a_redirect_does_not_leave_https_even_where_http_is_allowed(
    secure: ScriptedServer, server: ScriptedServer, policy: DownloadPolicy, tmp_path: Path
) -> None:
    secure.sends("/", b"", f"location: {server.sends('/', b'in the clear')}", status="302 Found")
    port = secure.origin.rpartition(":")[2]
    async with open_download_client(policy, resolve=NameServer(["127.0.0.1"])) as client:
        with pytest.raises(Refused):
            await fetch(client, f"https://media.example:{port}/", policy, tmp_path / "file")
    assert server.requests == []


class Unresolved:
    """A name server of a network without a way out."""

    async def __call__(self, host: str, port: int) -> list[IPAddress]:
        with suppress(ValueError):
            return [ip_address(host)]
        raise OSError("no such name")


def way_out(proxy: ConnectProxy) -> OutboundProxies:
    return OutboundProxies(http=proxy.address, https=proxy.address)


async def test_through_a_proxy_names_are_the_proxys_to_resolve(secure: ScriptedServer, tmp_path: Path) -> None:
    secure.sends("/", b"through the tunnel")
    port = int(secure.origin.rpartition(":")[2])
    policy = DownloadPolicy(max_bytes=100)
    async with (
        connect_proxy({"media.example": port}, credentials="me:secret") as proxy,
        open_download_client(policy, resolve=Unresolved(), proxies=way_out(proxy)) as client,
    ):
        await fetch(client, "https://media.example/", policy, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"through the tunnel"
    assert proxy.asked == ["media.example:443"]
    assert "host: media.example" in secure.requests[0]
    assert "secret" not in secure.requests[0]


async def test_through_a_proxy_certificates_are_checked_here(secure: ScriptedServer, tmp_path: Path) -> None:
    port = int(secure.origin.rpartition(":")[2])
    policy = DownloadPolicy(max_bytes=100)
    async with (
        connect_proxy({"other.example": port}) as proxy,
        open_download_client(policy, resolve=Unresolved(), proxies=way_out(proxy)) as client,
    ):
        with pytest.raises(SourceUnavailable):
            await fetch(client, "https://other.example/", policy, tmp_path / "file")
    assert secure.requests == []


@pytest.mark.fault("D8")
@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/",
        "https://10.0.0.1/",
        "https://[fd00:ec2::254]/",
        "https://2130706433/",
        "https://localhost/",
        "https://metadata.google.internal/",
        "https://wiki/",
        "http://media.example/",
        "https://media.example:5432/",
        "https://me:pw@media.example/",
    ],
)
async def test_a_proxy_is_not_asked_for_what_is_refused(url: str, tmp_path: Path) -> None:
    policy = DownloadPolicy(max_bytes=100)
    async with (
        connect_proxy({}) as proxy,
        open_download_client(policy, resolve=Unresolved(), proxies=way_out(proxy)) as client,
    ):
        with pytest.raises(Refused):
            await fetch(client, url, policy, tmp_path / "file")
    assert proxy.asked == []


async def test_a_proxy_is_not_asked_for_a_name_that_is_known_to_lead_inside(tmp_path: Path) -> None:
    policy = DownloadPolicy(max_bytes=100)
    async with (
        connect_proxy({}) as proxy,
        open_download_client(policy, resolve=NameServer(["10.0.0.1"]), proxies=way_out(proxy)) as client,
    ):
        with pytest.raises(ResolvedInside):
            await fetch(client, "https://media.example/", policy, tmp_path / "file")
    assert proxy.asked == []


async def test_a_redirect_is_checked_also_behind_a_proxy(secure: ScriptedServer, tmp_path: Path) -> None:
    secure.sends("/", b"", "location: https://169.254.169.254/", status="302 Found")
    port = int(secure.origin.rpartition(":")[2])
    policy = DownloadPolicy(max_bytes=100)
    async with (
        connect_proxy({"media.example": port}) as proxy,
        open_download_client(policy, resolve=Unresolved(), proxies=way_out(proxy)) as client,
    ):
        with pytest.raises(Refused):
            await fetch(client, "https://media.example/", policy, tmp_path / "file")
    assert proxy.asked == ["media.example:443"]


async def test_a_proxy_that_refuses_is_asked_again_later(tmp_path: Path) -> None:
    policy = DownloadPolicy(max_bytes=100)
    async with (
        connect_proxy({}) as proxy,
        open_download_client(policy, resolve=Unresolved(), proxies=way_out(proxy)) as client,
    ):
        with pytest.raises(SourceUnavailable, match="ProxyError"):
            await fetch(client, "https://media.example/", policy, tmp_path / "file")


def make_certificate(folder: Path, host: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    return folder / "cert.pem"


async def test_only_the_operators_own_backend_may_be_private_and_plain(server: ScriptedServer, tmp_path: Path) -> None:
    port = int(server.origin.rpartition(":")[2])
    settings = Settings(
        environment=Environment.PRODUCTION,
        studio_backend_url=f"http://127.0.0.1:{port}/jobs",
        webhook_secret=SecretStr("shared"),
        download_allowed_hosts=("fal.media",),
        _env_file=None,
    )
    policy = DownloadPolicy.of(ProviderName.STUDIO, settings)
    async with open_download_client(policy) as client:
        await fetch(client, server.sends("/shot.mp4", b"video"), policy, tmp_path / "file")
        away = server.sends("/away", b"", "location: http://169.254.169.254/", status="302 Found")
        others = (f"http://127.0.0.1:{port + 1}/", f"http://localhost:{port}/", f"http://me:pw@127.0.0.1:{port}/")
        for other in (away, *others):
            with pytest.raises(Refused):
                await fetch(client, other, policy, tmp_path / "file")
    assert len(server.requests) == 2

    for provider in (ProviderName.FAL, ProviderName.REPLICATE):
        foreign = DownloadPolicy.of(provider, settings)
        async with open_download_client(foreign) as client:
            with pytest.raises(Refused):
                await fetch(client, f"{server.origin}/shot.mp4", foreign, tmp_path / "file")
    assert len(server.requests) == 2


class Flood(httpcore.AsyncNetworkStream):
    """Has always more than is asked for."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return bytes(max_bytes)


async def test_all_that_has_arrived_is_read_at_once() -> None:
    assert len(await LargeReads(Flood()).read(1024)) == READ_BYTES

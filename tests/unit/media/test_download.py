import asyncio
import gzip
import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pytest
from pydantic import SecretStr

from reelay.media.download import MAX_REDIRECTS, Downloaded, download
from reelay.media.errors import (
    ArchiveUnavailable,
    BadMedia,
    MediaError,
    Refused,
    SourceGone,
    SourceUnavailable,
    TooLarge,
)
from reelay.media.guard import DownloadPolicy
from reelay.providers.replicate import ReplicateProvider
from tests.unit.media.server import ScriptedServer, head

MIB = 1024 * 1024


async def fetch(client: httpx.AsyncClient, url: str, policy: DownloadPolicy, to: Path) -> Downloaded:
    return await download(client, url, to=to, policy=policy, on_bytes=lambda received, total: None)


async def test_a_file_arrives_with_its_size_and_hash(
    server: ScriptedServer, client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path
) -> None:
    body = bytes(range(256)) * 3000
    heard: list[tuple[int, int | None]] = []
    downloaded = await download(
        client,
        server.sends("/file?signature=x", body),
        to=tmp_path / "file",
        policy=policy,
        on_bytes=lambda received, total: heard.append((received, total)),
    )
    assert (tmp_path / "file").read_bytes() == body
    assert downloaded == Downloaded(
        path=tmp_path / "file",
        size_bytes=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        length_announced=True,
    )
    assert heard[-1] == (len(body), len(body))


@pytest.mark.fault("D14")
async def test_no_credentials_and_no_cookies_are_sent(
    server: ScriptedServer, client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path
) -> None:
    url = server.sends("/file", b"body", "set-cookie: id=1; path=/")
    for _ in range(2):
        await fetch(client, url, policy, tmp_path / "file")
    assert not any("cookie" in request or "authorization" in request for request in server.requests)


@pytest.mark.fault("D3")
async def test_a_body_cut_short_is_asked_for_again(
    server: ScriptedServer, client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path
) -> None:
    async def announces_more(writer: asyncio.StreamWriter) -> None:
        writer.write(head("content-length: 1000") + bytes(400))

    async def breaks_off_between_chunks(writer: asyncio.StreamWriter) -> None:
        writer.write(head("transfer-encoding: chunked") + b"4\r\nabcd\r\n")

    for script in (announces_more, breaks_off_between_chunks):
        with pytest.raises(SourceUnavailable):
            await fetch(client, server.plays("/cut", script), policy, tmp_path / "file")


async def test_an_unannounced_length_is_told(
    server: ScriptedServer, client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path
) -> None:
    async def ends_with_the_connection(writer: asyncio.StreamWriter) -> None:
        writer.write(head() + b"whole, or is it")

    downloaded = await fetch(client, server.plays("/", ends_with_the_connection), policy, tmp_path / "file")
    assert not downloaded.length_announced


@pytest.mark.fault("D6")
async def test_an_announced_giant_is_refused_before_its_first_byte(
    server: ScriptedServer, client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path
) -> None:
    async def announces_ten_gigabytes(writer: asyncio.StreamWriter) -> None:
        writer.write(head(f"content-length: {10 * 1024**3}") + b"tiny")

    with pytest.raises(TooLarge):
        await fetch(client, server.plays("/", announces_ten_gigabytes), policy, tmp_path / "file")
    assert not (tmp_path / "file").exists()


@pytest.mark.fault("D6")
async def test_an_endless_stream_is_left_at_the_limit(
    server: ScriptedServer, client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path
) -> None:
    async def never_ends(writer: asyncio.StreamWriter) -> None:
        writer.write(head("transfer-encoding: chunked"))
        while True:
            writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            await writer.drain()

    with pytest.raises(TooLarge):
        await fetch(client, server.plays("/", never_ends), policy, tmp_path / "file")
    assert (tmp_path / "file").stat().st_size <= policy.max_bytes


@pytest.mark.fault("D7")
async def test_a_trickle_ends_at_the_total_timeout(
    server: ScriptedServer, client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path
) -> None:
    async def trickles(writer: asyncio.StreamWriter) -> None:
        writer.write(head("content-length: 1000000"))
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.01)

    impatient = replace(policy, total_timeout=timedelta(milliseconds=200))
    with pytest.raises(SourceUnavailable):
        await fetch(client, server.plays("/", trickles), impatient, tmp_path / "file")


@pytest.mark.fault("D1")
@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("401 Unauthorized", SourceGone),
        ("403 Forbidden", SourceGone),
        ("404 Not Found", SourceGone),
        ("410 Gone", SourceGone),
        ("408 Request Timeout", SourceUnavailable),
        ("429 Too Many Requests", SourceUnavailable),
        ("500 Internal Server Error", SourceUnavailable),
        ("503 Service Unavailable", SourceUnavailable),
        ("206 Partial Content", SourceUnavailable),
        ("302 Found", SourceUnavailable),
    ],
)
async def test_a_status_says_whether_asking_again_helps(
    status: str,
    error: type[MediaError],
    server: ScriptedServer,
    client: httpx.AsyncClient,
    policy: DownloadPolicy,
    tmp_path: Path,
) -> None:
    url = server.sends("/file?token=secret", b"no", status=status)
    with pytest.raises(error) as raised:
        await fetch(client, url, policy, tmp_path / "file")
    assert type(raised.value) is error
    assert "secret" not in str(raised.value)


async def test_redirects_are_followed(
    server: ScriptedServer, client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path
) -> None:
    server.sends("/there", b"found")
    url = server.sends("/here", b"", "location: /there", status="307 Temporary Redirect")
    await fetch(client, url, policy, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"found"


@pytest.mark.fault("D9")
@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[64:ff9b::7f00:1]/",
        "file:///etc/passwd",
        "https://u:p@a.example/",
    ],
)
async def test_a_redirect_leads_nowhere_that_the_first_url_could_not(
    location: str, server: ScriptedServer, client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path
) -> None:
    url = server.sends("/", b"", f"location: {location}", status="302 Found")
    with pytest.raises(Refused):
        await fetch(client, url, policy, tmp_path / "file")


NO_ADDRESSES = [
    "https://xn--.com/v.mp4",
    "https://xn--zzzzzzzzzzz.com/",
    "https://a..com/",
    "https://.com/",
    f"https://{'a' * 64}.com/",
    f"https://{'a.' * 200}com/",
    f"https://{'ü' * 70}.example/",
    "https://%00.com/",
    "https://a b.com/",
    "https://a%2fb.com/",
    "https://*/",
    "https://[::1/",
    "https://[v1.x]/",
    "https://a.com:99999/",
    "https:///v.mp4",
    "https:v.mp4",
    "//",
    "https://a.com/\x01",
    "https://a.com/\x7f",
    "https://\ud800.com/",
    "https://\u202e.com/",
]


@pytest.mark.fault("D28")
@pytest.mark.parametrize("url", NO_ADDRESSES)
async def test_what_is_no_address_is_refused(
    url: str, client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path
) -> None:
    with pytest.raises(Refused):
        await fetch(client, url, policy, tmp_path / "file")


@pytest.mark.fault("D28")
@pytest.mark.parametrize("url", [url for url in NO_ADDRESSES if url.isascii() and url.isprintable()])
async def test_a_redirect_to_what_is_no_address_is_refused(
    url: str, server: ScriptedServer, client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path
) -> None:
    with pytest.raises(Refused):
        await fetch(client, server.sends("/", b"", f"location: {url}", status="302 Found"), policy, tmp_path / "file")


@pytest.mark.fault("D12")
async def test_a_redirect_does_not_leave_the_allowed_hosts(
    server: ScriptedServer, client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path
) -> None:
    port = server.origin.rpartition(":")[2]
    url = server.sends("/", b"", f"location: http://localhost:{port}/there", status="302 Found")
    server.sends("/there", b"found")
    with pytest.raises(Refused):
        await fetch(client, url, replace(policy, allowed_hosts=("127.0.0.1",)), tmp_path / "file")
    assert len(server.requests) == 1


@pytest.mark.fault("D14")
async def test_a_providers_key_does_not_follow_a_redirect_to_another_host(
    server: ScriptedServer, client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path
) -> None:
    replicate = ReplicateProvider(client, submit_client=client, token=SecretStr("r8_hush"), base=server.origin)
    elsewhere = f"http://localhost:{server.origin.rpartition(':')[2]}"
    url = server.sends("/v1/files/1", b"", "location: /v1/files/2", status="302 Found")
    server.sends("/v1/files/2", b"", f"location: {elsewhere}/v1/files/3", status="302 Found")
    server.sends("/v1/files/3", b"found")
    await download(
        client,
        url,
        to=tmp_path / "file",
        policy=policy,
        on_bytes=lambda received, total: None,
        headers_for=replicate.download_headers,
    )
    assert ["authorization: bearer r8_hush" in request for request in server.requests] == [True, True, False]


@pytest.mark.fault("D9")
async def test_a_redirect_loop_is_left(
    server: ScriptedServer, client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path
) -> None:
    url = server.sends("/round", b"", "location: /round", status="302 Found")
    with pytest.raises(Refused):
        await fetch(client, url, policy, tmp_path / "file")
    assert len(server.requests) == MAX_REDIRECTS + 1


@pytest.mark.fault("D6")
@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "aws-chunked, gzip", "aws-chunked", "identity", ""])
async def test_a_body_that_an_uploader_has_compressed_is_unpacked(
    server: ScriptedServer, client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path, coding: str
) -> None:
    content = bytes(range(256)) * 2000
    sent = gzip.compress(content) if "gzip" in coding else content
    downloaded = await fetch(client, server.sends("/", sent, f"content-encoding: {coding}"), policy, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content
    assert downloaded.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.fault("D6")
@pytest.mark.parametrize(
    ("coding", "body", "error"),
    [
        ("gzip", b"not gzip at all", BadMedia),
        ("br", b"whatever", BadMedia),
        ("gzip, gzip", gzip.compress(gzip.compress(b"x")), BadMedia),
        ("gzip", gzip.compress(bytes(1000))[:-12], SourceUnavailable),
        ("gzip", gzip.compress(bytes(50_000_000)), TooLarge),
    ],
    ids=["none", "another", "twice", "cut", "bomb"],
)
async def test_a_compressed_body_that_cannot_be_unpacked_is_refused(
    server: ScriptedServer,
    client: httpx.AsyncClient,
    policy: DownloadPolicy,
    tmp_path: Path,
    coding: str,
    body: bytes,
    error: type[Exception],
) -> None:
    with pytest.raises(error):
        await fetch(client, server.sends("/", body, f"content-encoding: {coding}"), policy, tmp_path / "file")


async def test_nobody_listening_is_asked_again(
    client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path
) -> None:
    with pytest.raises(SourceUnavailable):
        await fetch(client, "http://127.0.0.1:1/", policy, tmp_path / "file")


@pytest.mark.fault("D16")
async def test_a_full_disk_is_the_archives_trouble(
    server: ScriptedServer, client: httpx.AsyncClient, policy: DownloadPolicy
) -> None:
    with pytest.raises(ArchiveUnavailable):
        await fetch(client, server.sends("/", b"body"), policy, Path("/dev/full"))


@pytest.mark.fault("O10")
async def test_memory_stays_flat_over_two_hundred_megabytes(
    server: ScriptedServer, client: httpx.AsyncClient, policy: DownloadPolicy, tmp_path: Path
) -> None:
    async def sends_200_mib(writer: asyncio.StreamWriter) -> None:
        writer.write(head(f"content-length: {200 * MIB}"))
        for _ in range(200):
            writer.write(bytes(MIB))
            await writer.drain()

    process = psutil.Process()
    before = process.memory_info().rss
    highest = before

    def measure(received: int, total: int | None) -> None:
        nonlocal highest
        highest = max(highest, process.memory_info().rss)

    downloaded = await download(
        client,
        server.plays("/", sends_200_mib),
        to=tmp_path / "file",
        policy=replace(policy, max_bytes=200 * MIB),
        on_bytes=measure,
    )
    (tmp_path / "file").unlink()
    assert downloaded.size_bytes == 200 * MIB
    assert highest - before < 40 * MIB


async def test_a_file_in_the_answer_itself_is_decoded(client: httpx.AsyncClient, tmp_path: Path) -> None:
    policy = DownloadPolicy(max_bytes=4)
    got = await download(
        client, "data:;base64,AAECAw==", to=tmp_path / "file", policy=policy, on_bytes=lambda received, total: None
    )
    assert (tmp_path / "file").read_bytes() == bytes(range(4))
    assert (got.size_bytes, got.sha256) == (4, hashlib.sha256(bytes(range(4))).hexdigest())


@pytest.mark.parametrize(("uri", "error"), [("data:;base64,AAECAwQ=", TooLarge), ("data:;base64,!!!", BadMedia)])
async def test_a_file_in_the_answer_has_limits_too(
    client: httpx.AsyncClient, tmp_path: Path, uri: str, error: type[Exception]
) -> None:
    policy = DownloadPolicy(max_bytes=4)
    with pytest.raises(error):
        await download(client, uri, to=tmp_path / "file", policy=policy, on_bytes=lambda received, total: None)

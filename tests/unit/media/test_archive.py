import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from reelay.domain.generation import JobType, MediaFile, RemoteMedia
from reelay.media.archive import PROMISED_KIND, archive_media, media_prefix, media_stem, plain_name
from reelay.media.decoder_pool import Inspect
from reelay.media.download import OnBytes
from reelay.media.errors import BadMedia, OutOfTime, SourceGone, SourceUnavailable
from reelay.media.guard import DownloadPolicy
from reelay.media.inspection import Inspection
from reelay.media.probe import inspect
from reelay.media.sniff import MediaKind
from reelay.media.storage import LocalStorage, Storage
from tests.unit.media.samples import make_video
from tests.unit.media.server import ScriptedServer, head

PREFIX = media_prefix(UUID(int=1), UUID(int=2))


async def inspect_here(path: Path, *, poster: Path | None, check_end: bool) -> Inspection:
    """In this process: unit tests start no other, and make their files themselves."""
    return await asyncio.to_thread(inspect, path, poster=poster, check_end=check_end)


class Archive:
    """`archive_media` with everything but the source and the promise filled in."""

    def __init__(
        self, client: httpx.AsyncClient, storage: Storage, policy: DownloadPolicy, inspect: Inspect | None = None
    ) -> None:
        self._client = client
        self._storage = storage
        self._policy = policy
        self._inspect = inspect or inspect_here

    async def keep(self, url: str, kind: MediaKind, *, on_bytes: OnBytes = lambda received, total: None) -> MediaFile:
        return await archive_media(
            RemoteMedia(url=url, content_type="video/mp4", file_name="../../etc/passwd"),
            key_prefix=PREFIX,
            stem=lambda found: media_stem(found, 0, 1),
            expected_kind=kind,
            client=self._client,
            storage=self._storage,
            policy=self._policy,
            inspect=self._inspect,
            on_bytes=on_bytes,
        )


@pytest.fixture
def archive(client: httpx.AsyncClient, storage: LocalStorage, policy: DownloadPolicy) -> Archive:
    return Archive(client, storage, policy)


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[], list[str]]:
    """All files in the archive, those under way included."""
    root = tmp_path / "archive"
    return lambda: sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.mark.fault("D15")
async def test_a_video_is_kept_with_its_poster(
    archive: Archive, server: ScriptedServer, samples: dict[str, Path], kept: Callable[[], list[str]], tmp_path: Path
) -> None:
    content = samples["mp4"].read_bytes()
    file = await archive.keep(server.sends("/whatever.bin", content), MediaKind.VIDEO)
    assert kept() == [f"{PREFIX}/video-poster.jpg", f"{PREFIX}/video.mp4"]
    assert (tmp_path / "archive" / file.key).read_bytes() == content
    assert file == MediaFile(
        name="video.mp4",
        key=f"{PREFIX}/video.mp4",
        content_type="video/mp4",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        duration_seconds=2.0,
        width=320,
        height=180,
        poster_name="video-poster.jpg",
        poster_key=f"{PREFIX}/video-poster.jpg",
        file_name="passwd",
    )


@pytest.mark.fault("D15")
@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/cron.d/x", "x"),
        ("a.mp4/../../b", "b"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/etc/passwd", "passwd"),
        ("a\x00b\nc\u202egpj.exe", "abcgpj.exe"),
        ("a" * 300, "a" * 200),
        ("..", None),
        ("", None),
        (None, None),
        ("мой клип.mp4", "мой клип.mp4"),
    ],
)
def test_a_providers_name_is_shown_without_paths_and_tricks(given: str | None, shown: str | None) -> None:
    assert plain_name(given) == shown


@pytest.mark.fault("D21")
async def test_archiving_twice_at_once_leaves_the_same_objects(
    archive: Archive, server: ScriptedServer, samples: dict[str, Path], kept: Callable[[], list[str]]
) -> None:
    url = server.sends("/", samples["mp4"].read_bytes())
    first, second = await asyncio.gather(*(archive.keep(url, MediaKind.VIDEO) for _ in range(2)))
    assert first == second
    assert kept() == [f"{PREFIX}/video-poster.jpg", f"{PREFIX}/video.mp4"]


@pytest.mark.parametrize(
    ("extension", "kind", "name"),
    [
        ("png", MediaKind.IMAGE, "image.png"),
        ("wav", MediaKind.AUDIO, "audio.wav"),
        ("mp3", MediaKind.AUDIO, "audio.mp3"),
    ],
)
async def test_pictures_and_sounds_are_kept_without_poster(
    extension: str,
    kind: MediaKind,
    name: str,
    archive: Archive,
    server: ScriptedServer,
    samples: dict[str, Path],
    kept: Callable[[], list[str]],
) -> None:
    file = await archive.keep(server.sends("/", samples[extension].read_bytes()), kind)
    assert kept() == [f"{PREFIX}/{name}"]
    assert file.poster_key is None
    assert (file.duration_seconds is None) == (kind is MediaKind.IMAGE)


async def test_sound_in_a_video_container_is_sound(
    archive: Archive, server: ScriptedServer, samples: dict[str, Path]
) -> None:
    content = samples["m4a"].read_bytes().replace(b"ftypM4A ", b"ftypisom", 1)
    file = await archive.keep(server.sends("/", content), MediaKind.AUDIO)
    assert (file.name, file.content_type) == ("audio.m4a", "audio/mp4")


@pytest.mark.fault("D5")
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Sign in</html>", b"<svg/>", b'{"error": 1}', b"\x00\x00\x00\x20ftypisom but nothing behind it"],
)
async def test_what_is_not_media_is_not_kept(
    body: bytes, archive: Archive, server: ScriptedServer, kept: Callable[[], list[str]]
) -> None:
    with pytest.raises(BadMedia):
        await archive.keep(server.sends("/", body, "content-type: video/mp4"), MediaKind.VIDEO)
    assert kept() == []


@pytest.mark.parametrize(
    ("extension", "promised"),
    [("png", MediaKind.VIDEO), ("wav", MediaKind.VIDEO), ("mp4", MediaKind.IMAGE), ("mp4", MediaKind.AUDIO)],
)
async def test_media_of_another_kind_than_promised_is_not_kept(
    extension: str,
    promised: MediaKind,
    archive: Archive,
    server: ScriptedServer,
    samples: dict[str, Path],
    kept: Callable[[], list[str]],
) -> None:
    with pytest.raises(BadMedia):
        await archive.keep(server.sends("/", samples[extension].read_bytes()), promised)
    assert kept() == []


@pytest.mark.fault("D1")
async def test_a_gone_source_leaves_nothing(
    archive: Archive, server: ScriptedServer, kept: Callable[[], list[str]]
) -> None:
    with pytest.raises(SourceGone):
        await archive.keep(server.sends("/", b"", status="404 Not Found"), MediaKind.VIDEO)
    assert kept() == []


@pytest.mark.fault("D4")
async def test_a_connection_that_drops_without_an_announced_length_is_asked_again(
    archive: Archive, server: ScriptedServer, kept: Callable[[], list[str]], tmp_path: Path
) -> None:
    whole = make_video(tmp_path / "whole.mp4", faststart=True).read_bytes()

    def ends_with_the_connection(body: bytes) -> str:
        async def script(writer: asyncio.StreamWriter) -> None:
            writer.write(head() + body)

        return server.plays("/", script)

    for length in (20, len(whole) // 2, len(whole) - 500):
        with pytest.raises(SourceUnavailable):
            await archive.keep(ends_with_the_connection(whole[:length]), MediaKind.VIDEO)
    assert kept() == []
    assert (await archive.keep(ends_with_the_connection(whole), MediaKind.VIDEO)).size_bytes == len(whole)


@pytest.mark.fault("D25")
async def test_a_costly_file_is_not_taken_for_one_cut_short(
    client: httpx.AsyncClient,
    storage: LocalStorage,
    policy: DownloadPolicy,
    server: ScriptedServer,
    samples: dict[str, Path],
) -> None:
    async def ends_with_the_connection(writer: asyncio.StreamWriter) -> None:
        writer.write(head() + samples["mp4"].read_bytes())

    async def takes_too_long(path: Path, *, poster: Path | None, check_end: bool) -> Inspection:
        raise OutOfTime("it takes too long")

    archive = Archive(client, storage, policy, takes_too_long)
    with pytest.raises(OutOfTime):
        await archive.keep(server.plays("/", ends_with_the_connection), MediaKind.VIDEO)


@pytest.mark.fault("D24")
@pytest.mark.parametrize("tag", [b"zzzz", b"encv", b"lhv1"])
async def test_a_video_that_nobody_can_decode_is_kept_with_what_is_known(
    tag: bytes, archive: Archive, server: ScriptedServer, samples: dict[str, Path], kept: Callable[[], list[str]]
) -> None:
    content = samples["mp4"].read_bytes().replace(b"avc1", tag)
    file = await archive.keep(server.sends("/", content), MediaKind.VIDEO)
    assert kept() == [f"{PREFIX}/video.mp4"]
    assert (file.content_type, file.size_bytes, file.width) == ("video/mp4", len(content), None)
    assert (file.sha256, file.duration_seconds) == (hashlib.sha256(content).hexdigest(), 2.0)


@pytest.mark.fault("D7")
async def test_a_cancelled_archive_leaves_nothing(
    archive: Archive, server: ScriptedServer, kept: Callable[[], list[str]]
) -> None:
    half_way = asyncio.Event()

    async def stops_half_way(writer: asyncio.StreamWriter) -> None:
        writer.write(head("content-length: 1000000") + bytes(500_000))
        await writer.drain()
        half_way.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(archive.keep(server.plays("/", stops_half_way), MediaKind.VIDEO))
    await half_way.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert kept() == []


def test_names_are_numbered_when_there_are_several() -> None:
    assert media_stem(MediaKind.VIDEO, 0, 1) == "video"
    assert [media_stem(MediaKind.IMAGE, index, 2) for index in range(2)] == ["image-1", "image-2"]


def test_what_promises_no_kind_of_media() -> None:
    assert set(JobType) - set(PROMISED_KIND) == {JobType.TRANSCRIPTION, JobType.OTHER}

import asyncio
import hashlib
import os
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from reelay.media.errors import ArchiveMisconfigured, ArchiveUnavailable, NotInArchive
from reelay.media.storage import LocalStorage, Storage, open_storage
from tests.eventually import PATIENCE, eventually
from tests.s3 import Trouble, troubled_road
from tests.unit.media.server import ScriptedServer

KEY = "user/generation/video.mp4"


def open_bucket(tmp_path: Path, url: str = "s3://media/some/prefix") -> Storage:
    return open_storage(url, scratch=tmp_path / "scratch", allow_http=True)


async def put(storage: Storage, content: bytes, key: str = KEY) -> None:
    with storage.scratch() as folder:
        file = folder / "file"
        await asyncio.to_thread(file.write_bytes, content)
        await storage.put_file(file, key, "video/mp4")


async def read(storage: Storage, start: int, end: int, key: str = KEY) -> bytes:
    return b"".join([piece async for piece in storage.read_range(key, start, end)])


async def presigned(storage: Storage, expires: timedelta = timedelta(minutes=1)) -> str:
    url = await storage.presign(KEY, expires)
    assert url is not None
    return url


async def test_a_local_object_is_put_read_and_deleted(storage: LocalStorage) -> None:
    assert await storage.head(KEY) is None
    content = os.urandom(10_000_000)
    await put(storage, content)
    assert await storage.head(KEY) == len(content)
    assert await read(storage, 5_000, 9_999_000) == content[5_000:9_999_000]
    await storage.delete(KEY)
    await storage.delete(KEY)
    assert await storage.head(KEY) is None
    with pytest.raises(NotInArchive):
        await read(storage, 0, 10)


async def test_a_local_file_is_moved_not_copied(storage: LocalStorage, tmp_path: Path) -> None:
    with storage.scratch() as folder:
        file = folder / "file"
        file.write_bytes(b"content")
        inode = file.stat().st_ino
        await storage.put_file(file, KEY, "video/mp4")
    assert (tmp_path / "archive" / KEY).stat().st_ino == inode


async def test_putting_twice_leaves_one_object(storage: LocalStorage, tmp_path: Path) -> None:
    for _ in range(2):
        await put(storage, b"content")
    files = [path for path in (tmp_path / "archive").rglob("*") if path.is_file()]
    assert files == [tmp_path / "archive" / KEY]


async def test_a_local_archive_has_no_presigned_urls(storage: LocalStorage) -> None:
    assert await storage.presign(KEY, timedelta(minutes=1)) is None


@pytest.mark.fault("D15")
@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../../b",
        "a//b",
        "a/",
        ".scratch/x",
        "a\\b",
        "a\nb",
        "a\x00b",
        "a/\u202egpj.exe",
        "a b",
    ],
)
async def test_no_key_leads_outside(key: str, storage: LocalStorage) -> None:
    with pytest.raises(ValueError, match="archive key"):
        await put(storage, b"content", key)
    with pytest.raises(ValueError, match="archive key"):
        await storage.head(key)


def test_a_scratch_folder_vanishes_with_what_is_in_it(storage: LocalStorage) -> None:
    with storage.scratch() as folder:
        (folder / "part").write_bytes(b"half")
    assert not folder.exists()


@pytest.mark.fault("D18")
def test_the_sweep_takes_what_killed_processes_left_and_no_more(storage: LocalStorage) -> None:
    with storage.scratch() as folder:
        abandoned = folder.with_name("abandoned")
        abandoned.mkdir()
        (abandoned / "part").write_bytes(b"half")
        os.utime(abandoned, (0, 0))
        storage.sweep_scratch(older_than=timedelta(days=1))
        assert folder.exists()
        assert not abandoned.exists()


async def test_a_ready_archive_takes_objects(storage: LocalStorage) -> None:
    await storage.check()


@pytest.mark.parametrize(
    "url", ["", "nonsense", "ftp://host/x", "memory:///", "http://host/x", "file://host/x", "s3://", "az://container"]
)
def test_an_archive_url_that_means_nothing_is_told_at_start(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(ArchiveMisconfigured):
        open_storage(url, scratch=tmp_path)


@pytest.mark.usefixtures("s3")
async def test_a_bucket_keeps_a_file_of_several_parts(tmp_path: Path) -> None:
    bucket = open_bucket(tmp_path)
    content = os.urandom(20 * 1024 * 1024)
    for _ in range(2):
        await put(bucket, content)
    assert await bucket.head(KEY) == len(content)
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        answer = await client.get(await presigned(bucket))
    assert hashlib.sha256(answer.content).digest() == hashlib.sha256(content).digest()
    assert answer.headers["content-type"] == "video/mp4"
    await bucket.delete(KEY)
    await bucket.delete(KEY)
    assert await bucket.head(KEY) is None


@pytest.mark.fault("D22")
@pytest.mark.usefixtures("s3")
async def test_a_presigned_url_is_for_one_object_and_a_time(tmp_path: Path) -> None:
    bucket = open_bucket(tmp_path)
    await put(bucket, b"content")
    good = await presigned(bucket)
    brief = await presigned(bucket, timedelta(seconds=1))

    async def has_expired() -> bool:
        return (await client.get(brief)).status_code in (400, 403)

    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        assert (await client.get(good)).status_code == 200
        assert (await client.get(good.replace("video.mp4", "other.mp4"))).status_code == 403
        assert (await client.get(good.partition("?")[0])).status_code in (400, 403)
        await eventually(has_expired)


@pytest.mark.fault("D19")
@pytest.mark.usefixtures("s3")
async def test_a_wrong_secret_is_for_an_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await open_bucket(tmp_path).check()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrongsecret")
    bucket = open_bucket(tmp_path)
    for attempt in (bucket.check(), put(bucket, b"content"), put(bucket, bytes(10_000_000)), bucket.head(KEY)):
        with pytest.raises(ArchiveMisconfigured) as raised:
            await attempt
        assert "wrongsecret" not in str(raised.value)


@pytest.mark.fault("D19")
@pytest.mark.usefixtures("s3")
async def test_a_missing_bucket_is_for_an_operator(tmp_path: Path) -> None:
    bucket = open_bucket(tmp_path, "s3://no-such-bucket")
    for attempt in (bucket.check(), put(bucket, b"content"), put(bucket, bytes(10_000_000))):
        with pytest.raises(ArchiveMisconfigured, match="NoSuchBucket"):
            await attempt


@pytest.mark.fault("D17")
@pytest.mark.usefixtures("s3")
async def test_a_store_that_has_other_bytes_than_were_sent_is_not_believed(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.origin)
    server.sends("/media/video.mp4", b"...", 'etag: "1"', "last-modified: Mon, 02 Mar 2026 10:00:00 GMT")
    with pytest.raises(ArchiveUnavailable, match="7 bytes were sent to the archive, 3 are there"):
        await put(open_bucket(tmp_path, "s3://media"), b"content", "video.mp4")


@pytest.mark.fault("D17")
@pytest.mark.usefixtures("s3")
async def test_a_store_that_does_not_answer_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(ArchiveUnavailable):
        await open_bucket(tmp_path).check()


async def whole(storage: Storage) -> bytes:
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        return (await client.get(await presigned(storage))).content


BIG = 20 * 1024 * 1024
"""Three parts of an upload."""


async def put_at_last(storage: Storage, content: bytes) -> int:
    """How often it had to be put."""
    for tries in range(1, 4):
        with suppress(ArchiveUnavailable):
            await put(storage, content)
            return tries
    raise AssertionError("not even at the third try")


@pytest.mark.fault("D17")
@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("size", "where", "troubles"),
    [
        (7, "PUT", [Trouble.SLOW_DOWN] * 3),
        (7, "PUT", [Trouble.UNANSWERED]),
        (BIG, "partNumber", [Trouble.SLOW_DOWN] * 3),
        (BIG, "?uploadId", [Trouble.BROKEN]),
        (BIG, "?uploadId", [Trouble.UNANSWERED]),
    ],
    ids=["slow down", "put unanswered", "slow down midway", "500 at the end", "end unanswered"],
)
async def test_a_store_in_trouble_gets_one_whole_object_in_the_end(
    size: int, where: str, troubles: list[Trouble], s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(size)
    async with troubled_road(s3_endpoint) as road:
        monkeypatch.setenv("AWS_ENDPOINT_URL", road.endpoint)
        bucket = open_bucket(tmp_path, f"s3://media/{uuid4().hex}")
        assert await put_at_last(bucket, content) == 1, "the control"
        await bucket.delete(KEY)
        road.where, road.troubles = where, [*troubles]
        await put_at_last(bucket, content)

        assert road.troubles == []
        assert await whole(bucket) == content
        await put(bucket, content)


KILLED = """
import asyncio, pathlib, sys
from reelay.media.storage import open_storage
url, scratch, file, key = sys.argv[1:]
bucket = open_storage(url, scratch=pathlib.Path(scratch), allow_http=True)
asyncio.run(bucket.put_file(pathlib.Path(file), key, "video/mp4"))
"""


@pytest.mark.fault("D18")
@pytest.mark.usefixtures("s3")
async def test_killed_in_the_middle_of_an_upload_leaves_no_object_and_is_repeated(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, file, url = os.urandom(BIG), tmp_path / "video", f"s3://media/{uuid4().hex}"
    await asyncio.to_thread(file.write_bytes, content)
    async with troubled_road(s3_endpoint) as road:
        monkeypatch.setenv("AWS_ENDPOINT_URL", road.endpoint)
        bucket = open_bucket(tmp_path, url)
        road.where, road.troubles = "partNumber=3", [Trouble.STUCK]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", KILLED, url, str(tmp_path / "scratch"), str(file), KEY)
        )

        async def is_half_way() -> bool:
            return not road.troubles and any("partNumber=1" in line for line in road.seen)

        await eventually(is_half_way)
        process.kill()
        await process.wait()

        assert await bucket.head(KEY) is None
        await put(bucket, content)
        assert await whole(bucket) == content

"""The archive: a folder, or a bucket of S3, Google Cloud Storage or Azure, chosen by URL.

`file:///path`, `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`. obstore reads credentials and
endpoints from the process's environment (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `AWS_REGION`, `GOOGLE_*`, `AZURE_*`).
"""

import asyncio
import os
import re
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import (
    BaseError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnknownConfigurationKeyError,
)
from obstore.store import AzureStore, GCSStore, LocalStore, ObjectStore, S3Store

from reelay.domain.addresses import names_public_host
from reelay.media.errors import ArchiveMisconfigured, ArchiveUnavailable, NotInArchive

if TYPE_CHECKING:  # obstore has its option types in its stubs alone
    from obstore.store import ClientConfig

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
READINESS_KEY = "readiness"
SCRATCH_FOLDER = ".scratch"
"""Inside a local archive. Not a key, since keys do not start with a dot."""
PART_BYTES = 8 * 1024 * 1024
"""Of a multipart upload, all parts equal as R2 demands. S3 takes 10 000 of them: 80 GB."""
PARTS_IN_FLIGHT = 4
READ_BYTES = 4 * 1024 * 1024
LEFT_BEHIND = timedelta(hours=2)
"""Transfers last at most an hour; what is older in a scratch folder was left by a process that was killed."""

NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound"})

Bucket: TypeAlias = S3Store | GCSStore | AzureStore
BUCKETS: dict[str, type[Bucket]] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}


@dataclass(frozen=True, kw_only=True)
class PresignedPut:
    url: str
    headers: Mapping[str, str]
    """What the request has to carry."""


class Storage(ABC):
    """Objects under keys. A key holds a whole object or none: no reader sees a part of one."""

    def __init__(self, store: ObjectStore, scratch: Path) -> None:
        self._store = store
        self._scratch = scratch

    @abstractmethod
    async def put_file(self, path: Path, key: str, content_type: str) -> None:
        """Make the file at `path`, which lies in a scratch folder, the object under `key`. It may be gone afterwards.

        Putting the same bytes again changes nothing. Raises: ArchiveUnavailable, ArchiveMisconfigured.
        """

    @abstractmethod
    async def presign(self, key: str, expires: timedelta) -> str | None:
        """A URL that anybody may GET until then; None where the storage has no such thing. S3 allows at most 7 days."""

    @abstractmethod
    async def presign_public(self, key: str, expires: timedelta) -> str | None:
        """As `presign`, and from anywhere on the internet; None where the storage cannot be reached from there."""

    @abstractmethod
    async def presign_put(self, key: str, content_type: str, expires: timedelta) -> PresignedPut | None:
        """By which anybody may PUT one object there until then; None where the storage has no such thing."""

    async def head(self, key: str) -> int | None:
        """The object's size in bytes; None when there is none. Raises: ArchiveUnavailable, ArchiveMisconfigured."""
        with _archive_errors():
            try:
                return (await self._store.head_async(_checked(key)))["size"]
            except FileNotFoundError:
                return None

    async def delete(self, key: str) -> None:
        """Nothing happens when there is no object. Raises: ArchiveUnavailable, ArchiveMisconfigured."""
        with _archive_errors():
            try:
                await self._store.delete_async(_checked(key))
            except FileNotFoundError:
                return

    async def delete_below(self, prefix: str) -> None:
        """Whatever lies under keys that begin with the prefix and a slash.

        Raises: ArchiveUnavailable, ArchiveMisconfigured.
        """
        with _archive_errors():
            async for page in self._store.list(_checked(prefix)):
                for found in page:
                    await self.delete(found["path"])

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """The whole object, a few MiB at a time.

        Raises: NotInArchive, ArchiveUnavailable, ArchiveMisconfigured.
        """
        with _archive_errors():
            try:
                pieces = (await self._store.get_async(_checked(key))).stream(min_chunk_size=READ_BYTES)
            except FileNotFoundError:
                raise NotInArchive("the archive holds no such object") from None
        while True:
            with _archive_errors():
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield bytes(piece)

    async def read_range(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `end`, a few MiB at a time.

        Raises: NotInArchive, ArchiveUnavailable, ArchiveMisconfigured.
        """
        for offset in range(start, end, READ_BYTES):
            with _archive_errors():
                try:
                    piece = await self._store.get_range_async(
                        _checked(key), start=offset, end=min(offset + READ_BYTES, end)
                    )
                except FileNotFoundError:
                    raise NotInArchive("the archive holds no such object") from None
            yield bytes(piece)

    async def check(self) -> None:
        """Prove that the archive takes objects, by writing a small one.

        Raises: ArchiveUnavailable, ArchiveMisconfigured.
        """
        with _archive_errors():
            await self._store.put_async(READINESS_KEY, b"ready")

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A fresh folder for files on their way into the archive; removed with all that is left in it.

        Raises: ArchiveUnavailable, ArchiveMisconfigured.
        """
        with _archive_errors():
            self._scratch.mkdir(parents=True, exist_ok=True)
            folder = TemporaryDirectory(dir=self._scratch, ignore_cleanup_errors=True)
        with folder as name:
            yield Path(name)

    def sweep_scratch(self, older_than: timedelta = LEFT_BEHIND) -> None:
        """Remove the scratch folders of processes that were killed. Blocks."""
        limit = time.time() - older_than.total_seconds()
        for folder in self._scratch.glob("*"):
            with suppress(FileNotFoundError):
                if folder.stat().st_mtime < limit:
                    shutil.rmtree(folder, ignore_errors=True)


class LocalStorage(Storage):
    """A folder. Files are moved in, not copied: the scratch folder is on the same filesystem."""

    def __init__(self, root: Path) -> None:
        with _archive_errors():
            super().__init__(LocalStore(root, mkdir=True), root / SCRATCH_FOLDER)
        self._root = root

    async def put_file(self, path: Path, key: str, content_type: str) -> None:
        with _archive_errors():
            await asyncio.to_thread(_publish, path, self._root / _checked(key))

    async def presign(self, key: str, expires: timedelta) -> str | None:
        return None

    async def presign_public(self, key: str, expires: timedelta) -> str | None:
        return None

    async def presign_put(self, key: str, content_type: str, expires: timedelta) -> PresignedPut | None:
        return None


class BucketStorage(Storage):
    """A bucket. Uploads of more than one part become visible when the last part is in."""

    _store: Bucket

    def __init__(self, bucket: Bucket, scratch: Path, public: Bucket | None = None) -> None:
        """`public`: the same one, by the endpoint at which the internet reaches it; None: by its only one."""
        super().__init__(bucket, scratch)
        self._public = public

    async def put_file(self, path: Path, key: str, content_type: str) -> None:
        with _archive_errors():
            await self._store.put_async(
                _checked(key),
                path,
                attributes={"Content-Type": content_type},
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_IN_FLIGHT,
            )
        sent, kept = await asyncio.to_thread(os.path.getsize, path), await self.head(key)
        if kept != sent:
            raise ArchiveUnavailable(f"{sent} bytes were sent to the archive, {kept} are there")

    async def presign(self, key: str, expires: timedelta) -> str | None:
        with _archive_errors():
            return await obstore.sign_async(self._public or self._store, "GET", _checked(key), expires)

    async def presign_public(self, key: str, expires: timedelta) -> str | None:
        link = await self.presign(key, expires)
        parts = urlsplit(link or "")
        is_public = parts.scheme == "https" and names_public_host(parts.hostname or "")
        return link if self._public or is_public else None

    async def presign_put(self, key: str, content_type: str, expires: timedelta) -> PresignedPut | None:
        with _archive_errors():
            url = await obstore.sign_async(self._public or self._store, "PUT", _checked(key), expires)
        # Azure takes none without the kind of blob.
        kind = {"x-ms-blob-type": "BlockBlob"} if isinstance(self._store, AzureStore) else {}
        return PresignedPut(url=url, headers={"content-type": content_type, **kind})


def open_storage(url: str, *, scratch: Path, allow_http: bool = False, public_url: str | None = None) -> Storage:
    """The storage at `url`. Connects to nothing yet; a local folder is made when missing.

    `scratch` is where a bucket's files wait for their upload; a local archive uses a folder of its own. `allow_http`
    lets a bucket's endpoint be plain http. `public_url`: the endpoint of an S3 bucket as the internet reaches it, for
    links. Raises: ArchiveMisconfigured.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return LocalStorage(Path(unquote(parts.path)))
    if parts.scheme not in BUCKETS:
        raise ArchiveMisconfigured("ARCHIVE_URL: it must be file:///path, or s3://, gs:// or az:// with a bucket")
    client: ClientConfig = {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(minutes=2)}
    if allow_http:
        client["allow_http"] = True
    try:
        bucket = BUCKETS[parts.scheme].from_url(
            url, client_options=client, retry_config={"max_retries": 4, "retry_timeout": timedelta(minutes=1)}
        )
        public = None
        if public_url and parts.scheme == "s3":
            public = S3Store.from_url(url, endpoint=public_url, client_options=client)
    except (BaseError, ValueError) as error:
        raise ArchiveMisconfigured(f"ARCHIVE_URL: {_summary(error)}") from None
    if parts.scheme == "s3" and not allow_http:
        _require_https({"AWS_ENDPOINT_URL": os.environ.get("AWS_ENDPOINT_URL"), "ARCHIVE_PUBLIC_URL": public_url})
    return BucketStorage(bucket, scratch, public)


def _require_https(endpoints: Mapping[str, str | None]) -> None:
    """Of a request by plain http, which is not allowed, obstore says "builder error". Raises: ArchiveMisconfigured."""
    for variable, endpoint in endpoints.items():
        if endpoint and endpoint.startswith("http:"):
            raise ArchiveMisconfigured(f"{variable}: in production plain http needs AWS_ALLOW_HTTP=true")


def _checked(key: str) -> str:
    if not KEY.fullmatch(key):
        raise ValueError("an archive key is made of names of letters, digits, dots, dashes and underscores")
    return key


def _publish(path: Path, target: Path) -> None:
    """Move the file so that after a power cut the target is whole or absent."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _sync(path)
    path.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _archive_errors() -> Iterator[None]:
    """obstore's and the disk's errors as ours, without their cause, which quotes URLs that may be signed."""
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError, UnknownConfigurationKeyError, PermissionError) as error:
        raise ArchiveMisconfigured(_summary(error)) from None
    except (BaseError, OSError) as error:
        # A missing upload is "not found" as well: a full store forgets it, and so does one that has completed it.
        wrong = ArchiveMisconfigured if _store_code(error) in NO_BUCKET else ArchiveUnavailable
        raise wrong(_summary(error)) from None


def _summary(error: Exception) -> str:
    """What failed and how the store calls it, without its document and without the query of any URL."""
    action = re.sub(r"(https?://[^\s?]*)\?\S*", r"\1", re.split(r"[\n<]", str(error))[0]).rstrip(" :")
    code = _store_code(error)
    return f"{action}: {code}" if code else action


def _store_code(error: Exception) -> str | None:
    """The code in the store's XML answer, which obstore hands on as text alone."""
    code = re.search(r"<Code>(\w+)</Code>", str(error))
    return code[1] if code else None

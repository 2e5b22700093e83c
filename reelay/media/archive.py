"""Into our archive, from a provider's URL or from a user: sniff, probe, poster, put."""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from mimetypes import guess_type
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit
from uuid import UUID

import httpx

from reelay.domain.generation import JobType, MediaFile, RemoteMedia
from reelay.media.decoder_pool import Inspect
from reelay.media.download import Downloaded, HeadersFor, OnBytes, download, no_headers
from reelay.media.errors import BadMedia, SourceUnavailable, TooCostly
from reelay.media.guard import DownloadPolicy
from reelay.media.inspection import Inspection
from reelay.media.saving import Saved
from reelay.media.sniff import SVG, MediaKind, SniffedType, head_of, sniff, sniff_file
from reelay.media.storage import Storage

MAX_NAME_LENGTH = 200
PROMISED_KIND = {
    JobType.VIDEO_VEO31: MediaKind.VIDEO,
    JobType.VIDEO: MediaKind.VIDEO,
    JobType.FIRST_FRAME: MediaKind.IMAGE,
    JobType.VOICE: MediaKind.AUDIO,
    JobType.AMBIENT: MediaKind.AUDIO,
}
"""A transcription promises no media, and a job of another type any file."""
PLAYED = (MediaKind.VIDEO, MediaKind.AUDIO)


def media_prefix(user_id: UUID, generation_id: UUID) -> str:
    """Where all files of a generation are kept."""
    return f"{user_id}/{generation_id}"


def media_stem(kind: MediaKind, index: int, count: int) -> str:
    """`video` for an only file, `video-1`, `video-2` for several; `index` counts from 0."""
    return kind.value if count == 1 else f"{kind.value}-{index + 1}"


def is_companion(remote: RemoteMedia, promised: MediaKind) -> bool:
    """Whether the provider itself calls the file something else than what was promised: a thumbnail, a mask, a zip."""
    by_name = guess_type(file_name_of(remote))[0]
    declared = by_name if remote.content_type in (None, "application/octet-stream") else remote.content_type
    return declared is not None and declared.partition("/")[0] != promised.value


def file_name_of(remote: RemoteMedia) -> str:
    """The provider's name for the file, else that in its address."""
    return remote.file_name or PurePosixPath(urlsplit(remote.url).path).name


def plain_name(given: str | None) -> str | None:
    """A provider's name for a file as one to show and to save by: the last part of a path, without odd characters."""
    last = re.split(r"[/\\]", given or "")[-1]
    return "".join(character for character in last if character.isprintable())[:MAX_NAME_LENGTH].strip(" .") or None


async def archive_media(
    remote: RemoteMedia,
    *,
    key_prefix: str,
    stem: Callable[[MediaKind], str],
    expected_kind: MediaKind | None,
    client: httpx.AsyncClient,
    storage: Storage,
    policy: DownloadPolicy,
    inspect: Inspect,
    on_bytes: OnBytes,
    headers_for: HeadersFor = no_headers,
) -> MediaFile:
    """Keep what the provider serves at `remote.url` under `{key_prefix}/{stem}.{extension}`; `stem` is told the kind.

    `expected_kind`: what it has to be; None for a file of any kind.

    Doing it twice leaves the same objects; failing or being cancelled leaves no temporary file.
    Raises: every MediaError but NotInArchive.
    """
    with storage.scratch() as folder:
        downloaded = await download(
            client, remote.url, to=folder / "media", policy=policy, on_bytes=on_bytes, headers_for=headers_for
        )
        return await _keep(
            downloaded,
            folder / "poster.jpg",
            key_prefix=key_prefix,
            stem=stem,
            expected_kind=expected_kind,
            sniffed=sniff if expected_kind in PLAYED else partial(sniff_file, name=file_name_of(remote)),
            storage=storage,
            inspect=inspect,
            file_name=remote.file_name,
            flagged=remote.flagged,
        )


async def archive_whole(
    saved: Saved,
    *,
    key_prefix: str,
    file_name: str | None,
    storage: Storage,
    inspect: Inspect,
    stem: Callable[[MediaKind], str] = str,
) -> MediaFile:
    """Keep a whole file that a user has brought or that we have made, of whatever kind of media it is; it lies in a
    scratch folder.

    Doing it twice leaves the same objects. Raises: BadMedia, DecoderUnavailable, ArchiveUnavailable,
    ArchiveMisconfigured.
    """
    whole = Downloaded(path=saved.path, size_bytes=saved.size_bytes, sha256=saved.sha256, length_announced=True)
    return await _keep(
        whole,
        saved.path.with_name("poster.jpg"),
        key_prefix=key_prefix,
        stem=stem,
        expected_kind=None,
        sniffed=sniff,
        storage=storage,
        inspect=inspect,
        file_name=file_name,
    )


async def _keep(
    downloaded: Downloaded,
    poster: Path,
    *,
    key_prefix: str,
    stem: Callable[[MediaKind], str],
    expected_kind: MediaKind | None,
    sniffed: Callable[[bytes], SniffedType],
    storage: Storage,
    inspect: Inspect,
    file_name: str | None,
    flagged: bool = False,
) -> MediaFile:
    found, inspection = await _inspect_and_check(downloaded, expected_kind, sniffed, poster, inspect)
    name_stem = stem(found.kind)
    name = f"{name_stem}.{found.extension}"
    poster_name = f"{name_stem}-poster.jpg" if inspection.has_poster else None
    if poster_name:
        await storage.put_file(poster, f"{key_prefix}/{poster_name}", "image/jpeg")
    await storage.put_file(downloaded.path, f"{key_prefix}/{name}", found.content_type)
    return MediaFile(
        name=name,
        key=f"{key_prefix}/{name}",
        content_type=found.content_type,
        size_bytes=downloaded.size_bytes,
        sha256=downloaded.sha256,
        duration_seconds=None if found.kind is MediaKind.IMAGE else inspection.duration_seconds,
        width=inspection.width,
        height=inspection.height,
        poster_name=poster_name,
        poster_key=f"{key_prefix}/{poster_name}" if poster_name else None,
        file_name=plain_name(file_name),
        flagged=flagged,
        provenance=inspection.provenance,
    )


async def _inspect_and_check(
    downloaded: Downloaded,
    expected: MediaKind | None,
    sniffed: Callable[[bytes], SniffedType],
    poster: Path,
    inspect: Inspect,
) -> tuple[SniffedType, Inspection]:
    whole = downloaded.length_announced
    try:
        found = sniffed(await asyncio.to_thread(head_of, downloaded.path))
        if expected in (None, found.kind) and (found.kind is MediaKind.FILE or found is SVG):
            return found, Inspection(has_picture=False)  # nothing in it can be decoded
        wanted = poster if found.kind is MediaKind.VIDEO else None
        inspection = await inspect(downloaded.path, poster=wanted, check_end=not whole)
    except BadMedia as error:
        if whole or isinstance(error, TooCostly):
            raise
        raise SourceUnavailable(f"the body may have been cut short: {error}") from error
    if not inspection.has_picture:
        found = found.without_picture()
    if expected and found.kind is not expected:
        raise BadMedia(f"{found.content_type} instead of the promised {expected}")
    return found, inspection

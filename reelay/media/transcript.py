"""A transcription as files: the provider's answer as JSON, and its timed chunks as subtitles (SubRip and WebVTT)."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from reelay.domain.generation import MediaFile
from reelay.domain.provenance import NO_CREDENTIALS
from reelay.media.captions import Cue, cues_of, srt, vtt
from reelay.media.storage import Storage

STEM = "transcript"


async def archive_transcript(data: Mapping[str, Any], *, key_prefix: str, storage: Storage) -> tuple[MediaFile, ...]:
    """Keep the answer as `transcript.json`, and as `.srt` and `.vtt` where its chunks say when they are spoken.

    Doing it twice leaves the same objects. Raises: ArchiveUnavailable, ArchiveMisconfigured.
    """
    texts = await asyncio.to_thread(_written, data)
    return await _archive_texts(texts, key_prefix=key_prefix, storage=storage)


async def archive_captions(
    cues: Sequence[Cue], *, stem: str, key_prefix: str, storage: Storage
) -> tuple[MediaFile, ...]:
    """Keep them as `.srt` and `.vtt`. Doing it twice leaves the same objects.

    Raises: ArchiveUnavailable, ArchiveMisconfigured.
    """
    return await _archive_texts(_subtitles(stem, cues), key_prefix=key_prefix, storage=storage)


async def _archive_texts(
    texts: Sequence[tuple[str, str, str]], *, key_prefix: str, storage: Storage
) -> tuple[MediaFile, ...]:
    files = []
    for name, content_type, text in texts:
        content = text.encode(errors="replace")  # half of a surrogate pair, which JSON may spell, is no UTF-8
        with storage.scratch() as folder:
            path = folder / name
            await asyncio.to_thread(path.write_bytes, content)
            await storage.put_file(path, f"{key_prefix}/{name}", content_type)
        files.append(
            MediaFile(
                name=name,
                key=f"{key_prefix}/{name}",
                content_type=content_type,
                size_bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                provenance=NO_CREDENTIALS,
            )
        )
    return tuple(files)


def _written(data: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, content type and text of each file."""
    files = [(f"{STEM}.json", "application/json", json.dumps(data, ensure_ascii=False, indent=1))]
    cues = cues_of(data)
    return files + _subtitles(STEM, cues) if cues else files


def _subtitles(stem: str, cues: Sequence[Cue]) -> list[tuple[str, str, str]]:
    return [(f"{stem}.srt", "application/x-subrip", srt(cues)), (f"{stem}.vtt", "text/vtt", vtt(cues))]

"""A transcription as files: the provider's answer as JSON, and its timed chunks as subtitles (SubRip and WebVTT)."""

import asyncio
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reelay.domain.generation import MediaFile
from reelay.media.storage import Storage

STEM = "transcript"
LAST_CUE_SECONDS = 2.0
"""Whisper leaves the end of a recording's last chunk open."""
PAUSE_SECONDS = 1.0
LONGEST_LINE = 60
"""Characters after which a line of single words ends."""
ESCAPED_IN_VTT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True)
class Cue:
    """One subtitle. Seconds."""

    start: float
    end: float
    text: str


async def archive_transcript(data: Mapping[str, Any], *, key_prefix: str, storage: Storage) -> tuple[MediaFile, ...]:
    """Keep the answer as `transcript.json`, and as `.srt` and `.vtt` where its chunks say when they are spoken.

    Doing it twice leaves the same objects. Raises: ArchiveUnavailable, ArchiveMisconfigured.
    """
    files = []
    for name, content_type, content in await asyncio.to_thread(_written, data):
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
            )
        )
    return tuple(files)


def _written(data: Mapping[str, Any]) -> list[tuple[str, str, bytes]]:
    """Name, content type and bytes of each file."""
    files = [(f"{STEM}.json", "application/json", json.dumps(data, ensure_ascii=False, indent=1))]
    if cues := cues_of(data):
        files.append((f"{STEM}.srt", "application/x-subrip", srt(cues)))
        files.append((f"{STEM}.vtt", "text/vtt", vtt(cues)))
    # Half of a surrogate pair, which JSON may spell, is no UTF-8.
    return [(name, content_type, text.encode(errors="replace")) for name, content_type, text in files]


def cues_of(data: Mapping[str, Any]) -> list[Cue]:
    """The chunks (`{timestamp: [start, end | null], text, speaker?}`) that have words and a time, in their order; else
    the single words, as lines."""
    chunks, words = data.get("chunks"), data.get("words")
    timed = list(_timed(chunks)) if isinstance(chunks, list) else []
    if not timed and isinstance(words, list):
        timed = list(_lines(words))
    followers = [start for start, _, _ in timed[1:]]
    return [
        Cue(start, end if end is not None else _open_end(start, follower), text)
        for (start, end, text), follower in zip(timed, [*followers, None], strict=False)
    ]


def _timed(chunks: Sequence[Any]) -> Iterator[tuple[float, float | None, str]]:
    for chunk in chunks:
        match chunk:
            case {"timestamp": [start, end], "text": str(text)} if _is_moment(start) and text.strip():
                speaker = chunk.get("speaker")
                words = " ".join(text.split())
                words = f"{speaker}: {words}" if isinstance(speaker, str) and speaker else words
                yield float(start), float(end) if _is_moment(end) and end > start else None, words


def _lines(words: Sequence[Any]) -> Iterator[tuple[float, float | None, str]]:
    """Single words (`{text, start, end, speaker_id?}`) as lines: a speaker's, of a readable length, without a pause."""
    line: list[str] = []
    began, ended, speaker = 0.0, 0.0, None
    for word in words:
        match word:
            case {"text": str(text), "start": start, "end": end} if (
                text.strip() and _is_moment(start) and _is_moment(end)
            ):
                is_new = speaker != word.get("speaker_id") or start - ended > PAUSE_SECONDS
                if line and (is_new or len(" ".join(line)) > LONGEST_LINE):
                    yield began, ended if ended > began else None, " ".join(line)
                    line = []
                if not line:
                    began, speaker = float(start), word.get("speaker_id")
                line.append(text.strip())
                ended = float(end)
    if line:
        yield began, ended if ended > began else None, " ".join(line)


def _is_moment(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _open_end(start: float, follower: float | None) -> float:
    return follower if follower is not None and follower > start else start + LAST_CUE_SECONDS


def srt(cues: Sequence[Cue]) -> str:
    """SubRip."""
    return "\n".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(cues, 1)
    )


def vtt(cues: Sequence[Cue]) -> str:
    """WebVTT (https://www.w3.org/TR/webvtt1/): its text is escaped, or `-->` in it would be a timing."""
    lines = (
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{cue.text.translate(ESCAPED_IN_VTT)}\n" for cue in cues
    )
    return "WEBVTT\n\n" + "\n".join(lines)


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"

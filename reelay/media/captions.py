"""Captions: of the timed words of a transcription, or of a text that is spoken; written as SubRip and as WebVTT."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LAST_CUE_SECONDS = 2.0
"""Whisper leaves the end of a recording's last chunk open."""
PAUSE_SECONDS = 1.0
LONGEST_LINE = 60
"""Characters after which a line of single words ends."""
SENTENCE_END = re.compile(r"(?<=[.!?;:…])\s+")
ESCAPED_IN_VTT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True)
class Cue:
    """One subtitle. Seconds."""

    start: float
    end: float
    text: str


def spoken_cues(text: str, seconds: float) -> list[Cue]:
    """A text that is spoken in so many seconds, in lines of a readable length: each has the share of its characters."""
    lines = [line for sentence in SENTENCE_END.split(" ".join(text.split())) for line in _wrapped(sentence)]
    total = sum(map(len, lines))
    cues, spoken = [], 0
    for line in lines:
        start, spoken = spoken, spoken + len(line)
        cues.append(Cue(seconds * start / total, seconds * spoken / total, line))
    return cues


def _wrapped(sentence: str) -> Iterator[str]:
    line = ""
    for word in sentence.split():
        if line and len(line) + 1 + len(word) > LONGEST_LINE:
            yield line
            line = ""
        line = f"{line} {word}".lstrip()
    if line:
        yield line


def moved(cues: Sequence[Cue], seconds: float) -> list[Cue]:
    """The same, so much later."""
    return [Cue(cue.start + seconds, cue.end + seconds, cue.text) for cue in cues]


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

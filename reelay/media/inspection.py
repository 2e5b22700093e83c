"""What a look inside a media file finds, and how the process that looks is asked and answers."""

from dataclasses import dataclass

READY = b"ready\n"
"""A decoder's first line."""
TAKEN = b"taken\n"
"""Its line after a request: from here until its answer, what happens to it is the file's fault."""
OUT_OF_MEMORY = 77
"""The exit code of a decoder whose file took more memory than it may."""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """None where the file has no such thing (sound has no width, a picture no duration), or nobody can tell."""

    has_picture: bool
    """Moving or not; the cover of a song is none."""
    duration_seconds: float | None = None
    width: int | None = None
    height: int | None = None
    """Unknown where FFmpeg does not know the codec, or the stream is encrypted."""
    has_poster: bool = False


@dataclass(frozen=True, kw_only=True)
class Request:
    """One line of JSON."""

    path: str
    poster: str | None
    """Where to write one."""
    check_end: bool


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One line of JSON, with one of these."""

    inspection: Inspection | None = None
    bad_media: str | None = None
    bug: str | None = None
    """The traceback of what nobody foresaw."""

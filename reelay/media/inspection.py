"""What a look inside a media file finds, and how the process that looks is asked and answers."""

from dataclasses import dataclass

from reelay.domain.provenance import Provenance

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
    has_credentials: bool = False
    """Whether it carries Content Credentials, which are checked by a request of its own."""
    provenance: Provenance | None = None
    """What they are worth; None where nobody can tell."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One line of JSON."""

    path: str
    poster: str | None = None
    """Where to write one."""
    check_end: bool = False
    credentials_alone: bool = False
    """Check the Content Credentials, and do nothing else."""
    trust_anchors: str | None = None
    """Who may vouch for their signer: a file of certificates (PEM)."""
    sheet: str | None = None
    """Where to write one of the video's moments, and do nothing else."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One line of JSON, with one of these."""

    inspection: Inspection | None = None
    provenance: Provenance | None = None
    has_sheet: bool = False
    bad_media: str | None = None
    bug: str | None = None
    """The traceback of what nobody foresaw."""

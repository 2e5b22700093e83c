"""What a film is to be made of, and how the process that makes it is asked and answers."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from pydantic import TypeAdapter

from reelay.media.captions import Cue

OnProgress = Callable[[float], None]
"""Told how much of a film is written, from 0 to 1."""


class Ending(StrEnum):
    """What becomes of sound that is longer than the pictures.

    - `cut`: the film ends with the pictures.
    - `hold`: the last picture stays until the sound ends.
    - `loop`: the pictures start again until the sound ends.
    """

    CUT = "cut"
    HOLD = "hold"
    LOOP = "loop"


@dataclass(frozen=True, kw_only=True)
class Track:
    """One sound of a film."""

    path: str
    start_seconds: float = 0.0
    gain_db: float = 0.0
    duck: bool = False
    """Lowered while tracks sound that are not ducked."""
    fade_in_seconds: float = 0.0
    fade_out_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Mix:
    """What a film is made of."""

    videos: tuple[str, ...]
    """One after the other, in the size and rate of the first."""
    tracks: tuple[Track, ...] = ()
    """None: the videos' own sound."""
    cues: tuple[Cue, ...] = ()
    ending: Ending = Ending.CUT
    to: str
    """Where to write the MP4."""


@dataclass(frozen=True, kw_only=True)
class Film:
    duration_seconds: float
    pictures_copied: bool


@dataclass(frozen=True, kw_only=True)
class MixerLine:
    """One line of JSON, with one of these."""

    fraction: float | None = None
    """So much of it is written."""
    film: Film | None = None
    bad_media: str | None = None
    bug: str | None = None
    """The traceback of what nobody foresaw."""


PLAN = TypeAdapter(Mix)
LINE = TypeAdapter(MixerLine)

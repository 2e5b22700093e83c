"""How often media is tried before it is given up. Kept in the heartbeat's details, which outlive the worker."""

from dataclasses import astuple, dataclass, replace
from datetime import timedelta
from typing import Self

from temporalio import activity

from activities.errors import LONGEST_PAUSE, non_retryable, try_again
from reelay.domain.failure import Failure, FailureCode
from reelay.media.errors import ArchiveMisconfigured, BadMedia, MediaError, Refused, SourceGone, TooLarge

MOST_TRIES = 3


@dataclass(frozen=True)
class Tries:
    """What the attempts of this activity so far came to. Files are tried in order: a later one starts anew.

    bad: attempts that found the file bad, or no longer served. Other troubles are not its fault.
    deaths: attempts whose worker died while the file was open.
    file: the index of the last file that stopped an attempt.
    """

    bad: int = 0
    deaths: int = 0
    file: int = 0

    @classmethod
    def so_far(cls) -> Self:
        return cls(*activity.info().heartbeat_details)

    def of(self, file: int) -> Self:
        return replace(self, bad=0, deaths=0, file=file) if file > self.file else self

    def one_more_bad(self) -> Self:
        return replace(self, bad=self.bad + 1)

    def should_it_die(self) -> Self:
        """Not counted in a first attempt: storing it would be a billed action for every file. So when a later attempt
        dies, the first one is taken to have died of the same, unless something was found to be bad."""
        return replace(self, deaths=max(self.deaths, 0 if self.bad else 1) + 1)

    @property
    def details(self) -> tuple[int, ...]:
        return astuple(self)


def archive_error(error: MediaError, *, file: int = 0) -> Exception:
    """Asking again costs nothing while the source lives, but what stays bad is bad."""
    match error:
        case Refused() | TooLarge():
            return unusable(error, FailureCode.BAD_MEDIA)
        case SourceGone():
            return _bad_media_error(error, FailureCode.RESULT_EXPIRED, file)
        case BadMedia():
            return _bad_media_error(error, FailureCode.BAD_MEDIA, file)
        case ArchiveMisconfigured():
            return try_again(error, after=timedelta(minutes=1))
        case _:
            return try_again(error, at_most=LONGEST_PAUSE)


def _bad_media_error(error: MediaError, code: FailureCode, file: int) -> Exception:
    tries = Tries.so_far().of(file).one_more_bad()
    if tries.bad >= MOST_TRIES:
        return unusable(error, code)
    activity.heartbeat(*tries.details)
    return try_again(error)


def unusable(error: MediaError, code: FailureCode) -> Exception:
    return non_retryable(Failure(code=code, message=f"The provider's media cannot be used: {error}"))

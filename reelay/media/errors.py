"""What can go wrong between a provider's URL and our archive.

MediaError
├── Refused                the URL, or the address behind it, may not be asked; final
├── SourceGone             401, 403, 404, 410 and other 4xx: the provider no longer serves it; ask for a fresh URL
├── SourceUnavailable      5xx, 408, 429, connection, time, a body cut short: ask again
│   └── ResolvedInside     our name server leads a public name to an address that is not public: ask again
├── TooLarge               more bytes than the limit; final
├── BadMedia               HTML, empty, unreadable, or not what was promised; final for this URL
│   └── TooCostly          more memory or time than a file may take, or the death of the process that looked into it
│       └── OutOfTime      the time alone
├── NotSigned              its Content Credentials could not be written: try again
│   └── SignerDied         the process that writes them died
├── DecoderUnavailable     no process could be started to look into it: try again
├── ArchiveUnavailable     the storage did not answer, or is full: try again
├── ArchiveMisconfigured   no such bucket, wrong key, no permission; an operator has to act
└── NotInArchive           there is no object under this key
"""


class MediaError(Exception):
    """Media could not be brought into the archive, or out of it. The message holds no URL query and no key."""


class Refused(MediaError):
    """Connecting there is not allowed, today or ever."""


class SourceGone(MediaError):
    """The provider answers, and says that there is nothing for us at this URL."""


class SourceUnavailable(MediaError):
    """The bytes did not arrive whole; the next try may bring them."""


class ResolvedInside(SourceUnavailable):
    """A public name leads to an address that is not, so nothing is asked there. That may be our own network's doing,
    which an operator can change; what was paid for waits for it."""


class TooLarge(MediaError):
    """The source has more bytes than we are willing to keep."""


class BadMedia(MediaError):
    """The bytes are not playable media of the promised kind."""


class TooCostly(BadMedia):
    """Looking into the file costs more than any honest one, or kills the process that looks."""


class OutOfTime(TooCostly):
    """It takes too long."""


class NotSigned(MediaError):
    """What Reelay made has no Content Credentials yet. Why, is for operators alone."""


class SignerDied(NotSigned):
    """Of an ingredient, perhaps."""


class DecoderUnavailable(MediaError):
    """There is no process to look into the file, which is not the file's fault."""


class ArchiveUnavailable(MediaError):
    """The storage cannot take or give the object now."""


class ArchiveMisconfigured(MediaError):
    """The storage will refuse until somebody changes its settings or ours."""


class NotInArchive(MediaError):
    """The object is not there, or no longer."""

"""Faults on demand, asked for in the prompt: `[sim: latency=8s, submit=drop, webhook=dup:100]`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum


class Fault(StrEnum):
    """Every fault word. An argument, where one is taken, follows a colon; its default is in `DEFAULTS`."""

    FAIL_422 = "fail=422"
    FAIL_500 = "fail=500"
    FAIL_504 = "fail=504"
    FAIL_CONTENT_POLICY = "fail=content_policy"
    FAIL_ABORTED = "fail=aborted"
    """Ended before it ran, which Replicate has a word for."""

    OUTPUT_OBJECT = "output=object"
    """The file stands under a name of the model's own."""
    OUTPUT_NESTED = "output=nested"
    OUTPUT_API = "output=api"
    """The API itself serves the file, to the token alone."""

    SUBMIT_DROP = "submit=drop"
    """Accepted, then the connection is cut without an answer. The request runs and sends its webhook."""
    SUBMIT_TIMEOUT = "submit=timeout"
    """Accepted, then no answer until the client gives up (or `SimulatorSettings.submit_timeout`)."""
    SUBMIT_429 = "submit=429"
    SUBMIT_500 = "submit=500"
    """Not accepted, which a client cannot know from a 500."""
    SUBMIT_403_LOCKED = "submit=403-locked"
    SUBMIT_SLOW = "submit=slow"
    """Accepted at once, answered late."""

    WEBHOOK_LOST = "webhook=lost"
    WEBHOOK_LATE = "webhook=late"
    WEBHOOK_EARLY = "webhook=early"
    """The request ends at once and its webhook is delivered before the submission is answered."""
    WEBHOOK_DUP = "webhook=dup"
    """The first delivery is made this many times at once."""
    WEBHOOK_FORGED = "webhook=forged"
    """The only delivery is signed with a key that is not in the JWKS."""
    WEBHOOK_STALE = "webhook=stale"
    """The only delivery is signed for ten minutes ago. The studio signs no time: its first push comes once more, at the
    end."""
    WEBHOOK_REORDERED = "webhook=reordered"
    """Held until a request that was accepted later has had a delivery, at most this long."""
    WEBHOOK_PAYLOAD_ERROR = "webhook=payload_error"
    """Status OK, payload null, `payload_error` set; the result itself is fine. The studio's end comes cut off, then
    whole."""
    WEBHOOK_NO_MEDIA = "webhook=no-media"
    """Ends OK without media, in the webhook and for this long on the result; after that the media is there. The studio
    pushes its end without videos, and so much later with them."""

    RESULT_NEVER_MEDIA = "result=never-media"
    """Ends OK, and shows no media, neither in the webhook nor ever on the result."""
    RESULT_504 = "result=504"
    """A gateway in front of the provider answers the result's call this many times; the result itself is fine."""

    RESULT_NSFW = "result=nsfw"
    """The safety check of a picture's model flags every picture."""

    MEDIA_404 = "media=404"
    MEDIA_EXPIRED = "media=expired"
    """410."""
    MEDIA_TRUNCATED = "media=truncated"
    """The connection is closed after half of the bytes that Content-Length announced."""
    MEDIA_HTML = "media=html"
    """200 with a page instead of the file, and declared as one."""
    MEDIA_REDIRECT_PRIVATE = "media=redirect-private"
    """302 to a link-local address."""
    MEDIA_SLOW = "media=slow"
    """The right bytes, dripping over this long."""
    MEDIA_HUGE = "media=huge"
    """A body of 3 GiB."""
    MEDIA_WRONG_TYPE = "media=wrong-type"
    """A PDF declared as the promised type."""
    MEDIA_ROTATED = "media=rotated"
    """A video lies on its side, and says so by its display matrix, as those of phones do."""
    MEDIA_EXTRA_THUMBNAIL = "media=extra-thumbnail"
    """A picture beside the promised media, under a name of its own. The studio's pushes have no place for one."""

    UNITS_LOST = "units=lost"
    """The result does not say what was billed."""
    UNITS_NAN = "units=nan"
    UNITS_NEGATIVE = "units=negative"
    UNITS_HUGE = "units=huge"
    """1e30."""
    UNITS_DOUBLE = "units=double"
    """Twice what the input says."""
    UNITS_HALF = "units=half"

    LISTING_LATE = "listing=late"
    """Shown in the list of requests so long after its end."""
    LISTING_LOST = "listing=lost"
    LISTING_NO_INPUT = "listing=no-input"
    """Listed without its input, as where the account stores none."""

    TRANSCRIPT_LONG = "transcript=long"
    """A transcription of this many chunks of 18 words."""

    STATUS_UNKNOWN_WORD = "status=unknown-word"
    """While running the status is a word that fal does not document."""
    CANCEL_IGNORED = "cancel=ignored"
    """A running request answers 202 to a cancel and completes all the same."""

    @property
    def key(self) -> str:
        return self.value.partition("=")[0]


SIGNED_WRONG = frozenset({Fault.WEBHOOK_FORGED, Fault.WEBHOOK_STALE})
"""A delivery that is never repeated: nothing better follows."""

REPLICATES_OWN = frozenset({Fault.FAIL_ABORTED, Fault.OUTPUT_OBJECT, Fault.OUTPUT_NESTED, Fault.OUTPUT_API})
"""What can happen at Replicate alone. fal's queue refuses a prompt that asks for it."""

ALWAYS = 1_000_000_000

DEFAULTS: Mapping[Fault, int | timedelta] = {
    Fault.SUBMIT_DROP: 1,
    Fault.SUBMIT_TIMEOUT: 1,
    Fault.SUBMIT_429: 1,
    Fault.SUBMIT_500: 1,
    Fault.SUBMIT_403_LOCKED: 1,
    Fault.SUBMIT_SLOW: timedelta(seconds=5),
    Fault.WEBHOOK_LATE: timedelta(seconds=20),
    Fault.WEBHOOK_DUP: 2,
    Fault.WEBHOOK_REORDERED: timedelta(seconds=10),
    Fault.WEBHOOK_NO_MEDIA: timedelta(seconds=3),
    Fault.RESULT_504: 1,
    Fault.LISTING_LATE: timedelta(seconds=20),
    Fault.MEDIA_404: ALWAYS,
    Fault.MEDIA_EXPIRED: ALWAYS,
    Fault.MEDIA_TRUNCATED: ALWAYS,
    Fault.MEDIA_HTML: ALWAYS,
    Fault.MEDIA_REDIRECT_PRIVATE: ALWAYS,
    Fault.MEDIA_SLOW: timedelta(seconds=10),
    Fault.MEDIA_HUGE: ALWAYS,
    Fault.MEDIA_WRONG_TYPE: ALWAYS,
    Fault.TRANSCRIPT_LONG: 15_000,
}
"""The argument of a fault: a duration, or how many times. For `submit=` that counts the POSTs of one job and for
`media=` the downloads of one file that are hit before all is well again, for `result=` the calls of the ended request's
result, for `transcript=` the chunks. Faults that are
not here take no argument."""

COMBINABLE = frozenset({"webhook"})
DIRECTIVE = re.compile(r"\[sim:([^\]]*)\]", re.IGNORECASE)
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)")
UNITS = {"ms": timedelta(milliseconds=1), "s": timedelta(seconds=1), "m": timedelta(minutes=1)}


class UnknownFault(ValueError):
    """A directive says something that this simulator does not know."""


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What one prompt asks for."""

    latency: timedelta | None = None
    times: Mapping[Fault, int] = field(default_factory=dict)
    delays: Mapping[Fault, timedelta] = field(default_factory=dict)
    asked: frozenset[Fault] = frozenset()

    def __contains__(self, fault: Fault) -> bool:
        return fault in self.asked

    def one_of(self, key: str) -> Fault | None:
        """The fault asked for under a key that takes a single word."""
        return next((fault for fault in self.asked if fault.key == key), None)


def parse_faults(text: str) -> Faults:
    """Read every `[sim: ...]` in a text. Raises: UnknownFault."""
    if text.lower().count("[sim:") != len(directives := DIRECTIVE.findall(text)):
        raise UnknownFault("[sim: ...] is not closed")
    latency, times, delays = None, {}, {}
    asked: list[Fault] = []
    for entry in filter(None, (part.strip() for directive in directives for part in directive.split(","))):
        if entry.startswith("latency="):
            latency = _duration(entry.removeprefix("latency="), entry)
            continue
        fault, argument = _fault(entry)
        asked.append(fault)
        if isinstance(argument, timedelta):
            delays[fault] = argument
        elif argument is not None:
            times[fault] = argument
    _refuse_contradictions(asked)
    return Faults(latency=latency, times=times, delays=delays, asked=frozenset(asked))


def _fault(entry: str) -> tuple[Fault, int | timedelta | None]:
    word, colon, argument = entry.partition(":")
    try:
        fault = Fault(word)
    except ValueError:
        known = ", ".join(["latency=8s", *Fault])
        raise UnknownFault(f"unknown fault {entry!r}; known: {known}") from None
    default = DEFAULTS.get(fault)
    if not colon:
        return fault, default
    if isinstance(default, timedelta):
        return fault, _duration(argument, entry)
    if default is None or not argument.isdecimal() or int(argument) == 0:
        raise UnknownFault(f"{entry!r}: {argument!r} is no argument of {fault}")
    return fault, int(argument)


def _duration(text: str, entry: str) -> timedelta:
    match = DURATION.fullmatch(text)
    if match is None:
        raise UnknownFault(f"{entry!r}: a duration looks like 500ms, 8s or 2m")
    return float(match[1]) * UNITS[match[2]]


def _refuse_contradictions(asked: list[Fault]) -> None:
    single = [fault.key for fault in asked if fault.key not in COMBINABLE]
    for key in single:
        if single.count(key) > 1:
            raise UnknownFault(f"{key}= can be asked for once")

"""What we make of an inbound webhook: in code, in its column, in metrics and in answers."""

from enum import StrEnum
from http import HTTPStatus


class Verdict(StrEnum):
    ACCEPTED = "accepted"
    """Its workflow, or its row, has it."""
    DEFERRED = "deferred"
    """Durable in the inbox; its workflow gets it from there."""
    DUPLICATE = "duplicate"
    """The job has ended, or its end is known."""
    RUNNING = "running"
    """Nothing follows from it: the request has not ended."""
    IGNORED = "ignored"
    """Nothing follows from it: it says nothing new."""
    UNKNOWN = "unknown"
    """There is no such job."""
    AMBIGUOUS = "ambiguous"
    """It names a job by a name that several users have given."""
    MALFORMED = "malformed"
    FORGED = "forged"
    STALE = "stale"
    WRONG_TOKEN = "wrong_token"
    MISMATCH = "mismatch"
    """Genuine, but its request is not the attempt's."""
    UNVERIFIABLE = "unverifiable"
    """The provider's keys cannot be fetched at the moment."""
    UNAVAILABLE = "unavailable"
    """Nothing of ours could take it."""

    @property
    def status(self) -> HTTPStatus:
        """What its sender is answered. 2xx: it need not be sent again."""
        return STATUSES[self]


STATUSES = {
    Verdict.ACCEPTED: HTTPStatus.OK,
    Verdict.DEFERRED: HTTPStatus.OK,
    Verdict.DUPLICATE: HTTPStatus.OK,
    Verdict.RUNNING: HTTPStatus.OK,
    Verdict.IGNORED: HTTPStatus.OK,
    Verdict.UNKNOWN: HTTPStatus.NOT_FOUND,
    Verdict.AMBIGUOUS: HTTPStatus.CONFLICT,
    Verdict.MALFORMED: HTTPStatus.BAD_REQUEST,
    Verdict.FORGED: HTTPStatus.UNAUTHORIZED,
    Verdict.STALE: HTTPStatus.UNAUTHORIZED,
    Verdict.WRONG_TOKEN: HTTPStatus.UNAUTHORIZED,
    Verdict.MISMATCH: HTTPStatus.UNAUTHORIZED,
    Verdict.UNVERIFIABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Verdict.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}

"""What we make of an inbound webhook: in code, in its column, in metrics and in answers."""

from enum import StrEnum
from http import HTTPStatus


class Verdict(StrEnum):
    """What was made of an inbound webhook.

    - `accepted`: its workflow, or its row, has it.
    - `deferred`: stored in the inbox; its workflow gets it from there.
    - `duplicate`: the job has ended, or its end is known.
    - `running`: nothing follows from it, because the request has not ended.
    - `ignored`: nothing follows from it, because it says nothing new.
    - `unknown`: there is no such job.
    - `ambiguous`: it names a job by a name that several users have given.
    - `malformed`: it cannot be read.
    - `forged`: its signature does not match.
    - `stale`: its timestamp is too far from the current time.
    - `wrong_token`: the token in its URL does not match.
    - `mismatch`: it is genuine, but its request is not the attempt's.
    - `unverifiable`: the provider's keys cannot be fetched at the moment.
    - `unavailable`: it could not be stored.
    """

    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    DUPLICATE = "duplicate"
    RUNNING = "running"
    IGNORED = "ignored"
    UNKNOWN = "unknown"
    AMBIGUOUS = "ambiguous"
    MALFORMED = "malformed"
    FORGED = "forged"
    STALE = "stale"
    WRONG_TOKEN = "wrong_token"
    MISMATCH = "mismatch"
    UNVERIFIABLE = "unverifiable"
    UNAVAILABLE = "unavailable"

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

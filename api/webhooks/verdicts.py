"""What we make of an inbound webhook, and what its sender is answered."""

from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

from api.webhooks.inbox import Handover
from reelay.providers.errors import Forged, KeysUnavailable, Malformed, Stale


@dataclass(frozen=True)
class Verdict:
    """What we made of a delivery."""

    word: str
    status: HTTPStatus
    detail: str = ""
    job_id: UUID | None = None
    attempt: int | None = None
    request_id: str | None = None


REJECTIONS = {
    Malformed: ("malformed", HTTPStatus.BAD_REQUEST),
    Forged: ("forged", HTTPStatus.UNAUTHORIZED),
    Stale: ("stale", HTTPStatus.UNAUTHORIZED),
    KeysUnavailable: ("unverifiable", HTTPStatus.SERVICE_UNAVAILABLE),
}
HANDOVERS = {
    Handover.ACCEPTED: (HTTPStatus.OK, ""),
    Handover.DUPLICATE: (HTTPStatus.OK, "The job has ended."),
    Handover.UNKNOWN: (HTTPStatus.NOT_FOUND, "No such job."),
}
DEFERRED, UNAVAILABLE, IGNORED, MISMATCH = "deferred", "unavailable", "ignored", "mismatch"
AMBIGUOUS = "ambiguous"
"""It names a job by a name that several users have given."""
RUNNING = "running"
"""Nothing follows from it: the request has not ended."""

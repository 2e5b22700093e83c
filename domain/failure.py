"""Why a generation ended without its media."""

from dataclasses import dataclass
from enum import StrEnum


class FailureCode(StrEnum):
    """The job's `errorCode`. Also the Temporal error type of the failed run."""

    PROVIDER_REJECTED = "provider_rejected"
    """The provider refused the input, at submission or while running (422 and other 4xx)."""
    CONTENT_POLICY = "content_policy_violation"
    PROVIDER_ERROR = "provider_error"
    """The provider tried and failed (5xx of the model, timeout of its runner)."""
    PROVIDER_UNAUTHORIZED = "provider_unauthorized"
    """The provider does not accept our key. An operator has to act."""
    UNKNOWN_OUTCOME = "unknown_outcome"
    """A submission was sent, its answer was lost, and nothing proved within the window that it was accepted."""
    DEADLINE_EXCEEDED = "deadline_exceeded"
    RESULT_EXPIRED = "result_expired"
    """The provider no longer has the result."""
    BAD_MEDIA = "bad_media"
    """What the provider serves is not playable media of the promised kind."""
    ARCHIVE_FAILED = "archive_failed"
    """The media could not be copied into our storage for as long as its source lived."""
    CANCELED = "canceled"
    """The provider's request was canceled there, not by us."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    code: FailureCode
    message: str
    """For the caller to read: what happened and what to do. Never a secret, never a stack trace."""

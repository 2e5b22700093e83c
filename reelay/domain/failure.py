"""Why a generation ended without its media."""

from dataclasses import dataclass
from enum import StrEnum


class FailureCode(StrEnum):
    """Why a job ended without its media. Also the Temporal error type of the failed run.

    - `provider_rejected`: the provider refused the input, at submission or while running (422 and other 4xx).
    - `content_policy_violation`: the provider's rules refuse the input.
    - `input_unavailable`: a file of the user's that is an input is gone, or cannot be given to the provider.
    - `provider_error`: the provider tried and failed (5xx of the model, timeout of its runner).
    - `provider_unauthorized`: the provider does not accept the service's key; an operator has to act.
    - `unknown_outcome`: the submission's answer was lost, and nothing proved in time that it was accepted.
    - `wait_expired`: it could not be submitted in time; the provider was not reachable, or took nothing.
    - `deadline_exceeded`: the provider did not finish in time.
    - `no_media`: the provider says completed, and showed no media until the deadline.
    - `result_expired`: the provider no longer has the result.
    - `bad_media`: what the provider serves is not playable media of the promised kind.
    - `result_flagged`: the provider's safety check flagged the result, and flagged results are not kept here.
    - `archive_failed`: the media could not be stored for as long as the provider kept it.
    - `internal_error`: the service failed at it in a way that no retry mends.
    - `run_stopped`: Temporal ended its workflow, or its workflow could not go on, before the job was finished.
    - `canceled`: the job was canceled, here or at the provider.
    """

    PROVIDER_REJECTED = "provider_rejected"
    CONTENT_POLICY = "content_policy_violation"
    INPUT_UNAVAILABLE = "input_unavailable"
    PROVIDER_ERROR = "provider_error"
    PROVIDER_UNAUTHORIZED = "provider_unauthorized"
    UNKNOWN_OUTCOME = "unknown_outcome"
    WAIT_EXPIRED = "wait_expired"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    NO_MEDIA = "no_media"
    RESULT_EXPIRED = "result_expired"
    BAD_MEDIA = "bad_media"
    RESULT_FLAGGED = "result_flagged"
    ARCHIVE_FAILED = "archive_failed"
    INTERNAL_ERROR = "internal_error"
    RUN_STOPPED = "run_stopped"
    CANCELED = "canceled"

    @property
    def may_fall_back(self) -> bool:
        """Whether it is the provider's own failure, of which nothing was bought: another model may do it."""
        return self in PROVIDERS_OWN

    @property
    def is_verdict_on_input(self) -> bool:
        """Whether the input is refused: no other model is asked to take it."""
        return self in VERDICTS_ON_INPUT

    @property
    def advice(self) -> str:
        """For operators: what to check, and whether a retry helps."""
        return ADVICE[self]


PROVIDERS_OWN = frozenset({FailureCode.PROVIDER_ERROR, FailureCode.PROVIDER_UNAUTHORIZED, FailureCode.WAIT_EXPIRED})
MAY_LEAVE_RESULT = frozenset(
    {
        FailureCode.DEADLINE_EXCEEDED,
        FailureCode.ARCHIVE_FAILED,
        FailureCode.INTERNAL_ERROR,
        FailureCode.RUN_STOPPED,
        FailureCode.CANCELED,
    }
)
"""After which its provider may have a usable result all the same."""
VERDICTS_ON_INPUT = frozenset(
    {
        FailureCode.PROVIDER_REJECTED,
        FailureCode.CONTENT_POLICY,
        FailureCode.RESULT_FLAGGED,
        FailureCode.INPUT_UNAVAILABLE,
    }
)
# For operators, in the Temporal UI and in /admin. What a user can do about a code stands in `messages/jobs.toml`.
ADVICE = {
    FailureCode.PROVIDER_REJECTED: "The input is at fault: its user has to change it. A retry alone does not help.",
    FailureCode.CONTENT_POLICY: "The provider's rules refuse the input: its user has to reword it.",
    FailureCode.INPUT_UNAVAILABLE: (
        "Nothing was submitted. Either the file was deleted, or it is too large for the provider's upload: give the "
        "bucket a public endpoint, ARCHIVE_PUBLIC_URL."
    ),
    FailureCode.PROVIDER_ERROR: "The provider's model failed. A retry helps unless many fail: see its status page.",
    FailureCode.PROVIDER_UNAUTHORIZED: (
        "The provider refuses our key. Set a valid one, restart the workers, then retry the job."
    ),
    FailureCode.UNKNOWN_OUTCOME: (
        "Look in the provider's dashboard for a request of that time: one that is there was charged, although "
        "the user was not charged; the user may retry."
    ),
    FailureCode.WAIT_EXPIRED: (
        "Nothing was submitted. The job's history has what the provider answered each time: a locked account, an "
        "outage. Retry once it is over."
    ),
    FailureCode.DEADLINE_EXCEEDED: "The provider was asked to stop. See how long its queue is. A retry submits again.",
    FailureCode.NO_MEDIA: (
        "Open its result at the provider: either it is empty, and a retry helps, or its media stands where the model's "
        "mapping does not look."
    ),
    FailureCode.RESULT_EXPIRED: "It was fetched too late, or its address was wrong. A retry generates it again.",
    FailureCode.BAD_MEDIA: "Open the provider's address of it: what lies there is not what was asked for. Retry.",
    FailureCode.RESULT_FLAGGED: (
        "By FLAGGED_RESULTS=fail nothing is kept of it. To the provider it is a success: its user was charged as usual."
    ),
    FailureCode.ARCHIVE_FAILED: (
        "The media was paid for and could not be stored within the archive window. Repair the bucket or its "
        "credentials, then retry: while the provider has the result, it is fetched and not bought again."
    ),
    FailureCode.INTERNAL_ERROR: (
        "A mistake of the service: the log has it with its stack trace, under this job's id. Retry once it is mended."
    ),
    FailureCode.RUN_STOPPED: (
        "Nobody canceled it. The job's history says what ended its workflow: see in the Temporal UI what it did last. "
        "What the provider had made was paid for: where it has it, a retry fetches it; else it submits again."
    ),
    FailureCode.CANCELED: "Somebody canceled it at the provider, not here. A retry submits again.",
}


@dataclass(frozen=True, kw_only=True)
class Failure:
    code: FailureCode
    message: str
    """For the caller to read: what happened and what to do. Never a secret, never a stack trace."""

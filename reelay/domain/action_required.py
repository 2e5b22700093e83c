"""Why an operator has to act on a generation, and how."""

from enum import StrEnum

from reelay.domain.failure import FailureCode


class ActionRequired(StrEnum):
    """What keeps a job from going on; the last five are of jobs that ended so, and named like their `errorCode`."""

    NOT_STARTED = "not_started"
    EXTERNAL = "external"
    ACCOUNT_PARKED = "account_parked"
    UNCERTAIN = "uncertain"
    ARCHIVE_STUCK = "archive_stuck"
    OVERDUE = "overdue"
    UNKNOWN_OUTCOME = FailureCode.UNKNOWN_OUTCOME.value
    PROVIDER_UNAUTHORIZED = FailureCode.PROVIDER_UNAUTHORIZED.value
    ARCHIVE_FAILED = FailureCode.ARCHIVE_FAILED.value
    INTERNAL_ERROR = FailureCode.INTERNAL_ERROR.value
    RUN_STOPPED = FailureCode.RUN_STOPPED.value

    @property
    def advice(self) -> str:
        return ADVICE.get(self) or FailureCode(self).advice


ADVICE = {
    ActionRequired.NOT_STARTED: (
        "No workflow has taken it for five minutes. See whether Temporal answers and a worker runs: the API starts it "
        "by itself as soon as they do."
    ),
    ActionRequired.EXTERNAL: (
        "Another backend wrote it, without a provider's request: perhaps it is about to send it, so Reelay does not. "
        "If nobody will, `reelay start <job>` lets Reelay submit it."
    ),
    ActionRequired.ACCOUNT_PARKED: (
        "The provider has locked our account. Settle that with the provider (balance, limits), then resume the "
        "account: nothing was charged meanwhile."
    ),
    ActionRequired.UNCERTAIN: (
        "The answer to the paid POST was lost. Nothing to do yet: its webhook or the provider's list decides within "
        "the adoption window."
    ),
    ActionRequired.ARCHIVE_STUCK: (
        "Its media cannot be copied. See the pending activity's last failure in the Temporal UI: mostly the bucket or "
        "its credentials. It continues by itself once that is repaired."
    ),
    ActionRequired.OVERDUE: (
        "It lives beyond its deadline. See in the Temporal UI which activity is pending and why; terminate the run "
        "there only if it cannot continue: the reconciliation then ends the job and releases its credits."
    ),
}

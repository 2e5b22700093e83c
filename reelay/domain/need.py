"""Why a generation needs somebody's hand, and what that hand should do."""

from enum import StrEnum


class Need(StrEnum):
    """The first six are of living generations, the others of ended ones and named like their failure."""

    NOT_STARTED = "not_started"
    EXTERNAL = "external"
    ACCOUNT_PARKED = "account_parked"
    UNCERTAIN = "uncertain"
    ARCHIVE_STUCK = "archive_stuck"
    OVERDUE = "overdue"
    UNKNOWN_OUTCOME = "unknown_outcome"
    PROVIDER_UNAUTHORIZED = "provider_unauthorized"
    ARCHIVE_FAILED = "archive_failed"

    @property
    def advice(self) -> str:
        return ADVICE[self]


ADVICE = {
    Need.NOT_STARTED: (
        "No workflow has taken it for five minutes. See whether Temporal answers and a worker runs: the API starts it "
        "by itself as soon as they do."
    ),
    Need.EXTERNAL: (
        "Another backend wrote it, without a provider's request: perhaps it is about to send it, so Reelay does not. "
        "If nobody will, `reelay start <job>` lets Reelay submit it."
    ),
    Need.ACCOUNT_PARKED: (
        "The provider has locked our account. Settle that with the provider (balance, limits), then resume the "
        "account: nothing was bought meanwhile."
    ),
    Need.UNCERTAIN: (
        "The answer to the paid POST was lost. Nothing to do yet: its webhook or the provider's list decides within "
        "the adoption window."
    ),
    Need.ARCHIVE_STUCK: (
        "Its media cannot be copied. See the pending step's last failure in the Temporal UI: mostly the bucket or its "
        "credentials. It goes on by itself once that is mended."
    ),
    Need.OVERDUE: (
        "It lives beyond its deadline. See in the Temporal UI which step is pending and why; terminate the run there "
        "only if it cannot go on: the reconciliation then ends the job and frees its credits."
    ),
    Need.UNKNOWN_OUTCOME: (
        "Look in the provider's dashboard for a request at that time. If there is one, the provider charged it "
        "although the user was not; the user may retry."
    ),
    Need.PROVIDER_UNAUTHORIZED: (
        "The provider refuses our key. Set a valid one, restart the workers, then retry the job."
    ),
    Need.ARCHIVE_FAILED: (
        "The media was paid for and could not be stored for six hours. Mend the bucket; if the provider still serves "
        "the result, download it from there by the request id before it expires."
    ),
}

"""When a generation's row and its run have lost each other: what is to be done, decided without side effects."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from reelay.domain.failure import Failure
from reelay.domain.generation import Timing

# A run may go on after its deadline: an adoption window, then six hours of archiving at most.
LONGEST_AFTERMATH = timedelta(hours=7)


class RunState(StrEnum):
    """How Temporal knows the newest run of a generation."""

    UNKNOWN = "unknown"
    """Never started, deleted by hand, or lost with Temporal's database."""
    OPEN = "open"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    TERMINATED = "terminated"
    """By an operator."""
    STOPPED = "ended by Temporal"
    """Or by us, as it could not go on. Its history had grown too long, for example."""
    TIMED_OUT = "timed out"


class SubmissionState(StrEnum):
    """What the attempts say of it."""

    NONE = "none"
    """No attempt, or one that was refused: nothing was accepted."""
    UNCERTAIN = "uncertain"
    ACCEPTED = "accepted"


class Repair(StrEnum):
    LEAVE = "left"
    START = "started"
    RESUME = "resumed"
    """A new run, whose submit activity finds what was sent before instead of sending it."""
    CANCEL = "canceled"
    FAIL = "failed"


@dataclass(frozen=True, kw_only=True)
class Run:
    """The newest run of a generation, as Temporal describes it."""

    state: RunState
    failing: bool = False
    """Open, but its code raises again and again: ours to mend, not to restart."""
    broken: bool = False
    """Failing, and for so long that its generation is given up."""
    end_reason: str = ""
    """Why it was stopped."""
    failure: Failure | None = None
    """Of a failed one."""


@dataclass(frozen=True, kw_only=True)
class Reconciled:
    """What one pass found, for the engineer at the Temporal UI. Each generation counts once as `checked`."""

    checked: int = 0
    started: int = 0
    resumed: int = 0
    ended: int = 0
    left: int = 0
    failing: int = 0
    """Of those left: their workflow's code raises."""
    overdue: int = 0
    """Of those left: open for longer than any run should be."""
    taken_over: int = 0
    """Requests that another backend submitted, and that are followed from now on."""
    deliveries_deleted: int = 0
    """Webhook deliveries that were old enough."""
    holds_ended: int = 0
    """Ended, with credits that were still held. No code of Reelay leaves any."""


def decide(run: RunState, submission: SubmissionState) -> Repair:
    """What a generation needs whose row is open. `docs/decisions/006-reconciliation.md` has the reasons."""
    match run:
        case RunState.OPEN:
            return Repair.LEAVE
        case RunState.UNKNOWN:
            return Repair.START if submission is SubmissionState.NONE else Repair.RESUME
        case RunState.COMPLETED:
            # The run had submitted something, or it would not have completed: without its attempt, nothing may be sent.
            return Repair.FAIL if submission is SubmissionState.NONE else Repair.RESUME
        case RunState.CANCELED | RunState.TERMINATED:
            return Repair.CANCEL
        case RunState.FAILED | RunState.TIMED_OUT | RunState.STOPPED:
            return Repair.FAIL


def is_overdue(created_at: datetime, submitted_at: datetime | None, timing: Timing, now: datetime) -> bool:
    """Whether its run should have ended long ago."""
    gives_up_at = submitted_at + timing.deadline if submitted_at else created_at + timing.submission_window
    return now > gives_up_at + LONGEST_AFTERMATH

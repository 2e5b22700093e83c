"""How an activity fails: the one place where our errors become retries or final failures.

The error type of a final failure is the generation's `FailureCode`; the workflow reads it back with `failure_of`.
"""

import random
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ActivityError, ApplicationError, ApplicationErrorCategory

from reelay.domain.failure import Failure, FailureCode
from reelay.providers.errors import NotAccepted

SUBMISSION_UNCERTAIN = "SubmissionUncertain"
SLOT_UNAVAILABLE = "SlotUnavailable"
INPUT_FILES_NEEDED = "InputFilesNeeded"
STILL_RUNNING = "StillRunning"
NOT_LISTED = "NotListed"
WAITING = "Waiting"
NOTHING_SENT = frozenset(
    {
        *FailureCode,
        *(refusal.__name__ for refusal in NotAccepted.__subclasses__()),
        WAITING,
        STILL_RUNNING,
        SLOT_UNAVAILABLE,
        INPUT_FILES_NEEDED,
    }
)
"""Types of the last error of a submission that the provider has not accepted; of an `internal_error` that is not known,
but it ends the job."""
LONGEST_BACKOFF = timedelta(minutes=1)
LONGEST_DOUBLINGS = 12
# What the other side asks for, a Retry-After of a day for instance, is honoured up to this: things change sooner.
LONGEST_PAUSE = timedelta(minutes=5)


def non_retryable(failure: Failure) -> ApplicationError:
    """Fails the generation: no retry will change this."""
    # What to do stands in the details: engineers see it in the Temporal UI, beside what happened.
    return ApplicationError(failure.message, failure.code.advice, type=failure.code, non_retryable=True)


def try_again(
    error: Exception, *, after: timedelta | None = None, at_most: timedelta = LONGEST_BACKOFF
) -> ApplicationError:
    """A passing error: retried after what the other side asked for, else after a growing, jittered pause, `at_most`."""
    # Spread: many were given the same moment.
    pause = min(after, LONGEST_PAUSE) * (1 + random.random() / 4) if after else _backoff(at_most)
    return ApplicationError(str(error), type=type(error).__name__, next_retry_delay=pause)


def retry_later(what: str, *, after: timedelta) -> ApplicationError:
    """The account takes no submissions yet: no warning in the log, no failure in the metrics."""
    return ApplicationError(what, type=WAITING, next_retry_delay=after, category=ApplicationErrorCategory.BENIGN)


def still_running(message: str, *, ask_again_in: timedelta) -> ApplicationError:
    """Nothing is wrong, the provider is not done yet: no warning in the log, no failure in the metrics."""
    return ApplicationError(
        message, type=STILL_RUNNING, next_retry_delay=ask_again_in, category=ApplicationErrorCategory.BENIGN
    )


def submission_uncertain(message: str) -> ApplicationError:
    """The submission may have been accepted: only the workflow decides what happens now."""
    return ApplicationError(message, type=SUBMISSION_UNCERTAIN, non_retryable=True)


def not_sent_in_time(provider: str) -> ApplicationError:
    """Fails the generation: nothing was sent, and nothing will be."""
    return non_retryable(Failure(code=FailureCode.WAIT_EXPIRED, message=f"It was not sent to {provider} in time"))


def slot_unavailable(message: str) -> ApplicationError:
    """Nothing was sent, and nothing is to be tried until the generation is called."""
    return ApplicationError(
        message, type=SLOT_UNAVAILABLE, non_retryable=True, category=ApplicationErrorCategory.BENIGN
    )


def input_files_needed() -> ApplicationError:
    """Nothing was sent: the provider has first to be given the files that are inputs."""
    return ApplicationError(
        "The input files are not at the provider yet, or no longer",
        type=INPUT_FILES_NEEDED,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN,
    )


def request_list_unavailable(message: str) -> ApplicationError:
    """Asking again will not help, but nothing has ended: there are other ways to find a request."""
    return ApplicationError(message, type=NOT_LISTED, non_retryable=True, category=ApplicationErrorCategory.BENIGN)


def _backoff(at_most: timedelta) -> timedelta:
    # Full jitter, so that a thousand generations do not all come back to a healed provider in the same second.
    ceiling = min(at_most, timedelta(seconds=2 ** min(activity.info().attempt, LONGEST_DOUBLINGS)))
    return timedelta(seconds=0.5) + ceiling * random.random()


def failure_of(error: BaseException, *, otherwise: FailureCode) -> Failure:
    """The failure with which an activity ended; `otherwise` when its retries ran out of time."""
    return _failure_from(error) or Failure(code=otherwise, message=f"Gave up: {_cause_of(error)}")


def is_non_retryable(error: BaseException) -> bool:
    """Whether the activity failed with `non_retryable`."""
    return _failure_from(error) is not None


def is_slot_unavailable(error: BaseException) -> bool:
    """Whether the activity failed with `slot_unavailable`."""
    cause = _cause_of(error)
    return isinstance(cause, ApplicationError) and cause.type == SLOT_UNAVAILABLE


def needs_input_files(error: BaseException) -> bool:
    """Whether the activity failed with `input_files_needed`."""
    cause = _cause_of(error)
    return isinstance(cause, ApplicationError) and cause.type == INPUT_FILES_NEEDED


def is_wait_expired(error: BaseException) -> bool:
    """Whether the activity failed as `not_sent_in_time`, or in the same way."""
    failure = _failure_from(error)
    return failure is not None and failure.code is FailureCode.WAIT_EXPIRED


def proves_nothing_sent(error: BaseException) -> bool:
    """Whether the submission failed with one of `NOTHING_SENT`."""
    cause = _cause_of(error)
    return isinstance(cause, ApplicationError) and cause.type in NOTHING_SENT


def _failure_from(error: BaseException) -> Failure | None:
    cause = _cause_of(error)
    if isinstance(cause, ApplicationError) and cause.type in set(FailureCode):
        return Failure(code=FailureCode(cause.type), message=cause.message)
    return None


def _cause_of(error: BaseException) -> BaseException:
    return error.__cause__ if isinstance(error, ActivityError) and error.__cause__ else error

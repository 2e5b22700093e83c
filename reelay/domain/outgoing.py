"""What is told to the users' own backends, and when it is tried again."""

import random
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

JITTER = 0.1
"""Of a pause: so much may be added to it, so that what failed together is not tried again together."""
LONGEST_RETRY_AFTER = timedelta(hours=24)
FAILING_UNTIL_DISABLED = timedelta(days=5)
STILL_FAILING = timedelta(hours=30)
"""A failure that is longer ago than the schedule's longest pause is another one's, and not the same outage."""


class EventType(StrEnum):
    JOB_SUBMITTED = "job.submitted"
    JOB_COMPLETED = "job.completed"
    JOB_FAILED = "job.failed"
    JOB_CANCELED = "job.canceled"
    BATCH_COMPLETED = "batch.completed"
    PIPELINE_COMPLETED = "pipeline.completed"
    PIPELINE_FAILED = "pipeline.failed"
    PIPELINE_WAITING_FOR_APPROVAL = "pipeline.waiting_for_approval"
    WEBHOOK_TEST = "webhook.test"


NOT_LOGGED = (EventType.JOB_SUBMITTED, EventType.WEBHOOK_TEST)
"""The event log has what one catches up with: how things ended."""


class EndpointStatus(StrEnum):
    UNVERIFIED = "unverified"
    """It has not answered a test yet, and is sent nothing else."""
    ENABLED = "enabled"
    DISABLED = "disabled"


class DisabledReason(StrEnum):
    REQUESTED = "requested"
    """By its owner."""
    GONE = "gone"
    """It answered 410."""
    FAILING = "failing"
    """It failed for five days."""


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    """The last attempt of the schedule failed, too."""


class AttemptOutcome(StrEnum):
    DELIVERED = "delivered"
    REFUSED = "refused"
    """The receiver answered, but not 2xx."""
    TIMED_OUT = "timed_out"
    NOT_CONNECTED = "not_connected"
    """No connection, or it broke off."""
    NOT_ALLOWED = "not_allowed"
    """The address is none of the public internet."""
    NOT_COMPOSED = "not_composed"
    """A mistake of ours: nothing was sent."""


def pause_before(attempt: int, schedule: Sequence[timedelta], retry_after: timedelta | None = None) -> timedelta | None:
    """How long to wait before the attempt of that number, from 1; None when the schedule has no more.

    A receiver's own wish lengthens the pause, and shortens none.
    """
    if attempt > len(schedule):
        return None
    pause = schedule[attempt - 1] * (1 + JITTER * random.random())
    return max(pause, min(retry_after or timedelta(0), LONGEST_RETRY_AFTER))

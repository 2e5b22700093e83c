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
    """What happened: to a job, a batch or a pipeline; `webhook.test` is sent when an endpoint is to be tried."""

    JOB_SUBMITTED = "job.submitted"
    JOB_COMPLETED = "job.completed"
    JOB_FAILED = "job.failed"
    JOB_CANCELED = "job.canceled"
    BATCH_COMPLETED = "batch.completed"
    PIPELINE_COMPLETED = "pipeline.completed"
    PIPELINE_FAILED = "pipeline.failed"
    PIPELINE_WAITING_FOR_APPROVAL = "pipeline.waiting_for_approval"
    WEBHOOK_TEST = "webhook.test"


NOT_LOGGED = (EventType.JOB_SUBMITTED, EventType.PIPELINE_WAITING_FOR_APPROVAL, EventType.WEBHOOK_TEST)
"""The event log has what one catches up with: how things ended."""


class WebhookFormat(StrEnum):
    """Whose words a job's own address is told in, where they are not ours."""

    FAL = "fal"
    OPENAI = "openai"


class EndpointStatus(StrEnum):
    """Where a webhook endpoint stands.

    - `unverified`: it has not answered a test yet, and is sent nothing else; what happens waits.
    - `enabled`: it is sent what happens.
    - `disabled`: it is sent nothing; `disabledReason` says why.
    """

    UNVERIFIED = "unverified"
    ENABLED = "enabled"
    DISABLED = "disabled"


class DisabledReason(StrEnum):
    """Why a webhook endpoint is disabled.

    - `requested`: its owner asked for it.
    - `gone`: it answered 410.
    - `failing`: it failed for five days, or at every attempt of the test that would have verified it.
    """

    REQUESTED = "requested"
    GONE = "gone"
    FAILING = "failing"


class DeliveryState(StrEnum):
    """Where a delivery stands.

    - `pending`: it is sent, or sent again when its time has come.
    - `delivered`: the receiver has answered 2xx.
    - `failed`: the last attempt of the schedule failed, too.
    """

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class AttemptOutcome(StrEnum):
    """What became of one attempt of a delivery.

    - `delivered`: the receiver answered 2xx.
    - `refused`: it answered, but not 2xx.
    - `timed_out`: it did not answer in time.
    - `not_connected`: there was no connection, or it broke off.
    - `not_allowed`: its address is none of the public internet.
    - `not_composed`: a mistake of the service: nothing was sent.
    """

    DELIVERED = "delivered"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    NOT_CONNECTED = "not_connected"
    NOT_ALLOWED = "not_allowed"
    NOT_COMPOSED = "not_composed"


def pause_before(attempt: int, schedule: Sequence[timedelta], retry_after: timedelta | None = None) -> timedelta | None:
    """How long to wait before the attempt of that number, from 1; None when the schedule has no more.

    A receiver's own wish lengthens the pause, and shortens none.
    """
    if attempt > len(schedule):
        return None
    pause = schedule[attempt - 1] * (1 + JITTER * random.random())
    return max(pause, min(retry_after or timedelta(0), LONGEST_RETRY_AFTER))

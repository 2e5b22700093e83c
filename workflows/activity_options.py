"""What each kind of call of an activity may take, by name, and the ids of the activities."""

from datetime import timedelta
from typing import Unpack

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType, ActivityConfig

# For our own outages, a Postgres that restarts for instance. Activities say themselves when a provider's are over;
# Temporal counts those attempts, too, and its pause of 100 s after the eighth would not fit before a near deadline.
FAST_RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10))
# One transaction in our own database, repeated until it is written.
DB_WRITE = ActivityConfig(start_to_close_timeout=timedelta(seconds=30), retry_policy=FAST_RETRY)
# The paid POST: the provider may take its time (`FAL_TIMEOUT_MS`); a dead worker is noticed by the heartbeat.
SUBMIT = ActivityConfig(
    start_to_close_timeout=timedelta(minutes=6),
    heartbeat_timeout=timedelta(seconds=15),
    retry_policy=FAST_RETRY,
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
# One short GET.
POLL_TIMEOUT = timedelta(seconds=30)
POLL = ActivityConfig(start_to_close_timeout=POLL_TIMEOUT)
# A webhook has named the request, which only has to be written down. What it found although it was canceled counts.
ADOPTION = ActivityConfig(
    start_to_close_timeout=POLL_TIMEOUT,
    retry_policy=FAST_RETRY,
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
# Like a poll, but what it found although it was canceled counts.
SEARCH = ActivityConfig(
    start_to_close_timeout=POLL_TIMEOUT,
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
# A best effort: without an answer the generation ends all the same.
BEST_EFFORT = ActivityConfig(
    start_to_close_timeout=timedelta(seconds=15),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=3),
)
# Fetch, download, probe, store: retried for as long as the generation's timing says.
ARCHIVE = ActivityConfig(
    start_to_close_timeout=timedelta(hours=1),
    heartbeat_timeout=timedelta(seconds=15),
    retry_policy=FAST_RETRY,
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)


def every(interval: timedelta) -> RetryPolicy:
    """The retries of an activity that fails until it finds something: its retries are the polling."""
    return RetryPolicy(initial_interval=interval, backoff_coefficient=1)


def with_activity_id(config: ActivityConfig, name: str, **more: Unpack[ActivityConfig]) -> ActivityConfig:
    """The activity under an id that never changes: renaming one breaks the replay of running generations."""
    return {**config, **more, "activity_id": name}

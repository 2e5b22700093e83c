"""Every activity, seen from outside: what it took and how it ended, as metrics; its job, in every log line.

The metrics go to the runtime of the client, see `worker.py`; without one they go nowhere. Labels are few and bounded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import structlog
from temporalio import activity
from temporalio.common import MetricMeter
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.inputs import Accepted, Adoption, Attempt, Completion, Ending, Mixing
from reelay.background import Count
from reelay.domain.failure import FailureCode
from reelay.domain.generation import Archived, Generation, Status

ActivityInput = Attempt | Adoption | Accepted | Mixing | Completion | Ending

ENDED = "reelay_generations_ended"
ACTIVITY_SECONDS = "reelay_activity_seconds"
ATTEMPTS = "reelay_activity_attempts"
ARCHIVED_BYTES = "reelay_archived_bytes"
TASK_FAILURES = "reelay_background_task_failures"
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""An activity may be over at once, or last as long as a model."""

OK, ERROR = "ok", "error"


def counting_task_failures(meter: MetricMeter) -> Count:
    counter = meter.create_counter(TASK_FAILURES, "Failures of background tasks.")
    return lambda task, count: counter.add(count, {"task": task})


class MetricsInterceptor(Interceptor):
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return ActivityMetrics(next)


class ActivityMetrics(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        payload = input.args[0] if input.args else None
        if not isinstance(payload, ActivityInput):
            return await super().execute_activity(input)
        generation, result = payload.generation, ERROR
        try:
            with log_context(generation):
                answer = await super().execute_activity(input)
            result = OK
        except ApplicationError as error:
            # One of few types: `activities/errors.py` makes them all.
            result = error.type or ERROR
            raise
        finally:
            count_attempt(generation, result)
        record_duration(generation)
        count_result(payload, answer)
        return answer


@contextmanager
def log_context(generation: Generation) -> Iterator[None]:
    """Log lines of the block name the job, the activity and its attempt."""
    info = activity.info()
    with structlog.contextvars.bound_contextvars(
        job_id=str(generation.id), activity=info.activity_type, attempt=info.attempt
    ):
        yield


def count_attempt(generation: Generation, result: str) -> None:
    labels = {"activity": activity.info().activity_type, "provider": generation.provider.value, "result": result}
    activity.metric_meter().create_counter(ATTEMPTS, "Attempts of an activity.").add(1, labels)


def record_duration(generation: Generation) -> None:
    """From the first attempt to the end, with the pauses between attempts."""
    info = activity.info()
    took = (datetime.now(UTC) - info.scheduled_time).total_seconds()
    labels = {"activity": info.activity_type, "provider": generation.provider.value}
    histogram = activity.metric_meter().create_histogram_float(
        ACTIVITY_SECONDS, "An activity, from its first attempt to its end."
    )
    histogram.record(max(took, 0.0), labels)


def count_result(payload: ActivityInput, answer: object) -> None:
    match payload, answer:
        case Completion(generation=generation), _:
            count_end(generation, Status.COMPLETED)
        case Ending(generation=generation, failure=None), _:
            count_end(generation, Status.CANCELED)
        case Ending(generation=generation, failure=failure), _ if failure:
            count_end(generation, failure.code)
        case Accepted(generation=generation), Archived(files=files):
            counter = activity.metric_meter().create_counter(ARCHIVED_BYTES, "Bytes of archived media.", "By")
            counter.add(sum(file.size_bytes for file in files), {"provider": generation.provider.value})


def count_end(generation: Generation, outcome: Status | FailureCode) -> None:
    labels = {"provider": generation.provider.value, "model": generation.model, "outcome": outcome.value}
    activity.metric_meter().create_counter(ENDED, "Generations by their end.").add(1, labels)

"""An error that nobody foresaw is no weather: it is tried a few times, and then the job ends."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.retries import TRIES, RetryInterceptor, SubmissionUnrecorded
from reelay.db.engine import PostgresUnavailable
from reelay.db.retries import INTERNAL_ERROR_OF
from reelay.domain.failure import FailureCode
from reelay.domain.generation import Generation
from tests.workflow.conftest import Start, generation
from tests.workflow.steps import Steps, running

AWAY = PostgresUnavailable("it restarts")


@dataclass
class Retries:
    """A `RetryLog` in memory."""

    reasons: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    async def record(self, generation: Generation, reason: str, *, at: datetime, **data: Any) -> bool:
        self.reasons.append(reason)
        self.counted[data.get(INTERNAL_ERROR_OF, "")] += 1
        return True

    async def internal_errors(self, generation: Generation, activity_id: str) -> int:
        return self.counted[activity_id]


def mistaken(*, after: int = 0) -> list[Any]:
    """Outcomes: it goes on as it should for so many attempts, then never again."""
    return [*[running()] * after, TypeError("unsupported operand")]


GOOD_POLLS = 30
"""Many more than there are tries."""
WHERE = {
    "submit": Steps(submits=mistaken()),
    "poll": Steps(polls=mistaken(after=GOOD_POLLS), webhook_expected=False),
    "archive": Steps(archives=mistaken(), webhook_expected=False),
    "complete": Steps(completions=mistaken(), webhook_expected=False),
}


@pytest.mark.fault("S13")
@pytest.mark.parametrize("step", WHERE)
async def test_mistake_in_an_activity_ends_the_job_after_a_few_tries(start: Start, step: str) -> None:
    steps, retries = WHERE[step], Retries()
    run = await start(steps, skipping=True, interceptors=[RetryInterceptor(retries)])

    assert await run.over() == "FAILED"
    assert steps.failed_as() is FailureCode.INTERNAL_ERROR
    assert steps.count(step) - (GOOD_POLLS if step == "poll" else 0) == TRIES
    assert retries.reasons == [f"An internal error (TypeError) in {step}"] * (TRIES - 1)
    assert steps.done[-1] == "end"
    assert ("withdraw request-1" in steps.done) == (step == "poll"), "where the provider may still be at work"


async def test_mistake_that_passes_is_outlived(start: Start) -> None:
    steps = Steps(completions=[KeyError("key")] * (TRIES - 1) + [None], webhook_expected=False)
    run = await start(steps, skipping=True, interceptors=[RetryInterceptor(Retries())])

    assert await run.over() == "COMPLETED"


async def test_outage_is_tried_for_as_long_as_it_lasts(start: Start) -> None:
    steps, retries = Steps(completions=[AWAY] * 50 + [None], webhook_expected=False), Retries()
    run = await start(steps, skipping=True, interceptors=[RetryInterceptor(retries)])

    assert await run.over() == "COMPLETED"
    assert not retries.reasons


async def test_providers_trouble_is_told_at_each_retry(start: Start) -> None:
    down = ApplicationError("fal answered HTTP 503", type="Unavailable", next_retry_delay=timedelta(seconds=30))
    steps, retries = Steps(polls=[running(), *[down] * 20, None], webhook_expected=False), Retries()
    run = await start(steps, skipping=True, interceptors=[RetryInterceptor(retries)])

    assert await run.over() == "COMPLETED"
    assert retries.reasons == ["fal answered HTTP 503"] * 20


@pytest.mark.fault("S13")
async def test_accepted_submission_that_cannot_be_written_down_is_looked_for(start: Start) -> None:
    steps = Steps(submits=[SubmissionUnrecorded("request-1")], finds=[None])
    run = await start(steps, generation(), skipping=True, interceptors=[RetryInterceptor(Retries())])

    assert await run.over() == "COMPLETED"
    assert steps.count("submit") == TRIES
    assert steps.count("find") == 1

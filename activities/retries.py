"""What becomes of an error of an activity, in one place for all of them.

- An `ApplicationError`: `activities/errors.py` has said what becomes of it.
- An outage: tried again for as long as the activity may last.
- Anything else nobody foresaw, so it is a mistake of ours, which seldom passes: tried again a few times, ever more
  rarely, and then the generation ends as `internal_error`. Each is an alarm in the log.

Whatever is tried again is a line of the job's timeline, with the reason and the time of the next attempt. There is none
of a poll that finds the provider at work, and none of Postgres' own outages: nobody could write it down.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx
import structlog
from sqlalchemy.exc import DBAPIError
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.errors import STILL_RUNNING, non_retryable, submission_uncertain
from activities.metrics import ActivityInput
from reelay.db.engine import POSTGRES_UNAVAILABLE, Sessions
from reelay.db.retries import INTERNAL_ERROR_OF, internal_errors, record_retry
from reelay.domain.failure import Failure, FailureCode
from reelay.domain.generation import Generation

INTERNAL_ERROR = "InternalError"
"""The error's type while it is tried again."""
TRIES = 8
FIRST_PAUSE = timedelta(seconds=1)
"""Doubled for each further attempt: two minutes in all."""
OUTAGES = (*POSTGRES_UNAVAILABLE, RPCError, httpx.TransportError, OSError)
MISTAKEN_STATEMENTS = ("0A", "22", "23", "42", "P0")
"""Beginnings of SQLSTATEs. All others speak of the server: a full disk, a deadlock, a standby that took over."""

log = structlog.get_logger()


class SubmissionUnrecorded(Exception):
    """The provider has accepted a submission that could not be written down."""


class RetryLog(Protocol):
    """Where retries are written down."""

    async def record(self, generation: Generation, reason: str, *, at: datetime, **data: Any) -> bool:
        """False when nothing is written down of it any more."""

    async def internal_errors(self, generation: Generation, activity_id: str) -> int:
        """How many were recorded with this id as `INTERNAL_ERROR_OF`."""


class Timeline:
    """The generation's own. Implements `RetryLog`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def record(self, generation: Generation, reason: str, *, at: datetime, **data: Any) -> bool:
        async with self._sessions.begin() as session:
            return await record_retry(session, generation.id, reason, at=at, **data)

    async def internal_errors(self, generation: Generation, activity_id: str) -> int:
        async with self._sessions() as session:
            return await internal_errors(session, generation.id, activity_id)


class RetryInterceptor(Interceptor):
    def __init__(self, retry_log: RetryLog) -> None:
        self._log = retry_log

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return Retries(next, self._log)


class Retries(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, retry_log: RetryLog) -> None:
        super().__init__(next)
        self._log = retry_log

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        payload = input.args[0] if input.args else None
        if not isinstance(payload, ActivityInput):
            return await super().execute_activity(input)
        try:
            return await super().execute_activity(input)
        except ApplicationError as error:
            if not error.non_retryable and error.type != STILL_RUNNING:
                await self._record(payload.generation, error.message, error.next_retry_delay)
            raise
        except Exception as error:
            if is_outage(error):
                raise
            log.error("internal_error", error=type(error).__name__, exc_info=True)
            raise await self._internal_error(payload.generation, error) from error

    async def _internal_error(self, generation: Generation, error: Exception) -> ApplicationError:
        what, info = f"An internal error ({type(error).__name__}) in {activity.info().activity_type}", activity.info()
        earlier = await self._log.internal_errors(generation, info.activity_id)
        pause = FIRST_PAUSE * 2 ** min(earlier, TRIES)
        if earlier + 1 < TRIES:
            is_counted = await self._record(generation, what, pause, **{INTERNAL_ERROR_OF: info.activity_id})
            if is_counted or info.attempt < TRIES:
                return ApplicationError(what, type=INTERNAL_ERROR, next_retry_delay=pause)
        if isinstance(error, SubmissionUnrecorded):
            return submission_uncertain(what)
        return non_retryable(Failure(code=FailureCode.INTERNAL_ERROR, message=what))

    async def _record(self, generation: Generation, reason: str, pause: timedelta | None, **data: Any) -> bool:
        at = datetime.now(UTC) + (pause or timedelta(0))
        if pause is None or not _is_tried_again(at):
            return False
        info = activity.info()
        try:
            return await self._log.record(
                generation, reason, at=at, activity=info.activity_type, attempt=info.attempt, **data
            )
        except OUTAGES as outage:
            log.warning("retry_not_recorded", reason=reason, error=str(outage))
            return False


def is_outage(error: BaseException) -> bool:
    """Whether it is nobody's mistake, and passes when what it speaks of is back."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        return bool(state) and not str(state).startswith(MISTAKEN_STATEMENTS)
    return isinstance(error, OUTAGES)


def _is_tried_again(at: datetime) -> bool:
    """Whether Temporal starts another attempt then."""
    info = activity.info()
    attempts_at_most = info.retry_policy.maximum_attempts if info.retry_policy else 0
    if attempts_at_most and info.attempt >= attempts_at_most:
        return False
    limit = info.schedule_to_close_timeout
    return not limit or at < info.scheduled_time + limit

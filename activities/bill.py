"""Reads what a provider has billed, and finds the jobs whose requests those were."""

from datetime import timedelta

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import try_again
from activities.heartbeat import heartbeating
from reelay.db.bill import keep_events, match_events, span_to_read
from reelay.db.engine import Sessions
from reelay.domain.bill import BillReconciled, BillToRead
from reelay.domain.generation import ProviderName
from reelay.providers.errors import Unauthorized, Unavailable
from reelay.providers.fal_bill import FalBill

HEARTBEAT = timedelta(seconds=5)
NOT_READABLE = "BillNotReadable"

log = structlog.get_logger()


class BillActivities:
    def __init__(self, sessions: Sessions, bill: FalBill | None) -> None:
        """`bill`: None where this worker has no key that may read it."""
        self._sessions = sessions
        self._bill = bill

    @activity.defn
    async def reconcile_bill(self, wanted: BillToRead) -> BillReconciled:
        """Keep what was billed, with its job. What is no job's is an error in the log. Books nothing."""
        if self._bill is None:
            raise not_readable("FAL_ADMIN_KEY is not set where transfers are worked on: nobody may read fal's bill")
        try:
            async with heartbeating(every=HEARTBEAT):
                return await self._reconcile(self._bill, wanted.days)
        except Unauthorized as error:
            raise not_readable(str(error)) from error
        except Unavailable as error:
            raise try_again(error, after=error.retry_after) from error

    async def _reconcile(self, bill: FalBill, days: int | None) -> BillReconciled:
        provider, count = ProviderName.FAL, 0
        async with self._sessions() as session:
            begins, ends = await span_to_read(session, provider, days)
        async for events in bill.pages(begins, ends):
            async with self._sessions.begin() as session:
                await keep_events(session, provider, events)
            count += len(events)
        async with self._sessions.begin() as session:
            unknown = await match_events(session, provider, begins, ends)
        if not unknown:
            return BillReconciled(events=count)
        total: int = unknown[0].total
        log.error(
            "billed_requests_unknown",
            provider=provider.value,
            requests=total,
            request_ids=[row.request_id for row in unknown],
        )
        return BillReconciled(events=count, unknown=total)


def not_readable(reason: str) -> ApplicationError:
    """An operator has to act: no retry will change this."""
    return ApplicationError(reason, type=NOT_READABLE, non_retryable=True)

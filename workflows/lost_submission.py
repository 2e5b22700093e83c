"""The search for the request of a submission whose answer was lost."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.activity_options import (
    ADOPTION,
    BEST_EFFORT,
    DB_WRITE,
    POLL_TIMEOUT,
    SEARCH,
    every,
    with_activity_id,
)
from workflows.cancellation import finish_despite_cancel, stopped, unless_canceled
from workflows.deadline import Deadline
from workflows.signals import Signals

with workflow.unsafe.imports_passed_through():
    from activities.errors import is_wait_expired
    from activities.inputs import Adoption, Attempt
    from activities.submission import SubmissionActivities
    from reelay.domain.generation import Generation, Report, Submission


class LostSubmission:
    """Two ways lead to the request: its webhook carries our token, and the provider may list it.

    A webhook that came while Temporal was away lies in the inbox; nothing is given up before a look there.
    """

    def __init__(self, generation: Generation, signals: Signals, deadline: Deadline, numbers: Counter[str]) -> None:
        """`numbers`: how many activities of each kind the run has started."""
        self.handles: list[workflow.ActivityHandle[Submission | None]] = []
        """Of the activities that may find it, also after the search was canceled."""
        self._adoptions: dict[str, workflow.ActivityHandle[Submission | None]] = {}
        """Those of them that were to take over a request, by its id."""
        self._generation = generation
        self._signals = signals
        self._deadline = deadline
        self._numbers = numbers

    async def find(self, attempt: Attempt, *, until: datetime) -> Submission | None:
        """None when neither way led to it within the window. A request to poll starts the provider's list over.

        Raises: ActivityError, as `not_sent_in_time`, when there is nothing to find.
        """
        while True:
            search = self._start_search(attempt, until=until)
            reported = await self._report_or_search_result(search, by=until)
            listed = await stopped(search)
            if reported or listed:
                return reported or listed
            if not self._signals.poll_requested or workflow.now() >= until:
                return await self._stored(attempt)

    async def adopt(self, report: Report, instead_of: Submission | None = None) -> Submission | None:
        """The request that a webhook names. None when it turns out not to be ours; it is ignored from then on."""
        adopting = self._start_adoption(report, ADOPTION, instead_of, within=self._deadline.time_left())
        # Shielded: canceled in the moment of its end, the handle would forget what it has found.
        submission = await unless_canceled(asyncio.shield(adopting))
        if submission is None:
            self._signals.ignore(report.request_id)
        return submission

    async def reported(self, attempt: Attempt) -> Submission | None:
        """The request that a webhook names which nobody has heard, now that the search is over: a last look."""
        report = self._signals.report_of(attempt.number)
        if report is None or self._is_not_ours(report):
            with suppress(ActivityError):
                report = await finish_despite_cancel(self._start_look(attempt))
        if report is None or self._is_not_ours(report):
            return None
        with suppress(ActivityError):
            return await finish_despite_cancel(self._start_adoption(report, BEST_EFFORT))
        return None

    async def _stored(self, attempt: Attempt) -> Submission | None:
        """The request that a webhook in the inbox names."""
        stored = await unless_canceled(self._start_look(attempt))
        report = stored or self._signals.pending_report(None)
        return await self.adopt(report) if report else None

    def _start_look(self, attempt: Attempt) -> workflow.ActivityHandle[Report | None]:
        return workflow.start_activity_method(
            SubmissionActivities.stored_report,
            attempt,
            **with_activity_id(DB_WRITE, f"stored-report-{attempt.number}", summary="in the inbox"),
        )

    def _start_adoption(
        self,
        report: Report,
        config: workflow.ActivityConfig,
        instead_of: Submission | None = None,
        *,
        within: timedelta | None = None,
    ) -> workflow.ActivityHandle[Submission | None]:
        self._numbers["adopt"] += 1
        adopting = workflow.start_activity_method(
            SubmissionActivities.adopt,
            Adoption(generation=self._generation, report=report, instead_of=instead_of),
            **with_activity_id(
                config,
                f"adopt-{self._numbers['adopt']}",
                summary=f"request {report.request_id}",
                schedule_to_close_timeout=within,
            ),
        )
        self.handles.append(adopting)
        self._adoptions[report.request_id] = adopting
        return adopting

    def _is_not_ours(self, report: Report) -> bool:
        """Whether that has turned out, if only after the search was canceled."""
        adopting = self._adoptions.get(report.request_id)
        if adopting is None or not adopting.done() or adopting.cancelled() or adopting.exception():
            return False
        return adopting.result() is None

    def _start_search(self, attempt: Attempt, *, until: datetime) -> workflow.ActivityHandle[Submission]:
        """One activity whose retries search the provider's list, beside the wait for the webhook."""
        interval = self._generation.timing.poll_interval
        self._signals.poll_requested = False
        self._numbers["find"] += 1
        search = workflow.start_activity_method(
            SubmissionActivities.find,
            attempt,
            **with_activity_id(
                SEARCH,
                f"find-{self._numbers['find']}",
                summary=f"in the provider's list, every {interval.total_seconds():g} s",
                schedule_to_close_timeout=until - workflow.now() + POLL_TIMEOUT,
                retry_policy=every(interval),
            ),
        )
        self.handles.append(search)
        return search

    async def _report_or_search_result(
        self, search: workflow.ActivityHandle[Submission], *, by: datetime
    ) -> Submission | None:
        """None when the window has passed, whatever is reported then, or a new search is requested."""
        while await self._wait_until_found(search, by=by):
            report = self._signals.pending_report(None)
            submission = await self.adopt(report) if report else await unless_canceled(search)
            if submission or workflow.now() >= by:
                return submission
        return None

    async def _wait_until_found(self, search: workflow.ActivityHandle[Submission], *, by: datetime) -> bool:
        def found() -> bool:
            return is_over(search) or self._signals.pending_report(None) is not None

        with suppress(TimeoutError):
            left = max(by - workflow.now(), timedelta(0))
            await unless_canceled(
                workflow.wait_condition(
                    lambda: found() or self._signals.poll_requested, timeout=left, timeout_summary="adoption window"
                )
            )
        return found()


def is_over(search: workflow.ActivityHandle[Submission]) -> bool:
    """Whether it has found the request, or that there is none. Should it have ended otherwise, a webhook may come."""
    return search.done() and ((error := search.exception()) is None or is_wait_expired(error))

"""One model's work on a generation: from the submission to the archived media."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, CancelledError, FailureError

from workflows.activity_options import ARCHIVE, BEST_EFFORT, POLL, SUBMIT, every, with_activity_id
from workflows.cancellation import finish_despite_cancel, stopped, unless_canceled
from workflows.deadline import Deadline
from workflows.lost_submission import LostSubmission
from workflows.signals import Signals
from workflows.task_queues import transfers_queue

with workflow.unsafe.imports_passed_through():
    from activities.archive import ArchiveActivities
    from activities.conclusion import ConclusionActivities
    from activities.errors import (
        LONGEST_PAUSE,
        failure_of,
        is_non_retryable,
        is_slot_unavailable,
        is_wait_expired,
        needs_input_files,
        non_retryable,
        proves_nothing_sent,
    )
    from activities.input_files import InputFileActivities
    from activities.inputs import Accepted, Attempt, Ended
    from activities.polling import PollingActivities
    from activities.submission import SubmissionActivities
    from reelay.domain.failure import Failure, FailureCode
    from reelay.domain.generation import (
        Archived,
        Generation,
        Report,
        Stage,
        Status,
        Submission,
        state_at_acceptance,
    )

GAVE_UP = {Stage.SUBMITTING: FailureCode.WAIT_EXPIRED, Stage.ARCHIVING: FailureCode.ARCHIVE_FAILED}
"""As what a generation fails whose retries in that stage ran out of time."""


# Of a request that another model overtook: what was made waits for it.
STOPPED_WITHIN = timedelta(seconds=5)


class Observer(Protocol):
    """Whose works they are."""

    def show(self) -> None:
        """One of them is somewhere else, or says something else of itself."""

    async def begin_archiving(self, work: "ModelWork") -> None:
        """Returns when it may: one at a time, since their files have the same names."""

    def end_archiving(self) -> None:
        """There was nothing to archive, so another may."""


class ModelWork:
    def __init__(
        self, generation: Generation, observer: Observer, numbers: Counter[str], *, is_hedge: bool = False
    ) -> None:
        """`numbers`: how many activities of each kind the run has started. `is_hedge`: it works beside another."""
        self.generation = generation
        self.is_hedge = is_hedge
        self.deadline = Deadline(workflow.now() + generation.timing.submission_window)
        is_hedged = generation.hedge_after is not None and not is_hedge
        self.signals = Signals(
            first_attempt=generation.attempts_before + 1, last_attempt=generation.last_attempt if is_hedged else None
        )
        self.lost_submission = LostSubmission(generation, self.signals, self.deadline, numbers)
        self.submit_handles: dict[int, workflow.ActivityHandle[Submission]] = {}
        """By the attempt's number, that of its newest try."""
        self.attempts = generation.attempts_before
        self.submission: Submission | None = None
        self.sent_at: datetime | None = None
        """When its newest request was sent; None before the first."""
        self.was_adopted = False
        self.stage, self.status, self.message = Stage.RESERVING, Status.PENDING, "Created"
        self.stage_since = workflow.now()
        self.shown = self.message
        self.refused: Archived | None = None
        """A result of which nothing is kept."""
        self.is_left = False
        """Nobody waits for what it comes to."""
        self._observer = observer
        self._numbers = numbers

    async def make(self) -> Archived:
        self.submission = await self.submit()
        self.submission = await self.wait_for_outcome(self.submission)
        archived = await self.fetch_and_archive(self.submission)
        self.require_kept(archived)
        return archived

    async def submit(self) -> Submission:
        """One paid POST. When its answer is lost, find its request; only by policy another is sent, and only one."""
        first = self.generation.attempts_before + 1
        for number in range(first, first + self.generation.attempts_at_most):
            self.attempts = number
            attempt = self.attempt(number)
            if submission := await self.submit_in_turn(attempt) or await self.find_lost_submission(attempt):
                self.was_adopted = self.stage is Stage.UNCERTAIN
                self.count_deadline_from(submission.sent_at or workflow.now())
                return submission
            if self.deadline.has_passed:
                break
        message = _unknown_outcome_message(number - first + 1)
        raise non_retryable(Failure(code=FailureCode.UNKNOWN_OUTCOME, message=message))

    async def submit_in_turn(self, attempt: Attempt) -> Submission | None:
        """The POST, as soon as there is a slot for it. None when its answer was lost."""
        if self.generation.references:
            await self.hand_over_input_files()
        while True:
            self.signals.turn_called = False
            try:
                return await self.submit_attempt(attempt)
            except ActivityError as error:
                if is_slot_unavailable(error):
                    await self.wait_for_turn()
                elif needs_input_files(error):  # it has waited for so long that their addresses have expired
                    await self.hand_over_input_files()
                else:
                    raise

    async def hand_over_input_files(self) -> None:
        self.enter(Stage.SUBMITTING, Status.PENDING, f"Giving {self.generation.provider} the files to start from")
        await unless_canceled(
            workflow.execute_activity_method(
                InputFileActivities.hand_over,
                self.generation,
                **with_activity_id(
                    ARCHIVE,
                    self.named("hand-over"),
                    summary=f"{len(self.generation.references)} input files",
                    task_queue=transfers_queue(workflow.info().task_queue),
                    schedule_to_close_timeout=self.deadline.time_left(),
                ),
            )
        )

    async def wait_for_turn(self) -> None:
        self.enter(Stage.WAITING, Status.PENDING, f"Waiting for a slot at {self.generation.provider}")
        try:
            await unless_canceled(
                workflow.wait_condition(
                    lambda: self.signals.turn_called,
                    timeout=self.deadline.time_left(),
                    timeout_summary="wait for a slot",
                )
            )
        except TimeoutError as error:
            message = f"No slot at {self.generation.provider} was free until {self.deadline.at:%Y-%m-%d %H:%M:%S} UTC"
            raise non_retryable(Failure(code=FailureCode.WAIT_EXPIRED, message=message)) from error

    async def submit_attempt(self, attempt: Attempt) -> Submission | None:
        """The POST. None when it may have been accepted, but its answer was lost."""
        self.enter(Stage.SUBMITTING, Status.PENDING, f"Submitting to {self.generation.provider}")
        posting = workflow.start_activity_method(
            SubmissionActivities.submit,
            attempt,
            **with_activity_id(
                SUBMIT,
                f"submit-{attempt.number}",
                summary=f"POST {self.generation.endpoint}",
                schedule_to_close_timeout=self.deadline.time_left(),
            ),
        )
        self.submit_handles[attempt.number] = posting
        try:
            # Shielded: a cancellation has to learn what was accepted before it can withdraw it.
            return await unless_canceled(asyncio.shield(posting))
        except ActivityError as error:
            if not (self.has_report or _may_have_been_accepted(error)):
                raise
        return None

    async def find_lost_submission(self, attempt: Attempt) -> Submission | None:
        """The request whose answer was lost, if it is found within the adoption window. Raises: ActivityError."""
        self.count_deadline_from(workflow.now())  # until it is known when the provider was sent it
        ends = workflow.now() + min(self.generation.timing.adoption_window, self.deadline.time_left())
        self.enter(Stage.UNCERTAIN, Status.PENDING, "The submission's answer was lost; looking for its request")
        self.show(f"{self.message}, until {ends:%H:%M:%S} UTC: by its webhook, and in the provider's list")
        try:
            return await self.lost_submission.find(attempt, until=ends)
        except ActivityError as error:
            if is_wait_expired(error):
                del self.submit_handles[attempt.number]  # it is not lost: it was never sent
            raise

    def count_deadline_from(self, submitted_at: datetime) -> None:
        self.sent_at = submitted_at
        self.deadline.at = submitted_at + self.generation.timing.deadline

    async def wait_for_outcome(self, submission: Submission) -> Submission:
        """Until the provider has ended its work: by its webhook, or by polling once the model's patience is over."""
        status, stage = state_at_acceptance(self.generation.provider, submission)
        self.enter(stage, status, "Waiting for the provider's webhook")
        patience = self.generation.timing.patience if submission.webhook_expected else timedelta(0)
        return await self.first_to_end(submission, patience, "patience for the webhook")

    async def first_to_end(self, submission: Submission, patience: timedelta, what: str) -> Submission:
        """Of two attempts, the one that ended first is used."""
        while True:
            if not (patience and await self.wait_for_report(min(patience, self.deadline.time_left()), what)):
                await self.poll_until_ended(submission)
            report = self.pending_report
            if report is None or report.request_id == submission.request_id:
                return submission
            if self.deadline.has_passed:
                raise non_retryable(self.deadline_failure())
            if earlier := await self.lost_submission.adopt(report, instead_of=submission):
                self.submission = earlier
                self.signals.ignore(submission.request_id)
                await unless_canceled(self.withdraw(submission))
                return earlier

    async def poll_until_ended(self, submission: Submission) -> None:
        """One polling activity whose retries are the interval; a webhook, or a request to poll now, cuts it short."""
        self.enter(Stage.POLLING, self.status, "Asking the provider")
        while not (self.has_report or self.deadline.has_passed):
            poll = self.start_poll(submission)
            if await self.poll_answers_first(poll):
                return await self.outcome_or_last_poll(poll, submission)
            await stopped(poll)
        if not self.has_report:
            await self.last_poll(submission)

    def start_poll(self, submission: Submission) -> workflow.ActivityHandle[None]:
        interval = self.generation.timing.poll_interval
        self.show(f"{self.message} every {interval.total_seconds():g} s; its webhook would do as well")
        self.signals.poll_requested = False
        self._numbers["poll"] += 1
        return workflow.start_activity_method(
            PollingActivities.poll,
            Accepted(generation=self.generation, submission=submission),
            **with_activity_id(
                POLL,
                f"poll-{self._numbers['poll']}",
                summary=f"every {interval.total_seconds():g} s",
                schedule_to_close_timeout=self.deadline.time_left(),
                retry_policy=every(interval),
            ),
        )

    async def poll_answers_first(self, poll: workflow.ActivityHandle[None]) -> bool:
        await unless_canceled(
            workflow.wait_condition(lambda: poll.done() or self.has_report or self.signals.poll_requested)
        )
        return poll.done()

    async def outcome_or_last_poll(self, poll: workflow.ActivityHandle[None], submission: Submission) -> None:
        try:
            return await unless_canceled(poll)
        except ActivityError as error:
            if is_non_retryable(error):
                raise
        await self.last_poll(submission)  # polling has run into the deadline

    async def last_poll(self, submission: Submission) -> None:
        """Once more: the provider may have ended since the last interval."""
        try:
            await unless_canceled(
                workflow.execute_activity_method(
                    PollingActivities.poll,
                    Accepted(generation=self.generation, submission=submission),
                    **with_activity_id(
                        POLL,
                        self.named("last-poll"),
                        summary="the deadline has come",
                        retry_policy=RetryPolicy(maximum_attempts=1),
                    ),
                )
            )
        except ActivityError as error:
            if is_non_retryable(error):
                raise
            raise non_retryable(self.deadline_failure()) from error

    async def fetch_and_archive(self, submission: Submission) -> Archived:
        """Completed is not success: a result without media is asked for again, ever more rarely, until the deadline."""
        pause = self.generation.timing.poll_interval
        while (archived := await self.try_to_archive(submission, ask_again_in=pause)) is None:
            if self.deadline.has_passed:
                raise non_retryable(self.no_media_failure())
            self.enter(Stage.POLLING, Status.IN_PROGRESS, "The result holds no media yet")
            self.signals.clear_reports_of(submission.request_id)
            submission = await self.first_to_end(submission, pause, "pause before the next poll")
            pause = min(2 * pause, LONGEST_PAUSE)
        return archived

    def require_kept(self, archived: Archived) -> None:
        if archived.refused:
            self.refused = archived
            self._observer.end_archiving()
            message = f"{self.generation.provider}'s safety check has flagged the result: nothing is kept of it"
            raise non_retryable(Failure(code=FailureCode.RESULT_FLAGGED, message=message))

    @property
    def refused_cents(self) -> int:
        """What its user pays for a result of which nothing is kept."""
        return self.generation.charge_for(self.refused).charged_cents if self.refused else 0

    async def try_to_archive(self, submission: Submission, *, ask_again_in: timedelta) -> Archived | None:
        await self._observer.begin_archiving(self)
        archived = None
        try:
            archived = await self.archive(submission, ask_again_in=ask_again_in)
        finally:
            if archived is None:
                self._observer.end_archiving()
        return archived

    async def archive(self, submission: Submission, *, ask_again_in: timedelta) -> Archived | None:
        self.enter(Stage.ARCHIVING, Status.IN_PROGRESS, "Fetching the result and copying its media into the archive")
        self._numbers["archive"] += 1
        return await unless_canceled(
            workflow.execute_activity_method(
                ArchiveActivities.archive,
                Ended(generation=self.generation, submission=submission, ask_again_in=ask_again_in),
                **with_activity_id(
                    ARCHIVE,
                    f"archive-{self._numbers['archive']}",
                    summary=f"request {submission.request_id}",
                    task_queue=transfers_queue(workflow.info().task_queue),
                    schedule_to_close_timeout=self.generation.timing.archive_window,
                ),
            )
        )

    def failure_from(self, error: FailureError) -> Failure:
        failure = failure_of(error, otherwise=GAVE_UP.get(self.stage, FailureCode.DEADLINE_EXCEEDED))
        # A provider that knows the deadline may stop at it first.
        stopped_in_time = failure.code is FailureCode.CANCELED and self.deadline.has_passed
        return self.deadline_failure() if stopped_in_time else failure

    def deadline_failure(self) -> Failure:
        return Failure(
            code=FailureCode.DEADLINE_EXCEEDED,
            message=f"{self.generation.provider} did not finish within {self.generation.timing.deadline}",
        )

    def no_media_failure(self) -> Failure:
        return Failure(
            code=FailureCode.NO_MEDIA,
            message=f"{self.generation.provider} says completed, and showed no media until the deadline",
        )

    async def stop(self) -> int:
        """Another has made it. What its user pays for this one all the same, in cents: nothing unless it has ended,
        too, and nothing when that cannot be learned at once."""
        asked = self.cancel_activities()
        if not all(handle.done() for handle in asked):
            with suppress(TimeoutError, asyncio.CancelledError):
                await workflow.wait_condition(
                    lambda: all(handle.done() for handle in asked),
                    timeout=STOPPED_WITHIN,
                    timeout_summary="what the other provider has accepted",
                )
        stopped = await self.found_by([handle for handle in asked if handle.done()])
        return sum([await self.stop_request(submission) for submission in stopped if self.is_ours(submission)])

    async def stop_request(self, submission: Submission) -> int:
        self.signals.ignore(submission.request_id)
        stopping = workflow.start_activity_method(
            ConclusionActivities.stop,
            Accepted(generation=self.generation, submission=submission),
            **with_activity_id(
                BEST_EFFORT,
                f"stop-{submission.attempt}",
                summary=f"request {submission.request_id}",
                schedule_to_close_timeout=STOPPED_WITHIN,
            ),
        )
        with suppress(ActivityError):
            return await finish_despite_cancel(stopping)
        return 0

    async def withdraw_all(self) -> None:
        """Whatever its provider has accepted, and nobody has withdrawn yet.

        An activity that may find out about it comes to its end first; one that waits for its next attempt is dropped.
        """
        found = await self.found_by(self.cancel_activities())
        lost = self.lost_attempts - {submission.attempt for submission in found}
        reported = [await self.lost_submission.reported(attempt) for attempt in map(self.attempt, sorted(lost))]
        for submission in (*found, *reported):
            if submission and self.is_ours(submission):
                await self.withdraw(submission)

    def cancel_activities(self) -> Sequence[workflow.ActivityHandle[Submission | None]]:
        """Those that may find out what its provider has accepted."""
        asked = [*self.submit_handles.values(), *self.lost_submission.handles]
        for handle in asked:
            handle.cancel()
        return asked

    async def found_by(self, handles: Sequence[workflow.ActivityHandle[Submission | None]]) -> list[Submission]:
        """What its provider has accepted, as far as these have learned."""
        found: dict[str, Submission] = {}
        for handle in handles:
            with suppress(asyncio.CancelledError, ActivityError):
                if submission := await handle:
                    found[submission.request_id] = submission
        return list(found.values())

    def is_ours(self, submission: Submission) -> bool:
        """Whether it is still to be withdrawn."""
        return not self.signals.is_ignored(submission.request_id)

    @property
    def lost_attempts(self) -> set[int]:
        """Those that have ended without it being known whether they were accepted."""
        return {number for number, posting in self.submit_handles.items() if _is_lost(posting)}

    @property
    def may_have_bought_unseen(self) -> bool:
        """Whether one of its attempts may have been accepted without having become its submission."""
        return bool(self.lost_attempts - ({self.submission.attempt} if self.submission else set()))

    def attempt(self, number: int) -> Attempt:
        return Attempt(generation=self.generation, number=number)

    async def withdraw(self, submission: Submission) -> None:
        with suppress(ActivityError):
            await finish_despite_cancel(
                workflow.start_activity_method(
                    ConclusionActivities.withdraw,
                    Accepted(generation=self.generation, submission=submission),
                    **with_activity_id(
                        BEST_EFFORT, f"withdraw-{submission.attempt}", summary=f"request {submission.request_id}"
                    ),
                )
            )

    async def wait_for_report(self, window: timedelta, what: str) -> bool:
        """Whether a webhook came. Also returns, without one, when a poll is requested."""
        self.show(f"{self.message}, at most until {workflow.now() + window:%H:%M:%S} UTC; then the provider is asked")
        with suppress(TimeoutError):
            await unless_canceled(
                workflow.wait_condition(
                    lambda: self.has_report or self.signals.poll_requested, timeout=window, timeout_summary=what
                )
            )
        return self.has_report

    @property
    def is_at_provider(self) -> bool:
        """Whether the provider may be at work on it."""
        return self.stage not in (Stage.ARCHIVING, Stage.FINISHING)

    @property
    def has_report(self) -> bool:
        return self.pending_report is not None

    @property
    def pending_report(self) -> Report | None:
        return self.signals.pending_report(self.submission)

    def enter(self, stage: Stage, status: Status, message: str) -> None:
        self.stage, self.status, self.message = stage, status, message
        self.stage_since = workflow.now()
        self.show(message)

    def show(self, message: str) -> None:
        """For the engineer at the Temporal UI: it costs no history."""
        self.shown = message
        self._observer.show()

    def facts(self) -> Iterator[str]:
        if ours := self.submission:
            how = ", found again after its answer was lost" if self.was_adopted else ""
            yield f"attempt {ours.attempt}, request `{ours.request_id}`{how}: {ours.status_url}"
        if self.stage is not Stage.DONE:
            yield f"gives up at {self.deadline.at:%Y-%m-%d %H:%M:%S} UTC"

    def named(self, activity: str) -> str:
        """The activity's id, apart from that of the model beside it."""
        return f"{activity}-of-hedge" if self.is_hedge else activity


def _is_lost(posting: workflow.ActivityHandle[Submission]) -> bool:
    if not posting.done() or posting.cancelled():
        return False
    error = posting.exception()
    return isinstance(error, ActivityError) and _may_have_been_accepted(error)


def _may_have_been_accepted(error: ActivityError) -> bool:
    """Of an outage, or no answer before the time was up, nobody can say what was sent before it. An activity that was
    canceled before its next try is dropped."""
    return not (proves_nothing_sent(error) or isinstance(error.cause, CancelledError))


def _unknown_outcome_message(attempts: int) -> str:
    sent = (
        "The submission was sent, its answer was lost, and within the adoption window"
        if attempts == 1
        else "The submission was sent twice, both answers were lost, and within the adoption windows"
    )
    return (
        f"{sent} neither a webhook nor the provider's list of requests showed that it was accepted. It was not sent "
        "again. You can retry the job; should a submission have run, the provider charged it."
    )

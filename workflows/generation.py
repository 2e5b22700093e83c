"""The story of one generation."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

from workflows.activity_options import ARCHIVE, BEST_EFFORT, DB_WRITE, POLL, SUBMIT, every, with_activity_id
from workflows.cancellation import finish_despite_cancel, raise_if_canceled, stopped, unless_canceled
from workflows.deadline import Deadline
from workflows.lost_submission import LostSubmission
from workflows.signals import Signals
from workflows.task_queues import transfers_queue

with workflow.unsafe.imports_passed_through():
    from activities.archive import ArchiveActivities
    from activities.conclusion import ConclusionActivities
    from activities.errors import (
        LONGEST_PAUSE,
        SUBMISSION_UNCERTAIN,
        failure_of,
        is_non_retryable,
        is_slot_unavailable,
        needs_input_files,
        non_retryable,
    )
    from activities.input_files import InputFileActivities
    from activities.inputs import Accepted, Attempt, Completion, Ended, Ending, Fallback
    from activities.polling import PollingActivities
    from activities.submission import SubmissionActivities
    from reelay.domain.failure import Failure, FailureCode
    from reelay.domain.generation import (
        Archived,
        Generation,
        GenerationStatus,
        Report,
        Stage,
        Status,
        Submission,
        media_address,
        state_at_acceptance,
    )

GAVE_UP = {Stage.SUBMITTING: FailureCode.WAIT_EXPIRED, Stage.ARCHIVING: FailureCode.ARCHIVE_FAILED}
"""As what a generation fails whose retries in that stage ran out of time."""


@workflow.defn(name="Generation")
class GenerationWorkflow:
    @workflow.init
    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        self.deadline = Deadline(workflow.now() + generation.timing.submission_window)
        self.signals = Signals()
        self.lost_submission = LostSubmission(generation, self.signals, self.deadline)
        self.submit_handles: list[workflow.ActivityHandle[Submission]] = []
        self.attempts = generation.attempts_before
        self.submission: Submission | None = None
        self.was_adopted = False
        self.polls = 0
        self.archive_attempts = 0
        self.failure: Failure | None = None
        self.refused: Archived | None = None
        self.enter(Stage.RESERVING, Status.PENDING, "Created")

    @workflow.run
    async def run(self, generation: Generation) -> list[str]:
        """The addresses of the archived files."""
        try:
            raise_if_canceled()  # before anything is bought
            while (archived := await self.generate()) is None:
                self.enter(Stage.SUBMITTING, Status.PENDING, f"Fell back to {self.generation.model}")
            await self.complete(archived)
        except asyncio.CancelledError:
            await self.cancel()
            raise
        except FailureError as error:
            raise await self.fail(error) from error
        return [media_address(generation.id, file.name) for file in archived.files]

    @workflow.signal
    def report(self, report: Report) -> None:
        """The provider's webhook. It may come before the submission's answer, twice, or much too late."""
        self.signals.add(report)

    @workflow.signal
    def poll(self) -> None:
        """Poll the provider now."""
        self.signals.poll_requested = True

    @workflow.signal
    def call_turn(self) -> None:
        """It has a slot at its provider."""
        self.signals.turn_called = True

    @workflow.query(name="status")
    def current_status(self) -> GenerationStatus:
        return GenerationStatus(
            status=self.status,
            stage=self.stage,
            stage_since=self.stage_since,
            message=self.message,
            request_id=self.submission.request_id if self.submission else None,
            failure=self.failure,
        )

    async def generate(self) -> Archived | None:
        """With the present model. None when the provider failed for reasons of its own, and there is a fallback."""
        try:
            self.submission = await self.submit()
            self.submission = await self.wait_for_outcome(self.submission)
            archived = await self.fetch_and_archive(self.submission)
            self.require_kept(archived)
            return archived
        except FailureError as error:
            failure = self.failure_from(error)
            if not (self.generation.fallbacks and failure.code.may_fall_back):
                raise
        raise_if_canceled()
        await self.fall_back(failure)
        return None

    async def fall_back(self, failure: Failure) -> None:
        """Go on with the next fallback. Nothing is at the provider: it took nothing, or has failed."""
        generation = self.generation
        await finish_despite_cancel(
            workflow.start_activity_method(
                ConclusionActivities.fall_back,
                Fallback(generation=generation, failure=failure, attempts=self.attempts),
                **with_activity_id(DB_WRITE, f"fall-back-{self.attempts}", summary=generation.fallbacks[0].model),
            )
        )
        self.generation = generation.fall_back(attempts=self.attempts)
        self.signals.ignore_attempts(self.attempts)
        self.lost_submission.follow(self.generation)
        self.submit_handles.clear()
        self.submission = None
        self.deadline.at = workflow.now() + self.generation.timing.submission_window
        raise_if_canceled()

    async def submit(self) -> Submission:
        """One paid POST. When its answer is lost, find its request; only by policy another is sent, and only one."""
        first = self.generation.attempts_before + 1
        for number in range(first, first + self.generation.attempts_at_most):
            self.attempts = number
            attempt = Attempt(generation=self.generation, number=number)
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
                    "hand-over",
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
        self.submit_handles.append(posting)
        try:
            # Shielded: a cancellation has to learn what was accepted before it can withdraw it.
            return await unless_canceled(asyncio.shield(posting))
        except ActivityError as error:
            if not (self.has_report or _may_have_been_accepted(error)):
                raise
        return None

    async def find_lost_submission(self, attempt: Attempt) -> Submission | None:
        """The request whose answer was lost, if it is found within the adoption window."""
        self.count_deadline_from(workflow.now())  # until it is known when the provider was sent it
        ends = workflow.now() + min(self.generation.timing.adoption_window, self.deadline.time_left())
        self.enter(Stage.UNCERTAIN, Status.PENDING, "The submission's answer was lost; looking for its request")
        self.show(f"{self.message}, until {ends:%H:%M:%S} UTC: by its webhook, and in the provider's list")
        return await self.lost_submission.find(attempt, until=ends)

    def count_deadline_from(self, submitted_at: datetime) -> None:
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
        self.polls += 1
        return workflow.start_activity_method(
            PollingActivities.poll,
            Accepted(generation=self.generation, submission=submission),
            **with_activity_id(
                POLL,
                f"poll-{self.polls}",
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
                        POLL, "last-poll", summary="the deadline has come", retry_policy=RetryPolicy(maximum_attempts=1)
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
            message = f"{self.generation.provider}'s safety check has flagged the result: nothing is kept of it"
            raise non_retryable(Failure(code=FailureCode.RESULT_FLAGGED, message=message))

    async def try_to_archive(self, submission: Submission, *, ask_again_in: timedelta) -> Archived | None:
        self.enter(Stage.ARCHIVING, Status.IN_PROGRESS, "Fetching the result and copying its media into the archive")
        self.archive_attempts += 1
        return await unless_canceled(
            workflow.execute_activity_method(
                ArchiveActivities.archive,
                Ended(generation=self.generation, submission=submission, ask_again_in=ask_again_in),
                **with_activity_id(
                    ARCHIVE,
                    f"archive-{self.archive_attempts}",
                    summary=f"request {submission.request_id}",
                    task_queue=transfers_queue(workflow.info().task_queue),
                    schedule_to_close_timeout=self.generation.timing.archive_window,
                ),
            )
        )

    async def complete(self, archived: Archived) -> None:
        self.enter(Stage.FINISHING, Status.IN_PROGRESS, "Writing the end down")
        await finish_despite_cancel(
            workflow.start_activity_method(
                ConclusionActivities.complete,
                Completion(generation=self.generation, archived=archived),
                **with_activity_id(
                    DB_WRITE, "complete", summary=f"{len(archived.files)} file{'s' * (len(archived.files) > 1)}"
                ),
            )
        )
        self.enter(Stage.DONE, Status.COMPLETED, "Completed")

    async def fail(self, error: FailureError) -> ApplicationError:
        """Write the failure down; what is returned fails the run under the same name."""
        self.failure = self.failure_from(error)
        if self.submission and self.stage not in (Stage.ARCHIVING, Stage.FINISHING):  # the provider may be at work
            await self.withdraw(self.submission)
        await self.end(self.failure)
        self.enter(Stage.DONE, Status.FAILED, self.failure.message)
        return non_retryable(self.failure)

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

    async def cancel(self) -> None:
        """Cancel at the provider whatever it has accepted for this job, and write it down."""
        self.enter(self.stage, self.status, "Canceling")
        for submission in await self.accepted_submissions():
            await self.withdraw(submission)
        await self.end(None)
        self.enter(Stage.DONE, Status.CANCELED, "Canceled")

    async def accepted_submissions(self) -> list[Submission]:
        """Those that were not withdrawn yet.

        An activity that may find out about one comes to its end first; one that waits for its next attempt is dropped.
        """
        asked = [*self.submit_handles, *self.lost_submission.handles]
        for handle in asked:
            handle.cancel()
        found: dict[str, Submission] = {}
        for handle in asked:
            with suppress(asyncio.CancelledError, ActivityError):
                if (submission := await handle) and not self.signals.is_ignored(submission.request_id):
                    found[submission.request_id] = submission
        return list(found.values())

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

    async def end(self, failure: Failure | None) -> None:
        await finish_despite_cancel(
            workflow.start_activity_method(
                ConclusionActivities.end,
                Ending(generation=self.generation, failure=failure, refused=self.refused),
                **with_activity_id(DB_WRITE, "end", summary=failure.code if failure else "canceled"),
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
        where = self.status if self.stage is Stage.DONE else self.stage
        facts = "\n".join(f"- {fact}" for fact in self.facts())
        workflow.set_current_details(f"**{where}** since {self.stage_since:%H:%M:%S} UTC\n\n{message}\n\n{facts}")

    def facts(self) -> Iterator[str]:
        if ours := self.submission:
            how = ", found again after its answer was lost" if self.was_adopted else ""
            yield f"attempt {ours.attempt}, request `{ours.request_id}`{how}: {ours.status_url}"
        if self.failure:
            yield f"`{self.failure.code}`: {self.failure.code.advice}"
        elif self.stage is not Stage.DONE:
            yield f"gives up at {self.deadline.at:%Y-%m-%d %H:%M:%S} UTC"


def _may_have_been_accepted(error: ActivityError) -> bool:
    """An uncertain answer, or no answer before the time was up."""
    match error.cause:
        case ApplicationError(type=kind):
            return kind == SUBMISSION_UNCERTAIN
        case cause:
            return isinstance(cause, ActivityTimeoutError)


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

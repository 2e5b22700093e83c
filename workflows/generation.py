"""The story of one generation."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

from workflows.activity_options import DB_WRITE, with_activity_id
from workflows.cancellation import finish_despite_cancel, raise_if_canceled, unless_canceled
from workflows.model_work import ModelWork

with workflow.unsafe.imports_passed_through():
    from activities.conclusion import ConclusionActivities
    from activities.errors import non_retryable
    from activities.inputs import Completion, Ending, Fallback, Lead
    from reelay.domain.failure import Failure
    from reelay.domain.generation import Archived, Generation, GenerationStatus, Report, Stage, Status, media_address

Tasks = dict[ModelWork, asyncio.Task[Archived]]


@workflow.defn(name="Generation")
class GenerationWorkflow:
    @workflow.init
    def __init__(self, generation: Generation) -> None:
        self.numbers = Counter[str]()
        self.reports: list[Report] = []
        self.archiving: ModelWork | None = None
        """The one that archives, or has: their files have the same names."""
        self.refused_cents = 0
        """What its user pays for results that are not kept, of models that were beside the one that went on."""
        self.has_left_lost_attempt = False
        """A model that was beside the one that went on may have bought what nobody found."""
        self.failure: Failure | None = None
        self.lead = ModelWork(generation, self, self.numbers)
        """The work that the row follows."""
        self.works = [self.lead]
        """All that are not over: two while another model works beside the first."""
        self.show()

    @workflow.run
    async def run(self, generation: Generation) -> list[str]:
        """The addresses of the archived files."""
        try:
            raise_if_canceled()  # before anything is bought
            while (archived := await self.generate()) is None:
                self.lead.enter(Stage.SUBMITTING, Status.PENDING, f"Fell back to {self.generation.model}")
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
        self.reports.append(report)
        for work in self.works:
            work.signals.add(report)

    @workflow.signal
    def poll(self) -> None:
        """Poll the provider now."""
        for work in self.works:
            work.signals.poll_requested = True

    @workflow.signal
    def call_turn(self) -> None:
        """It has a slot at its provider."""
        self.lead.signals.turn_called = True

    @workflow.query(name="status")
    def current_status(self) -> GenerationStatus:
        lead = self.lead
        return GenerationStatus(
            status=lead.status,
            stage=lead.stage,
            stage_since=lead.stage_since,
            message=lead.message,
            request_id=lead.submission.request_id if lead.submission else None,
            failure=self.failure,
        )

    @property
    def generation(self) -> Generation:
        return self.lead.generation

    async def generate(self) -> Archived | None:
        """With the present model. None when the provider failed for reasons of its own, nothing else may have been
        bought, and there is a fallback."""
        try:
            return await (self.make_hedged() if self.generation.hedge_after else self.lead.make())
        except FailureError as error:
            failure = self.lead.failure_from(error)
            if not (self.generation.fallbacks and failure.code.may_fall_back):
                raise
            if self.has_left_lost_attempt or self.lead.may_have_bought_unseen:
                raise
        raise_if_canceled()
        await self.fall_back(failure)
        return None

    async def fall_back(self, failure: Failure) -> None:
        """Go on with the next fallback. Nothing is at the provider: it took nothing, or has failed."""
        generation = self.generation
        attempts = max(self.lead.attempts, generation.attempts_beside)
        await finish_despite_cancel(
            workflow.start_activity_method(
                ConclusionActivities.fall_back,
                Fallback(generation=generation, failure=failure, attempts=attempts),
                **with_activity_id(DB_WRITE, f"fall-back-{attempts}", summary=generation.fallbacks[0].model),
            )
        )
        self.begin(generation.fall_back(attempts=attempts))
        raise_if_canceled()

    def begin(self, generation: Generation) -> None:
        self.lead = ModelWork(generation, self, self.numbers)
        self.works = [self.lead]
        self.pass_reports_on(self.lead)

    def pass_reports_on(self, work: ModelWork) -> None:
        """Those that came before the work began: to an earlier run of this generation's."""
        for report in self.reports:
            work.signals.add(report)

    async def make_hedged(self) -> Archived:
        """With the next fallback beside the present model once that has taken too long: whichever ends first."""
        first = self.lead
        tasks = {first: asyncio.create_task(first.make())}
        try:
            if await self.takes_too_long(first, tasks[first]):
                hedge = self.begin_beside(first)
                tasks[hedge] = asyncio.create_task(hedge.make())
            return await self.first_made(tasks)
        finally:
            await self.leave(tasks)

    async def takes_too_long(self, work: ModelWork, task: asyncio.Task[Archived]) -> bool:
        """Wait until it is over, or has been at its provider for longer than the hedge waits."""
        await unless_canceled(workflow.wait_condition(lambda: task.done() or work.sent_at is not None))
        if work.sent_at is not None and not task.done():
            assert work.generation.hedge_after is not None
            left = work.sent_at + work.generation.hedge_after - workflow.now()
            if left > timedelta(0):
                with suppress(TimeoutError):
                    await unless_canceled(
                        workflow.wait_condition(task.done, timeout=left, timeout_summary="wait before the hedge")
                    )
            # What is being archived has ended in time, unless there turns out to be nothing.
            await unless_canceled(workflow.wait_condition(lambda: task.done() or self.archiving is None))
        return not task.done()

    def begin_beside(self, first: ModelWork) -> ModelWork:
        hedge = ModelWork(first.generation.hedge(), self, self.numbers, is_hedge=True)
        self.works.append(hedge)
        self.pass_reports_on(hedge)
        return hedge

    async def first_made(self, tasks: Tasks) -> Archived:
        """What the first one to have it has made. One that fails leaves it to the other."""
        while True:
            await unless_canceled(workflow.wait_condition(lambda: any(task.done() for task in tasks.values())))
            work = next(work for work in tasks if tasks[work].done())
            try:
                return await unless_canceled(tasks.pop(work))
            except FailureError as error:
                failure = work.failure_from(error)
                if not tasks or (failure.code.is_verdict_on_input and not work.is_hedge):
                    self.lead = work
                    raise
            await self.go_on_without(work, failure)

    async def go_on_without(self, failed: ModelWork, failure: Failure) -> None:
        self.works.remove(failed)
        self.refused_cents += failed.refused_cents
        self.has_left_lost_attempt |= failed.may_have_bought_unseen
        [other] = self.works
        if failed.is_at_provider:
            await failed.withdraw_all()
        if failed.is_hedge:
            other.generation = other.generation.without_hedge()
        await self.follow(other, instead_of=failed, failure=failure, refused=failed.refused)

    async def follow(
        self, work: ModelWork, *, instead_of: ModelWork, failure: Failure | None, refused: Archived | None = None
    ) -> None:
        """The row is this work's from now on. `failure`: of the other one; `refused`: its result that is not kept."""
        self.lead = work
        self.show()
        self.numbers["lead"] += 1
        await unless_canceled(
            workflow.execute_activity_method(
                ConclusionActivities.lead,
                Lead(
                    generation=work.generation,
                    submission=work.submission,
                    other=instead_of.generation,
                    failure=failure,
                    refused=refused,
                ),
                **with_activity_id(DB_WRITE, f"lead-{self.numbers['lead']}", summary=work.generation.model),
            )
        )

    async def begin_archiving(self, work: ModelWork) -> None:
        if self.archiving:
            await unless_canceled(workflow.wait_condition(lambda: self.archiving is None or work.is_left))
        if work.is_left:
            raise asyncio.CancelledError
        self.archiving = work
        for other in self.others_than(work):
            await self.follow(work, instead_of=other, failure=None)

    def end_archiving(self) -> None:
        self.archiving = None

    def others_than(self, work: ModelWork) -> list[ModelWork]:
        return [other for other in self.works if other is not work]

    async def leave(self, tasks: Tasks) -> None:
        """Wait no longer for what their providers come to."""
        for work, task in tasks.items():
            work.is_left = True
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def complete(self, archived: Archived) -> None:
        overtaken = self.others_than(self.lead)
        cents = self.refused_cents + sum([await work.stop() for work in overtaken])
        self.lead.enter(Stage.FINISHING, Status.IN_PROGRESS, "Writing the end down")
        await finish_despite_cancel(
            workflow.start_activity_method(
                ConclusionActivities.complete,
                Completion(generation=self.generation, archived=archived, overtaken_cents=cents),
                **with_activity_id(
                    DB_WRITE, "complete", summary=f"{len(archived.files)} file{'s' * (len(archived.files) > 1)}"
                ),
            )
        )
        self.lead.enter(Stage.DONE, Status.COMPLETED, "Completed")
        for work in overtaken:  # of which it was not known in time what its provider has accepted
            await work.withdraw_all()

    async def fail(self, error: FailureError) -> ApplicationError:
        """Write the failure down; what is returned fails the run under the same name."""
        self.failure = self.lead.failure_from(error)
        if self.lead.submission and self.lead.is_at_provider:
            await self.lead.withdraw(self.lead.submission)
        for other in self.others_than(self.lead):
            await other.withdraw_all()
        await self.end(self.failure)
        self.lead.enter(Stage.DONE, Status.FAILED, self.failure.message)
        return non_retryable(self.failure)

    async def cancel(self) -> None:
        """Cancel at the provider whatever it has accepted for this job, and write it down."""
        self.lead.enter(self.lead.stage, self.lead.status, "Canceling")
        for work in self.works:
            await work.withdraw_all()
        await self.end(None)
        self.lead.enter(Stage.DONE, Status.CANCELED, "Canceled")

    async def end(self, failure: Failure | None) -> None:
        await finish_despite_cancel(
            workflow.start_activity_method(
                ConclusionActivities.end,
                Ending(
                    generation=self.generation,
                    failure=failure,
                    refused=self.lead.refused,
                    beside_cents=self.refused_cents,
                ),
                **with_activity_id(DB_WRITE, "end", summary=failure.code if failure else "canceled"),
            )
        )

    def show(self) -> None:
        """For the engineer at the Temporal UI: it costs no history."""
        lead = self.lead
        where = lead.status if lead.stage is Stage.DONE else lead.stage
        facts = "\n".join(f"- {fact}" for fact in self.facts())
        workflow.set_current_details(f"**{where}** since {lead.stage_since:%H:%M:%S} UTC\n\n{lead.shown}\n\n{facts}")

    def facts(self) -> Iterator[str]:
        yield from self.lead.facts()
        if self.failure:
            yield f"`{self.failure.code}`: {self.failure.code.advice}"
        for other in self.others_than(self.lead):
            yield f"beside it {other.generation.model} at {other.generation.provider}: {other.stage}. {other.shown}"
            yield from other.facts()

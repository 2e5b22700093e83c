"""The story of one pipeline: jobs and mixes that depend on each other."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError, FailureError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from workflows.activity_options import ARCHIVE, DB_WRITE, with_activity_id
from workflows.cancellation import finish_despite_cancel, raise_if_canceled, unless_canceled
from workflows.generation import GenerationWorkflow
from workflows.ids import workflow_id
from workflows.search_attributes import search_attributes
from workflows.task_queues import transfers_queue

with workflow.unsafe.imports_passed_through():
    from activities.conclusion import ConclusionActivities
    from activities.errors import failure_of
    from activities.inputs import Completion, Decided, Ending, Mixing
    from activities.mixing import MixActivities
    from activities.pipelines import PipelineActivities
    from reelay.domain.failure import FailureCode
    from reelay.domain.generation import Archived, Generation, ProviderName
    from reelay.domain.pipeline import Begun, Decision, Pipeline, PipelineStatus, PlannedStep, Step, StepStatus

NOBODY_DECIDED = "Nobody decided in time"


@workflow.defn(name="Pipeline")
class PipelineWorkflow:
    @workflow.init
    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.statuses = {step.id: step.status for step in pipeline.steps}
        self.decisions: dict[str, Decision] = {}
        self.show()

    @workflow.run
    async def run(self, pipeline: Pipeline) -> PipelineStatus:
        try:
            raise_if_canceled()
            await self.take_all()
            raise_if_canceled()
        except asyncio.CancelledError:
            await self.cancel()
            raise
        return await self.end()

    @workflow.signal
    def decide(self, decision: Decision) -> None:
        """The first word about a step counts."""
        self.decisions.setdefault(decision.step, decision)

    async def take_all(self) -> None:
        """Every step to its end: a cancellation, too, waits for all that it ends."""
        ends = await asyncio.gather(*(self.take(step) for step in self.pipeline.steps), return_exceptions=True)
        for error in filter(None, ends):
            raise error

    async def take(self, step: PlannedStep) -> None:
        """One step, from the wait for those that it needs to its end."""
        await unless_canceled(workflow.wait_condition(lambda: self.is_ready(step) or self.is_lost(step)))
        if self.statuses[step.id] is StepStatus.WAITING and self.is_lost(step):
            await self.skip(step)
            return
        match self.statuses[step.id]:
            case StepStatus.WAITING | StepStatus.RUNNING:
                status = await self.make(step)
                if status is StepStatus.COMPLETED and step.needs_approval:
                    status = await self.ask_for_approval(step)
                self.enter(step, status)
            case StepStatus.WAITING_FOR_APPROVAL:
                self.enter(step, await self.wait_for_decision(step))

    def is_ready(self, step: PlannedStep) -> bool:
        return all(self.statuses[needed].is_done for needed in step.needs)

    def is_lost(self, step: PlannedStep) -> bool:
        return any(self.statuses[needed].is_lost for needed in step.needs)

    async def make(self, step: PlannedStep) -> StepStatus:
        """An earlier result, or a new one: by a generation of its own, or by a mix."""
        begun = await self.begin(step)
        self.enter(step, begun.status)
        if begun.generation is None:
            return begun.status
        if begun.generation.provider is ProviderName.REELAY:
            return await self.mix(step, begun.generation)
        return await self.generate(step, begun.generation)

    async def begin(self, step: PlannedStep) -> Begun:
        return await unless_canceled(
            workflow.execute_activity_method(
                PipelineActivities.begin_step,
                self.named(step),
                **with_activity_id(DB_WRITE, f"begin-{step.id}", summary=step.id),
            )
        )

    async def generate(self, step: PlannedStep, generation: Generation) -> StepStatus:
        """A run like that of any job. It outlives this one, should an operator terminate this one."""
        try:
            await unless_canceled(
                workflow.execute_child_workflow(
                    GenerationWorkflow.run,
                    generation,
                    id=workflow_id(generation.id),
                    parent_close_policy=ParentClosePolicy.ABANDON,
                    search_attributes=search_attributes(generation) if self.pipeline.with_search_attributes else None,
                    static_summary=f"{step.id}: {generation.model}",
                )
            )
        except WorkflowAlreadyStartedError:  # by an earlier run of this pipeline
            return await self.wait_for_job(step)
        except ChildWorkflowError:  # a job whose run was lost or stopped may go on in another one
            raise_if_canceled()
            return await self.wait_for_job(step)
        return StepStatus.COMPLETED

    async def wait_for_job(self, step: PlannedStep) -> StepStatus:
        """How the job ended, by its row."""
        return await unless_canceled(
            workflow.execute_activity_method(
                PipelineActivities.wait_for_job,
                self.named(step),
                **with_activity_id(DB_WRITE, f"wait-{step.id}", summary=step.id),
            )
        )

    async def mix(self, step: PlannedStep, generation: Generation) -> StepStatus:
        try:
            archived = await unless_canceled(
                workflow.execute_activity_method(
                    MixActivities.mix,
                    Mixing(generation=generation),
                    **with_activity_id(
                        ARCHIVE,
                        f"mix-{step.id}",
                        summary=step.id,
                        task_queue=transfers_queue(workflow.info().task_queue),
                        schedule_to_close_timeout=generation.timing.archive_window,
                    ),
                )
            )
        except asyncio.CancelledError:
            await self.end_mix(step, Ending(generation=generation, failure=None))
            raise
        except FailureError as error:
            failure = failure_of(error, otherwise=FailureCode.ARCHIVE_FAILED)
            await self.end_mix(step, Ending(generation=generation, failure=failure))
            return StepStatus.FAILED
        return await self.complete_mix(step, generation, archived)

    async def complete_mix(self, step: PlannedStep, generation: Generation, archived: Archived) -> StepStatus:
        await finish_despite_cancel(
            workflow.start_activity_method(
                ConclusionActivities.complete,
                Completion(generation=generation, archived=archived),
                **with_activity_id(DB_WRITE, f"complete-{step.id}", summary=step.id),
            )
        )
        return StepStatus.COMPLETED

    async def end_mix(self, step: PlannedStep, ending: Ending) -> None:
        await finish_despite_cancel(
            workflow.start_activity_method(
                ConclusionActivities.end,
                ending,
                **with_activity_id(DB_WRITE, f"end-{step.id}", summary=step.id),
            )
        )

    async def ask_for_approval(self, step: PlannedStep) -> StepStatus:
        await unless_canceled(
            workflow.execute_activity_method(
                PipelineActivities.ask_for_approval,
                self.named(step),
                **with_activity_id(DB_WRITE, f"ask-{step.id}", summary=step.id),
            )
        )
        return await self.wait_for_decision(step)

    async def wait_for_decision(self, step: PlannedStep) -> StepStatus:
        """The step's approval or rejection; without a word until the window is over, its rejection."""
        self.enter(step, StepStatus.WAITING_FOR_APPROVAL)
        try:
            await unless_canceled(
                workflow.wait_condition(
                    lambda: step.id in self.decisions,
                    timeout=self.pipeline.approval_window,
                    timeout_summary=f"approval of {step.id}",
                )
            )
            decision = self.decisions[step.id]
        except TimeoutError:
            decision = Decision(step=step.id, is_approved=False, note=NOBODY_DECIDED)
        await unless_canceled(
            workflow.execute_activity_method(
                PipelineActivities.decide,
                Decided(step=self.named(step), is_approved=decision.is_approved, note=decision.note),
                **with_activity_id(DB_WRITE, f"decide-{step.id}", summary=step.id),
            )
        )
        return StepStatus.COMPLETED if decision.is_approved else StepStatus.FAILED

    async def skip(self, step: PlannedStep) -> None:
        await unless_canceled(
            workflow.execute_activity_method(
                PipelineActivities.skip_step,
                self.named(step),
                **with_activity_id(DB_WRITE, f"skip-{step.id}", summary=step.id),
            )
        )
        self.enter(step, StepStatus.SKIPPED)

    async def end(self) -> PipelineStatus:
        ending = workflow.start_activity_method(
            PipelineActivities.end_pipeline,
            self.pipeline.id,
            **with_activity_id(DB_WRITE, "end", summary="all steps have ended"),
        )
        await finish_despite_cancel(ending)
        return await ending

    async def cancel(self) -> None:
        """By now the generations that it started have ended, and were withdrawn at their providers."""
        await finish_despite_cancel(
            workflow.start_activity_method(
                PipelineActivities.cancel_pipeline,
                self.pipeline.id,
                **with_activity_id(DB_WRITE, "cancel", summary="canceled"),
            )
        )

    def named(self, step: PlannedStep) -> Step:
        return Step(pipeline_id=self.pipeline.id, id=step.id)

    def enter(self, step: PlannedStep, status: StepStatus) -> None:
        self.statuses[step.id] = status
        self.show()

    def show(self) -> None:
        """For the engineer at the Temporal UI: it costs no history."""
        workflow.set_current_details("\n".join(f"- `{step}`: {status}" for step, status in self.statuses.items()))

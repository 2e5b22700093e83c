"""Pipelines whose activities do as a test says, with generations whose steps are scripted as well."""

from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from activities.errors import non_retryable
from activities.inputs import Completion, Decided, Ending, Mixing
from reelay.domain.failure import Failure, FailureCode
from reelay.domain.generation import Archived, Generation, ProviderName
from reelay.domain.pipeline import Begun, Pipeline, PipelineStatus, PlannedStep, Step, StepStatus
from tests.workflow.steps import VIDEO, Steps
from workflows.generation import GenerationWorkflow
from workflows.pipeline import PipelineWorkflow
from workflows.task_queues import transfers_queue

FRAME = PlannedStep(id="frame", needs_approval=True)
CLIP_STEPS = (
    FRAME,
    PlannedStep(id="video", needs=("frame",)),
    PlannedStep(id="voice"),
    PlannedStep(id="film", needs=("video", "voice")),
)


def pipeline(*steps: PlannedStep) -> Pipeline:
    return Pipeline(id=uuid4(), user_id=UUID(int=1), steps=steps or CLIP_STEPS, with_search_attributes=False)


@dataclass
class PipelineScript:
    """What the activities of a pipeline do; `done` says which ones, in their order."""

    generation: Generation
    """What each step generates, under an id of its own."""
    generations: Steps = field(default_factory=lambda: Steps(webhook_expected=False))
    begins: dict[str, Begun] = field(default_factory=dict)
    """Of the steps that are not simply begun."""
    waits: StepStatus = StepStatus.COMPLETED
    """What the rows of jobs say whose runs did not end well."""
    mix_failure: ApplicationError | None = None
    done: list[str] = field(default_factory=list)
    ending: Ending | None = None

    def workers(self, client: Client, task_queue: str, **options: Any) -> tuple[Worker, Worker]:
        steps = self.generations
        return (
            Worker(
                client,
                task_queue=task_queue,
                workflows=[PipelineWorkflow, GenerationWorkflow],
                activities=[
                    *(steps.submit, steps.adopt, steps.find, steps.poll, steps.withdraw),
                    *(self.complete, self.end),
                    *(self.begin_step, self.wait_for_job, self.ask_for_approval, self.decide, self.skip_step),
                    *(self.end_pipeline, self.cancel_pipeline),
                ],
                **options,
            ),
            Worker(client, task_queue=transfers_queue(task_queue), activities=[steps.archive, self.mix]),
        )

    @activity.defn
    async def begin_step(self, step: Step) -> Begun:
        self.done.append(f"begin {step.id}")
        if step.id in self.begins:
            return self.begins[step.id]
        provider = ProviderName.REELAY if step.id == "film" else ProviderName.FAL
        return Begun(status=StepStatus.RUNNING, generation=replace(self.generation, id=uuid4(), provider=provider))

    @activity.defn
    async def wait_for_job(self, step: Step) -> StepStatus:
        self.done.append(f"wait {step.id}")
        return self.waits

    @activity.defn
    async def ask_for_approval(self, step: Step) -> None:
        self.done.append(f"ask {step.id}")

    @activity.defn
    async def decide(self, decided: Decided) -> None:
        self.done.append(f"{'approve' if decided.is_approved else 'reject'} {decided.step.id} {decided.note}".strip())

    @activity.defn
    async def skip_step(self, step: Step) -> None:
        self.done.append(f"skip {step.id}")

    @activity.defn
    async def end_pipeline(self, pipeline_id: UUID) -> PipelineStatus:
        self.done.append("end")
        return PipelineStatus.COMPLETED

    @activity.defn
    async def cancel_pipeline(self, pipeline_id: UUID) -> None:
        self.done.append("cancel")

    @activity.defn
    async def mix(self, mixing: Mixing) -> Archived:
        self.done.append("mix")
        if self.mix_failure:
            raise self.mix_failure
        return Archived(files=(VIDEO,), provider_url=None)

    @activity.defn
    async def complete(self, completion: Completion) -> None:
        self.done.append(f"complete {completion.generation.provider}")

    @activity.defn
    async def end(self, ending: Ending) -> None:
        self.done.append(f"end {ending.generation.provider}")
        self.ending = ending


def bad_film() -> ApplicationError:
    return non_retryable(Failure(code=FailureCode.BAD_MEDIA, message="no pictures"))

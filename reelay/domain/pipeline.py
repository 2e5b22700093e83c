"""A pipeline: jobs and mixes that depend on each other, and how each of its steps stands."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from reelay.domain.generation import Generation

MOST_STEPS = 50
STEP_ID = "[A-Za-z][A-Za-z0-9_-]{0,49}"
STEP_REFERENCE = re.compile(f"step:({STEP_ID})")
APPROVAL_WINDOW = timedelta(days=7)
"""How long a step waits for its approval. After that it fails, and what depends on it is skipped."""


class PipelineStatus(StrEnum):
    """Where a pipeline stands; the last three are final, until it is retried.

    - `running`: some of its steps have not ended.
    - `waiting_for_approval`: a step waits to be approved or rejected; others may run meanwhile.
    - `completed`: all of its steps have completed.
    - `failed`: a step failed or was rejected, and what depends on it was skipped.
    - `canceled`: it was canceled.
    """

    RUNNING = "running"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


class StepStatus(StrEnum):
    """Where a step of a pipeline stands.

    - `waiting`: it waits for the steps that it needs.
    - `running`: its job runs.
    - `waiting_for_approval`: its job has completed, and waits to be approved or rejected.
    - `completed`: its job has completed, and was approved where that was asked for.
    - `reused`: an earlier job with the same content stands for it, at no cost.
    - `failed`: its job failed or was canceled, or its result was rejected.
    - `skipped`: it was not begun, because a step that it needs failed, or the pipeline was canceled.
    """

    WAITING = "waiting"
    RUNNING = "running"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    COMPLETED = "completed"
    REUSED = "reused"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def is_done(self) -> bool:
        """Whether what needs it can begin."""
        return self in (StepStatus.COMPLETED, StepStatus.REUSED)

    @property
    def is_lost(self) -> bool:
        """Whether what needs it cannot begin any more."""
        return self in (StepStatus.FAILED, StepStatus.SKIPPED)


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """One step, as its workflow has to know it."""

    id: str
    status: StepStatus = StepStatus.WAITING
    """Where it stood when the run was started: a run that is started again takes over what there is."""
    needs: tuple[str, ...] = ()
    needs_approval: bool = False


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The workflow's input: all that is known when its run is started."""

    id: UUID
    user_id: UUID
    steps: tuple[PlannedStep, ...]
    approval_window: timedelta = APPROVAL_WINDOW
    with_search_attributes: bool = True
    ended_by: str | None = None
    """The id of the run after whose end it was retried."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a pipeline, for the activities."""

    pipeline_id: UUID
    id: str


@dataclass(frozen=True, kw_only=True)
class Begun:
    """What became of a step when its turn came."""

    status: StepStatus
    generation: Generation | None = None
    """What is to be generated or mixed, of one that runs."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The word of whoever approves."""

    step: str
    is_approved: bool
    note: str = ""


def steps_named_in(value: Any) -> set[str]:
    """The ids in all `step:ID` of an input, whatever its shape."""
    match value:
        case str():
            named = STEP_REFERENCE.fullmatch(value)
            return {named[1]} if named else set()
        case Mapping():
            return set().union(*map(steps_named_in, value.values()))
        case list() | tuple():
            return set().union(*map(steps_named_in, value))
    return set()


def with_jobs(value: Any, jobs: Mapping[str, UUID]) -> Any:
    """The input with `job:<id>` in place of each `step:ID`."""
    match value:
        case str():
            named = STEP_REFERENCE.fullmatch(value)
            return f"job:{jobs[named[1]]}" if named and named[1] in jobs else value
        case Mapping():
            return {key: with_jobs(part, jobs) for key, part in value.items()}
        case list() | tuple():
            return [with_jobs(part, jobs) for part in value]
    return value


def in_order(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """The steps, each behind those that it needs; those in a circle, and what needs them, are left out."""
    ordered: list[str] = []
    left = dict(needs)
    while ready := [step for step, needed in left.items() if set(needed) <= set(ordered)]:
        ordered += ready
        for step in ready:
            del left[step]
    return ordered

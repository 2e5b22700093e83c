"""What was recorded replays under today's workflow: a deploy does not break the generations that are running."""

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.paths import ROOT
from tests.workflow.record import ENDPOINT, HOUSEKEEPING, PATHS, PIPELINE_PATHS, RECONCILIATION, RELEASE, RELEASES
from workflows.client import tracing_interceptors
from workflows.converter import data_converter
from workflows.endpoints import EndpointWorkflow
from workflows.generation import GenerationWorkflow
from workflows.housekeeping import HousekeepingWorkflow
from workflows.pipeline import PipelineWorkflow
from workflows.reconciliation import ReconciliationWorkflow

# Those whose running generations today's workers go on with where workers have no versions. One that today's workflow
# does not replay any more leaves this list, and the changelog says "let running generations end first".
TAKEN_OVER = ("0.1.0",)
RECORDED = {
    f"{release}-{path.stem}": path.read_text()
    for release in TAKEN_OVER
    for path in (RELEASES / release / "histories").glob("*.json")
}


def test_every_path_is_recorded() -> None:
    assert {
        f"{RELEASE}-{name}" for name in (*PATHS, *PIPELINE_PATHS, RECONCILIATION, ENDPOINT, HOUSEKEEPING)
    } <= RECORDED.keys()


def test_the_changelog_says_which_releases_are_not_taken_over() -> None:
    given_up = {folder.name for folder in RELEASES.iterdir()} - set(TAKEN_OVER)
    assert not given_up or "let running generations end first" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.fault("O9")
@pytest.mark.parametrize("name", sorted(RECORDED))
async def test_recorded_history_replays(name: str) -> None:
    await replay(RECORDED[name])


async def test_what_ran_without_traces_goes_on_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")

    assert tracing_interceptors()
    for history in RECORDED.values():
        await replay(history)


async def test_replay_notices_a_changed_order() -> None:
    changed = RECORDED[f"{RELEASE}-webhook"].replace('"name": "archive"', '"name": "complete"')

    with pytest.raises(NondeterminismError):
        await replay(changed)


async def replay(history: str) -> None:
    replayer = Replayer(
        workflows=[
            GenerationWorkflow,
            PipelineWorkflow,
            ReconciliationWorkflow,
            EndpointWorkflow,
            HousekeepingWorkflow,
        ],
        data_converter=data_converter,
        interceptors=tracing_interceptors(),
    )
    await replayer.replay_workflow(WorkflowHistory.from_json("recorded", history))

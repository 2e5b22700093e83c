"""What was recorded replays under today's workflow: a deploy does not break the generations that are running."""

from collections.abc import AsyncIterator, Mapping

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


@pytest.fixture(scope="module")
async def replayed() -> dict[str, Exception | None]:
    return await replay(RECORDED)


@pytest.mark.fault("O9")
@pytest.mark.parametrize("name", sorted(RECORDED))
def test_recorded_history_replays(replayed: dict[str, Exception | None], name: str) -> None:
    if failure := replayed[name]:
        raise failure


async def test_what_ran_without_traces_goes_on_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")

    assert tracing_interceptors()
    assert await replay(RECORDED) == dict.fromkeys(RECORDED)


async def test_replay_notices_a_changed_order() -> None:
    changed = RECORDED[f"{RELEASE}-webhook"].replace('"name": "archive"', '"name": "complete"')

    assert isinstance((await replay({"changed": changed}))["changed"], NondeterminismError)


async def replay(histories: Mapping[str, str]) -> dict[str, Exception | None]:
    """By name why a history does not replay: None where it does. One replayer prepares the sandbox once."""

    async def named() -> AsyncIterator[WorkflowHistory]:
        for name, history in histories.items():
            yield WorkflowHistory.from_json(name, history)

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
    async with replayer.workflow_replay_iterator(named()) as results:
        return {result.history.workflow_id: result.replay_failure async for result in results}

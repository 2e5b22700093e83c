"""What was recorded replays under today's workflow: a deploy does not break the generations that are running."""

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.workflow.record import HISTORIES, PATHS, SHAPE
from workflows.converter import data_converter
from workflows.generation import GenerationWorkflow
from workflows.starting import tracing_interceptors

RECORDED = {path.stem: path.read_text() for path in HISTORIES.glob("*.json")}


def test_every_path_is_recorded() -> None:
    assert {f"{SHAPE}-{name}" for name in PATHS} <= RECORDED.keys()


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
    changed = RECORDED[f"{SHAPE}-webhook"].replace('"name": "archive"', '"name": "complete"')

    with pytest.raises(NondeterminismError):
        await replay(changed)


async def replay(history: str) -> None:
    replayer = Replayer(
        workflows=[GenerationWorkflow],
        data_converter=data_converter,
        interceptors=tracing_interceptors(),
    )
    await replayer.replay_workflow(WorkflowHistory.from_json("recorded", history))

"""What a workflow's history tells of its cost."""

from collections.abc import Iterable

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from lab.bench.contender import Footprint

# One action each: https://docs.temporal.io/cloud/actions
BILLED = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
        EventType.EVENT_TYPE_TIMER_STARTED,
        EventType.EVENT_TYPE_MARKER_RECORDED,
        EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
    }
)


async def footprint_of(client: Client, workflow_id: str) -> Footprint:
    run = client.get_workflow_handle(workflow_id)
    history, described = await run.fetch_history(), await run.describe()
    return Footprint(
        events=len(history.events),
        actions=_actions(history.events),
        history_bytes=described.raw_info.history_size_bytes,
    )


def _actions(events: Iterable[HistoryEvent]) -> int:
    """An activity's retries are billed like its first attempt, but only the last one is an event."""
    return sum(
        (event.event_type in BILLED) + max(event.activity_task_started_event_attributes.attempt - 1, 0)
        for event in events
    )

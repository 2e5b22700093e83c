"""How far along a generation is: in percent, estimated from its stage when nobody measured it, and as a sentence."""

from datetime import timedelta

from reelay.domain.generation import ProviderName, Stage, Status, WaitingFor
from reelay.domain.messages import Sentence

# Where each stage starts and ends on the way from 0 to 100.
SPANS: dict[Stage, tuple[int, int]] = {
    Stage.RESERVING: (0, 0),
    Stage.WAITING: (0, 0),
    Stage.SUBMITTING: (0, 10),
    Stage.UNCERTAIN: (10, 10),
    Stage.QUEUED: (10, 25),
    Stage.GENERATING: (25, 75),
    Stage.POLLING: (25, 75),
    Stage.FETCHING: (75, 75),
    Stage.ARCHIVING: (75, 95),
    Stage.FINISHING: (95, 95),
    Stage.DONE: (100, 100),
}
UNAVAILABLE = frozenset({WaitingFor.PROVIDER, WaitingFor.ACCOUNT, WaitingFor.KEY})
"""Of these, users read that the provider is not available; why is the operator's."""
SPREAD_OVER_TIME = frozenset({Stage.QUEUED, Stage.GENERATING, Stage.POLLING})


def measured_progress(percent: int) -> int:
    """Percent of the whole, of what the provider says of its own work."""
    start, end = SPANS[Stage.GENERATING]
    return start + (end - start) * min(max(percent, 0), 100) // 100


def estimate_progress(status: Status, stage: Stage, in_stage: timedelta, expected: timedelta) -> int:
    """Percent done. Never reaches the end of a span by time alone, so that the bar never lies about being finished."""
    if status is Status.COMPLETED:
        return 100
    if status.is_final:
        return 0
    start, end = SPANS[stage]
    if stage not in SPREAD_OVER_TIME or expected <= timedelta(0):
        return start
    elapsed = max(in_stage / expected, 0.0)
    return start + int((end - start) * min(elapsed, 0.95))


def progress_sentence(
    status: Status,
    stage: Stage,
    provider: ProviderName | None,
    *,
    waiting_for: WaitingFor | None = None,
    queue_position: int | None = None,
) -> Sentence:
    """What happens to a generation, for its user: by what it waits for, else by its status and stage.

    `provider`: None is enough for one that has ended.
    """
    if queue_position is not None:
        return Sentence("queued_behind", provider=provider, ahead=queue_position)
    if waiting_for in UNAVAILABLE:
        return Sentence("provider_unavailable", provider=provider)
    return Sentence(f"ended_{status}" if status.is_final else f"stage_{stage}", provider=provider)

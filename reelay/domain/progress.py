"""How far along a generation is, in percent, estimated from its stage when nobody measured it."""

from datetime import timedelta

from reelay.domain.generation import Stage, Status

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

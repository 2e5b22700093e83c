"""How long a generation may take: the catalogue's times, and what the environment sets in their place."""

from datetime import timedelta

from reelay.catalog.model import Model
from reelay.domain.generation import Timing
from reelay.settings import Settings


def timing_of(model: Model, settings: Settings, *, submission_window: timedelta | None = None) -> Timing:
    """The catalogue's times, unless the environment says otherwise; `submission_window`: the caller's own."""
    timing = model.timing
    return Timing(
        expected=timing.expected,
        patience=timing.patience if settings.webhook_patience is None else settings.webhook_patience,
        poll_interval=settings.poll_interval or timing.poll_interval,
        adoption_window=settings.adoption_window or timing.adoption_window,
        deadline=settings.generation_deadline or timing.deadline,
        submission_window=submission_window or settings.submission_window or timing.submission_window,
        archive_window=settings.archive_window or timing.archive_window,
        fallback_after=settings.fallback_after,
    )

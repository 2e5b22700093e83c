"""How a run hears that it was canceled.

asyncio tells a cancellation once, as an error of what is awaited at that moment, and it is lost where that ends all the
same: an activity that had its result by then, a condition that came true in the same moment, an error that is
suppressed. So a run awaits everything by `unless_canceled`, and what has to be done in any case by
`finish_despite_cancel`.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.errors import is_non_retryable

T = TypeVar("T")


def raise_if_canceled() -> None:
    """Raises: CancelledError."""
    if workflow.cancellation_reason() is not None:
        raise asyncio.CancelledError


async def unless_canceled(awaited: Awaitable[T]) -> T:
    """What is awaited, if the run is not canceled by then. A final failure is told all the same.

    Raises: CancelledError.
    """
    try:
        result = await awaited
    except FailureError as error:
        if not is_non_retryable(error):  # Temporal does not retry an activity that it was asked to cancel
            raise_if_canceled()
        raise
    raise_if_canceled()
    return result


async def stopped(activity: workflow.ActivityHandle[T]) -> T | None:
    """Cancel the activity, and return what it came to all the same, if anything. Raises: CancelledError."""
    activity.cancel()
    with suppress(ActivityError):
        return await unless_canceled(activity)
    return None


async def finish_despite_cancel(activity: workflow.ActivityHandle[T]) -> T:
    """What the activity comes to. A cancellation comes too late: once canceled, Temporal would not retry it."""
    try:
        return await asyncio.shield(activity)
    except asyncio.CancelledError:  # at most once in a run's life
        return await activity

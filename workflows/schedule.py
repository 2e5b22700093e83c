"""The schedules of the reconciliation, the housekeeping and the bill, kept alive by every worker that serves them."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from functools import partial

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from reelay.background import Succeeded, TaskSupervisor
from reelay.domain.bill import BillToRead
from workflows.bill import BillReconciliationWorkflow
from workflows.housekeeping import HousekeepingWorkflow
from workflows.ids import bill_reconciliation_id, housekeeping_id, reconciliation_id
from workflows.reconciliation import ReconciliationWorkflow

# An activity writes the row within moments of its workflow's event; a row unchanged for longer is not worked on.
GRACE = timedelta(seconds=30)
# A Temporal that has lost its database has lost the schedule, too: it is back within this time.
CHECK_AT_LEAST_EVERY = timedelta(minutes=1)
BILL_EVERY = timedelta(days=1)


def keeping_schedule(
    tasks: TaskSupervisor, client: Client, task_queue: str, every: timedelta
) -> AbstractAsyncContextManager[None]:
    """While the block runs, Temporal has the schedule: made or brought up to date at first, made again should it go."""
    keep = partial(_keep, client, reconciliation_id(task_queue), schedule(task_queue, every))
    return tasks.running("reconciliation_schedule", keep)


def keeping_housekeeping(
    tasks: TaskSupervisor, client: Client, task_queue: str, every: timedelta
) -> AbstractAsyncContextManager[None]:
    """The same for the housekeeping."""
    keep = partial(_keep, client, housekeeping_id(task_queue), housekeeping_schedule(task_queue, every))
    return tasks.running("housekeeping_schedule", keep)


def keeping_bill_reconciliation(
    tasks: TaskSupervisor, client: Client, task_queue: str
) -> AbstractAsyncContextManager[None]:
    """The same for the bill."""
    keep = partial(_keep, client, bill_reconciliation_id(task_queue), bill_schedule(task_queue))
    return tasks.running("bill_schedule", keep)


def bill_schedule(task_queue: str) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            BillReconciliationWorkflow.run,
            BillToRead(),
            id=bill_reconciliation_id(task_queue),
            task_queue=task_queue,
            execution_timeout=timedelta(hours=3),
            static_summary="What the provider has billed, beside what was charged",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=BILL_EVERY)]),
        # One that was missed while Temporal was away is made up for: a job may be deleted before the next.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=BILL_EVERY),
    )


def housekeeping_schedule(task_queue: str, every: timedelta) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            HousekeepingWorkflow.run,
            id=housekeeping_id(task_queue),
            task_queue=task_queue,
            execution_timeout=timedelta(hours=2),
            static_summary="What is too old, and what deleted users and jobs have left",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
    )


def schedule(task_queue: str, every: timedelta) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            ReconciliationWorkflow.run,
            GRACE,
            id=reconciliation_id(task_queue),
            task_queue=task_queue,
            # A pass that no worker takes must not keep the later ones from starting forever.
            execution_timeout=timedelta(minutes=20),
            static_summary="Rows without a run, and runs closed by hand",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
    )


async def _keep(client: Client, schedule_id: str, wanted: Schedule, succeeded: Succeeded) -> None:
    is_current = False
    check_every = min(CHECK_AT_LEAST_EVERY, *(interval.every for interval in wanted.spec.intervals))
    while True:
        await _make_or_update(client, schedule_id, wanted, is_current=is_current)
        is_current = True
        succeeded()
        await asyncio.sleep(check_every.total_seconds())


async def _make_or_update(client: Client, schedule_id: str, wanted: Schedule, *, is_current: bool) -> None:
    try:
        await client.create_schedule(schedule_id, wanted)
    except ScheduleAlreadyRunningError:
        if not is_current:
            await client.get_schedule_handle(schedule_id).update(lambda found: _updated(found, wanted))


def _updated(found: ScheduleUpdateInput, wanted: Schedule) -> ScheduleUpdate:
    # An operator who has paused it keeps it paused.
    return ScheduleUpdate(replace(wanted, state=found.description.schedule.state))

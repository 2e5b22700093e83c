"""Stopping a generation.

What was not submitted ends here, in one transaction: no order of calls and tasks, and no worker that dies in between,
can make a purchase of it, and Temporal may be away. Everything else is its run's to stop, which withdraws its request.
"""

from contextlib import suppress
from uuid import UUID

from api.context import RequestContext
from api.generations.any_job import record_act_on
from api.generations.read import find_job, job_view
from api.generations.schemas import JobView
from reelay.db.audit_log import AuditAction
from reelay.db.generations import cancel_unsubmitted
from reelay.domain.generation import Origin, Status
from workflows.runs import NoRun, TemporalFailed


async def cancel_job(context: RequestContext, name: UUID | str) -> JobView:
    """Stop it, here and as far as possible at the provider. Once ended, it stays as it ended.

    Raises: NotFound, TemporalFailed.
    """
    row, runs = await find_job(context, name), context.services.runs
    if Status(row.status).is_final:
        return await job_view(context, row.id)
    await record_act_on(context, AuditAction.JOB_CANCELED, row)
    async with context.services.service_sessions.begin() as session:
        is_canceled = await cancel_unsubmitted(session, row.user_id, row.id)
    if is_canceled:
        with suppress(NoRun, TemporalFailed):  # a run that does not hear of it finds the row's end before it submits
            await runs.cancel(row.id)
    else:
        with suppress(NoRun):  # it has ended meanwhile
            if row.origin == Origin.REELAY:  # what another backend has submitted has no attempt before it is taken over
                await runs.start(row)  # in case that Temporal has lost it; what was sent is not sent again
            await runs.cancel(row.id)
    return await job_view(context, row.id)

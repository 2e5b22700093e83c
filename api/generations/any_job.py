"""An administrator opens anybody's job, and acts on it in its user's place: with that user's rows and nobody else's.

What is done to another user's job is in the audit log.
"""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import Depends

from api.context import Context, RequestContext
from api.generations.read import JobName
from api.http.links import Links
from api.services import Services
from reelay.db.audit_log import AuditAction, record_act
from reelay.db.generations import find_anybodys_generation
from reelay.db.tables import GenerationJob, Scope
from reelay.domain.access_pass import Holder
from reelay.domain.identifiers import parse_uuid


async def user_of_job(services: Services, scope: Scope, user_id: UUID, name: UUID | str) -> UUID:
    """Whose rows the caller is shown for this job: the caller's own, to an administrator the job's user's."""
    job_id = parse_uuid(str(name)) if scope is Scope.ADMIN else None
    if job_id is None:
        return user_id
    async with services.service_sessions() as session:
        job = await find_anybodys_generation(session, job_id)
    return job.user_id if job else user_id


def holder_for(holder: Holder, user_id: UUID) -> Holder:
    """For links to that user's media, which stop with the administrator's own key."""
    return replace(holder, user_id=user_id)


def in_place_of(context: RequestContext, user_id: UUID) -> RequestContext:
    """An administrator's context for that user's jobs."""
    links = Links(context.links.origin, context.services.signing_secret, holder_for(context.caller.holder, user_id))
    return replace(context, user_id=user_id, links=links)


async def _job_context(context: Context, job_id: JobName) -> RequestContext:
    caller = context.caller
    user_id = await user_of_job(context.services, caller.scope, caller.user_id, job_id)
    return context if user_id == caller.user_id else in_place_of(context, user_id)


JobContext = Annotated[RequestContext, Depends(_job_context)]
"""Of a route with `job_id` in its path: the caller's, for an administrator that of the job's user."""


async def record_act_on(context: RequestContext, action: AuditAction, job: GenerationJob) -> None:
    """Before it is done. What users do to their own jobs is not an operator's act."""
    if context.user_id == context.caller.user_id:
        return
    async with context.services.service_sessions.begin() as session:
        await record_act(session, context.caller.actor, action, str(job.id), user_id=job.user_id)

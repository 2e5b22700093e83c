"""Deleting an ended generation, with its files and what its provider stores of it."""

from uuid import UUID

import structlog

from api.context import RequestContext
from api.generations.read import find_job
from api.http.problems import Conflict, NotFound
from reelay.db.deletion import Erasure, delete_job, forget_files_of, is_deleted
from reelay.domain.identifiers import parse_uuid
from reelay.domain.messages import Sentence
from reelay.media.errors import MediaError

log = structlog.get_logger()


async def delete(context: RequestContext, name: UUID | str) -> None:
    """Nothing where it is deleted already. Raises: NotFound, Conflict while it runs."""
    user_id = context.caller.user_id
    try:
        row = await find_job(context, name)
    except NotFound:
        if (given := parse_uuid(str(name))) and await _was_deleted(context, given):
            return
        raise
    async with context.services.service_sessions.begin() as session:
        erasure = await delete_job(session, user_id, row.id)
    if erasure is None:
        if await _was_deleted(context, row.id):  # meanwhile
            return
        raise Conflict(Sentence("delete_conflict", status=row.status))
    await _erase_files(context, erasure)


async def _was_deleted(context: RequestContext, generation_id: UUID) -> bool:
    async with context.transaction() as session:
        return await is_deleted(session, context.caller.user_id, generation_id)


async def _erase_files(context: RequestContext, erasure: Erasure) -> None:
    """At once. Where that fails, and for what the provider stores, the housekeeping does it."""
    assert erasure.prefix is not None
    try:
        await context.services.storage.delete_below(erasure.prefix)
    except MediaError as error:
        log.warning("erasure_failed", erasure=erasure.id, error=str(error))
        return
    async with context.services.service_sessions.begin() as session:
        await forget_files_of(session, [erasure.id])

"""For operators: what happened to any job, with the accounts, keys and causes that its user does not read."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path

from api.generations.schemas import EventView, History
from api.http.problems import NotFound, problems
from api.identity.dependencies import AdminCaller
from api.services import ServicesDep
from reelay.db.generations import find_anybodys_generation, timeline
from reelay.domain.messages import Sentence

router = APIRouter(prefix="/api/admin/jobs", tags=["operators"], responses=problems(HTTPStatus.FORBIDDEN))


@router.get("/{job_id}/history")
async def read_job_history(
    job_id: Annotated[UUID, Path(description="The job's id.")], admin: AdminCaller, services: ServicesDep
) -> History:
    """The timeline of anybody's job, in English, with the causes."""
    async with services.service_sessions() as session:
        row = await find_anybodys_generation(session, job_id)
        if row is None:
            raise NotFound(Sentence("job_not_found"))
        events = await timeline(session, row.user_id, row.id)
    return History(data=[EventView.from_row(event, event.detail) for event in events])

"""Jobs as they change, as server-sent events."""

import time
from typing import Annotated

from fastapi import APIRouter, Header, Query

from api.dependency import dependency
from api.events.access import EventReader, TheEventReader
from api.events.schemas import EventToken
from api.events.stream import AllJobs, EventResponse, EventStream, OneJob, Subject
from api.generations.read import JobName, TheLinks
from api.http.language import RequestLanguage
from api.http.links import Links
from api.http.problems import NotFound
from api.identity.dependencies import CurrentCaller
from api.services import Services, ServicesDep
from reelay.db.engine import as_user
from reelay.db.generations import find_generation_named
from reelay.domain.event_token import CONNECT_WITHIN_SECONDS, make_event_token
from reelay.domain.language import Language
from reelay.domain.messages import Sentence

router = APIRouter(prefix="/api", tags=["generations"])

LARGEST_EVENT = 2**63 - 1


class Wishes:
    """Where a stream begins, and whether estimates are sent."""

    def __init__(
        self,
        header: Annotated[
            int, Header(alias="last-event-id", ge=0, le=LARGEST_EVENT, description="Go on after it.")
        ] = 0,
        query: Annotated[
            int,
            Query(alias="lastEventId", ge=0, le=LARGEST_EVENT, description="The same, where no header can be sent."),
        ] = 0,
        progress: Annotated[bool, Query(description="Send `job.progress`, too.")] = False,
    ) -> None:
        self.after = header or query
        """The event to go on after, 0 to begin."""
        self.with_progress = progress


StreamOptionsDep = Annotated[Wishes, dependency(Wishes)]


@router.get("/jobs/{job_id}/events", response_class=EventResponse, status_code=200)
async def stream_job(
    job_id: JobName,
    services: ServicesDep,
    reader: TheEventReader,
    links: TheLinks,
    language: RequestLanguage,
    wishes: StreamOptionsDep,
) -> EventResponse:
    """The job now, then at every change, until it has ended: `job.updated` with the whole job and a growing id.

    With `progress`, between changes `job.progress`, without an id, when what is measured or estimated has moved.
    """
    async with as_user(services.sessions, reader.user_id) as session:
        row = await find_generation_named(session, job_id)
    if row is None:
        raise NotFound(Sentence("job_not_found"))
    return _stream(services, reader, OneJob(services, reader.user_id, row.id), wishes, links, language)


@router.get("/events", response_class=EventResponse, status_code=200)
async def stream_jobs(
    services: ServicesDep, reader: TheEventReader, links: TheLinks, language: RequestLanguage, wishes: StreamOptionsDep
) -> EventResponse:
    """All of the caller's jobs: first the active ones and the latest others, then each that changes, as above.

    It stays open. Who resumes is sent what changed meanwhile, and nothing twice.
    """
    return _stream(services, reader, AllJobs(services, reader.user_id), wishes, links, language)


@router.post("/events/token")
async def create_event_token(services: ServicesDep, caller: CurrentCaller) -> EventToken:
    """A token for `?token=` of the two streams, where no header can be sent (`EventSource`). It expires soon."""
    token = make_event_token(services.signing_secret, await services.callers.pass_of(caller), now=time.time())
    return EventToken(token=token, expires_in_seconds=CONNECT_WITHIN_SECONDS)


def _stream(
    services: Services, reader: EventReader, subject: Subject, wishes: Wishes, links: Links, language: Language
) -> EventResponse:
    stream = EventStream(
        services,
        reader,
        subject,
        after=wishes.after,
        with_progress=wishes.with_progress,
        links=links,
        language=language,
    )
    return EventResponse(stream.text())

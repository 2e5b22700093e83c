"""Jobs as they change, as server-sent events."""

import time
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query

from api.events.access import EventReader, EventReaderDep
from api.events.schemas import EVENTS, EventToken
from api.events.stream import AllJobs, EventResponse, EventStream, OneJob, Subject
from api.generations.any_job import holder_for, user_of_job
from api.generations.read import JobName
from api.http.language import RequestLanguage
from api.http.links import Links
from api.http.problems import NotFound
from api.identity.dependencies import CurrentCaller
from api.services import OriginDep, Services, ServicesDep
from reelay.db.engine import as_user
from reelay.db.generations import find_generation_named
from reelay.domain.access_pass import Purpose, make_token
from reelay.domain.language import Language
from reelay.domain.messages import Sentence

router = APIRouter(prefix="/api", tags=["generations"])

LARGEST_EVENT = 2**63 - 1
CONNECT_WITHIN_SECONDS = 60
"""Of the token's making; a stream that is open stays open."""


@dataclass(frozen=True)
class StreamOptions:
    after: int
    """The event to go on after, 0 to begin."""
    with_progress: bool
    """Whether estimates are sent."""


async def _options(
    header: Annotated[
        int,
        Header(
            alias="last-event-id",
            ge=0,
            le=LARGEST_EVENT,
            description="The id of the last event received: the stream goes on after it.",
        ),
    ] = 0,
    query: Annotated[
        int,
        Query(
            alias="lastEventId",
            ge=0,
            le=LARGEST_EVENT,
            description="The same as `Last-Event-ID`, for clients that send no header.",
        ),
    ] = 0,
    progress: Annotated[bool, Query(description="Whether `job.progress` events are sent.")] = False,
) -> StreamOptions:
    return StreamOptions(after=header or query, with_progress=progress)


StreamOptionsDep = Annotated[StreamOptions, Depends(_options)]


@router.get("/jobs/{job_id}/events", response_class=EventResponse, status_code=200, responses=EVENTS)
async def stream_job(
    job_id: JobName,
    services: ServicesDep,
    reader: EventReaderDep,
    origin: OriginDep,
    language: RequestLanguage,
    options: StreamOptionsDep,
) -> EventResponse:
    """Stream a job: as it is now, then after every change, until it has ended.

    Each `job.updated` has the whole job as data and a growing id. With `progress=true`, `job.progress` events between
    the changes tell the percentage when it has moved.
    """
    user_id = await user_of_job(services, reader.scope, reader.user_id, job_id)
    async with as_user(services.sessions, user_id) as session:
        row = await find_generation_named(session, user_id, job_id)
    if row is None:
        raise NotFound(Sentence("job_not_found"))
    return _stream(services, reader, user_id, OneJob(services, user_id, row.id), options, origin, language)


@router.get("/events", response_class=EventResponse, status_code=200, responses=EVENTS)
async def stream_jobs(
    services: ServicesDep,
    reader: EventReaderDep,
    origin: OriginDep,
    language: RequestLanguage,
    options: StreamOptionsDep,
) -> EventResponse:
    """Stream all of the caller's jobs: first the active and the latest ones, then each job that changes.

    The events are those of a single job's stream. The stream stays open; with `Last-Event-ID` it sends what changed
    meanwhile, and nothing twice.
    """
    return _stream(services, reader, reader.user_id, AllJobs(services, reader.user_id), options, origin, language)


@router.post("/events/token")
async def create_event_token(services: ServicesDep, caller: CurrentCaller) -> EventToken:
    """Create a token for the `token` parameter of the streams, for clients that send no header (`EventSource`)."""
    token = make_token(
        services.signing_secret, Purpose.EVENTS, caller.holder, now=time.time(), lifetime=CONNECT_WITHIN_SECONDS
    )
    return EventToken(token=token, expires_in_seconds=CONNECT_WITHIN_SECONDS)


def _stream(
    services: Services,
    reader: EventReader,
    user_id: UUID,
    subject: Subject,
    options: StreamOptions,
    origin: str,
    language: Language,
) -> EventResponse:
    """`user_id`: whose jobs these are."""
    services.open_streams.admit(reader.user_id, reader.address)
    stream = EventStream(
        services,
        reader,
        subject,
        after=options.after,
        with_progress=options.with_progress,
        links=Links(origin, services.signing_secret, holder_for(reader.holder, user_id)),
        language=language,
    )
    return EventResponse(stream.content(), counted=services.open_streams.counted(reader.user_id, reader.address))

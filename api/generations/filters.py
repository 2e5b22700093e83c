"""Which jobs a list shows."""

from collections.abc import Iterator
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import AwareDatetime

from api.generations.gallery import VIDEO_TYPES
from api.generations.schemas import StatusFilter
from api.http.pagination import Cursor, read_cursor
from api.http.problems import InvalidParams
from api.http.wire import Text, storable
from reelay.db.generations import JobFilters
from reelay.domain.generation import JobType
from reelay.domain.messages import Sentence

METADATA = "metadata."
MOST_METADATA = 5


def job_filters(
    request: Request,
    status: Annotated[StatusFilter | None, Query(description="Only jobs with this status.")] = None,
    type: Annotated[JobType | None, Query(description="Only jobs of this type; `video` means all videos.")] = None,
    model: Annotated[Text | None, Query(max_length=200, description="Only jobs of the model with this name.")] = None,
    campaign_id: Annotated[UUID | None, Query(alias="campaignId", description="Only jobs of this campaign.")] = None,
    clip_id: Annotated[UUID | None, Query(alias="clipId", description="Only jobs of this clip.")] = None,
    batch_id: Annotated[UUID | None, Query(alias="batchId", description="Only jobs of this batch.")] = None,
    created_after: Annotated[
        AwareDatetime | None, Query(alias="createdAfter", description="Only jobs created at this moment or later.")
    ] = None,
    created_before: Annotated[
        AwareDatetime | None, Query(alias="createdBefore", description="Only jobs created before this moment.")
    ] = None,
    search: Annotated[
        Text | None,
        Query(
            max_length=200,
            description="Only jobs whose prompt, text, `externalId` or id contains this, in capitals or not.",
        ),
    ] = None,
    _: Annotated[
        str | None,
        Query(
            alias="metadata.KEY",
            description="Only jobs whose `metadata` has this value under the key KEY, for any name in its place: "
            "`metadata.shoot=7`. A value that is no string is compared as its JSON. At most five.",
        ),
    ] = None,
    after: Cursor = None,
) -> JobFilters:
    """Raises: InvalidParams."""
    return {
        "statuses": status.statuses if status else [],
        "job_types": _job_types(type),
        "model": model,
        "campaign_id": campaign_id,
        "clip_id": clip_id,
        "batch_id": batch_id,
        "created_after": created_after,
        "created_before": created_before,
        "search": search,
        "metadata": list(_metadata(request)),
        "before": read_cursor(after),
    }


Filters = Annotated[JobFilters, Depends(job_filters)]


def _metadata(request: Request) -> Iterator[tuple[str, str]]:
    wanted = [(name, value) for name, value in request.query_params.multi_items() if name.startswith(METADATA)]
    if len(wanted) > MOST_METADATA:
        message = Sentence("field_too_many_items", count=len(wanted), most=MOST_METADATA)
        raise _invalid("metadata", message)
    for name, value in wanted:
        try:
            storable(name + value)
        except ValueError as error:
            raise _invalid("metadata", error.args[0]) from error
        yield name.removeprefix(METADATA), value


def _invalid(field: str, message: str) -> InvalidParams:
    error = {"field": field, "message": message, "limit": None, "value": None}
    return InvalidParams(Sentence("request_invalid"), errors=[error])


def _job_types(type: JobType | None) -> list[JobType]:
    """The job types that a filter means; none stands for all."""
    if type is None:
        return []
    return VIDEO_TYPES if type is JobType.VIDEO else [type]

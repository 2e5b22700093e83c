"""A generation by the id of its request, for clients that poll until `completed` or `failed`."""

from enum import StrEnum
from typing import Annotated, Any, Self

from fastapi import APIRouter, Path, Response

from api.context import Context
from api.generations.read import Logs, job_view, with_logs
from api.generations.schemas import JobView
from api.http.conditional import UNCHANGED, IfNoneMatch, conditional_response
from api.http.problems import NotFound
from api.http.wire import Text
from reelay.catalog.model import KINDS, JobKind
from reelay.db.generations import find_generation_by_request, find_generation_named
from reelay.domain.generation import JobType, Status
from reelay.domain.messages import Sentence

router = APIRouter(prefix="/api", tags=["generations"])


class RequestStatus(StrEnum):
    """The three statuses that end or continue a client's polling."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self is not RequestStatus.PENDING

    @classmethod
    def from_status(cls, status: Status) -> Self:
        """A canceled job will not complete: it has failed."""
        if not status.is_final:
            return cls("pending")
        return cls("completed" if status is Status.COMPLETED else "failed")


class FalJobView(JobView):
    """One job, in the words of a client that polls until `completed` or `failed`."""

    status: RequestStatus  # type: ignore[assignment]  # fewer statuses than elsewhere
    """`pending` until the end; a canceled job is `failed`. `stage` and `progress` say more."""
    result: dict[str, Any] | None
    """What fal would answer, with addresses of the archived files: `{video: {url}}`, `{audio: {url}}`,
    `{images: [{url}]}`, or a transcript. Null until the job is completed."""
    error: str | None
    """Why the job failed, for a person, in the language asked for."""
    node_id: Any
    """`metadata.nodeId`, as sent at creation."""
    project_id: Any
    """`metadata.projectId`, as sent at creation."""

    @classmethod
    def from_job(cls, job: JobView) -> Self:
        status = RequestStatus.from_status(job.status)
        return cls(
            **{
                **job.model_dump(),
                "status": status,
                "result": result_of(job),
                "error": (job.error_message or job.progress_message) if status is RequestStatus.FAILED else None,
                "node_id": job.metadata.get("nodeId"),
                "project_id": job.metadata.get("projectId"),
            }
        )


def result_of(job: JobView) -> dict[str, Any] | None:
    if job.status is not Status.COMPLETED:
        return None
    match KINDS.get(JobType(job.type)):
        case JobKind.TRANSCRIBE:
            return job.result_data
        case JobKind.FIRST_FRAME:
            return {"images": [{"url": file.file_url} for file in job.files]}
        case JobKind.VOICE | JobKind.AMBIENT:
            return {"audio": {"url": job.result_url}}
        case JobKind.VIDEO:
            return {"video": {"url": job.result_url}}
        case _:
            return {"files": [{"url": file.file_url} for file in job.files]} if job.files else job.result_data


RequestId = Annotated[Text, Path(description="The job's `requestId`, your `externalId`, or the provider's request id.")]


@router.get("/fal-jobs/{request_id}", response_model=FalJobView, responses=UNCHANGED)
async def read_job_by_request(
    request_id: RequestId, context: Context, logs: Logs = None, if_none_match: IfNoneMatch = None
) -> Response:
    """The job by its `requestId`, which is there from the first moment, by the caller's own id of it, or by the
    provider's of its request; where these look the same, in this order."""
    user_id = context.user_id
    async with context.transaction() as session:
        row = await find_generation_named(session, user_id, request_id)
        row = row or await find_generation_by_request(session, user_id, request_id)
    if row is None:
        raise NotFound(Sentence("job_not_found"))
    view = await with_logs(context, await job_view(context, row.id), wanted=logs)
    return conditional_response(FalJobView.from_job(view), if_none_match)

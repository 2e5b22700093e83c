"""Batches as clients ask for them and see them."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field

from api.generations.schemas import JobRequest, WebhookUrl
from api.http.links import Links
from api.http.wire import Metadata, Wire
from reelay.db.batches import BatchCounts
from reelay.db.tables import Batch, GenerationJob, MediaFileRow
from reelay.domain.generation import FINAL, Status, media_address

LARGEST_BATCH = 1000


class BatchRequest(Wire):
    """Jobs to create together: all of them, or none."""

    jobs: Annotated[list[JobRequest], Field(min_length=1, max_length=LARGEST_BATCH)]
    """The bodies that `POST /api/jobs` would take."""
    webhook_url: WebhookUrl | None = None
    """An https address that is told, once, when the last of the jobs has ended, besides your endpoints. `GET
    /api/webhook-endpoints/signing-secret` has what that is signed with."""
    metadata: Metadata = Field(default_factory=dict)


class BatchCreatedView(Wire):
    """The answer to a creating call."""

    batch_id: UUID
    """The batch's id."""
    job_ids: list[UUID]
    """The jobs' ids, in the order of the request."""
    estimated_cost_cents: int
    """The price of all jobs in US cents, held until each ends."""
    status_url: str
    """Where the batch can be read."""

    @classmethod
    def from_rows(cls, batch: Batch, jobs: Sequence[GenerationJob], links: Links) -> Self:
        return cls(
            batch_id=batch.id,
            job_ids=[job.id for job in jobs],
            estimated_cost_cents=sum(job.estimated_cost_cents for job in jobs),
            status_url=links.to(f"/api/batches/{batch.id}"),
        )


class BatchEstimate(Wire):
    """What a batch would cost."""

    total: int
    """How many jobs there would be."""
    estimated_cost_cents: int
    """The price of all jobs in US cents."""

    @classmethod
    def from_row(cls, batch: Batch, jobs: Sequence[GenerationJob]) -> Self:
        return cls(total=len(jobs), estimated_cost_cents=batch.estimated_cost_cents)


class BatchStatus(StrEnum):
    """Where a batch stands.

    - `running`: some of its jobs have not ended.
    - `completed`: all of its jobs have ended, however they ended.
    """

    RUNNING = "running"
    COMPLETED = "completed"


class StatusCounts(Wire):
    """How many of the batch's jobs have each status."""

    pending: int
    """How many are stored, and not yet accepted by the provider."""
    submitted: int
    """How many are in the provider's queue."""
    in_progress: int
    """How many the provider works on, or are being archived."""
    completed: int
    """How many are completed."""
    failed: int
    """How many ended without their media."""
    canceled: int
    """How many were canceled."""


class BatchView(Wire):
    """A batch."""

    id: UUID
    """The batch's id."""
    status: BatchStatus
    """Where the batch stands."""
    total: int
    """How many jobs there are."""
    counts: StatusCounts
    """How many of them have each status."""
    progress: int
    """Progress of all jobs in percent; one that has ended counts whole."""
    estimated_cost_cents: int
    """The price of all jobs at creation, in US cents."""
    credits_deducted: int
    """What was charged so far, in US cents."""
    estimated_completion_at: datetime | None
    """When the last job is expected to end; null where nobody knows."""
    metadata: dict[str, Any]
    """Your own data, as sent at creation."""
    created_at: datetime
    """When the batch was created."""
    completed_at: datetime | None
    """When the last of its jobs ended."""

    @classmethod
    def from_row(cls, batch: Batch, counts: BatchCounts, completes_at: datetime | None) -> Self:
        by_status = {status.value: counts.by_status.get(status, 0) for status in Status}
        return cls(
            id=batch.id,
            status=BatchStatus.COMPLETED if counts.by_status.keys() <= FINAL else BatchStatus.RUNNING,
            total=sum(by_status.values()),
            counts=StatusCounts(**by_status),
            progress=int(counts.progress),
            estimated_cost_cents=batch.estimated_cost_cents,
            credits_deducted=counts.charged_cents,
            estimated_completion_at=completes_at,
            metadata=batch.metadata_,
            created_at=batch.created_at,
            completed_at=batch.completed_at,
        )


class BatchResult(Wire):
    """One job of a batch, with what it made."""

    job_id: UUID
    """The job's id."""
    external_id: str | None
    """Your own id for the job, when you gave one."""
    model: str
    """The model's name."""
    status: Status
    """Where the job stands."""
    error_code: str | None
    """Why it failed."""
    credits_deducted: int
    """What you were charged for it, in US cents."""
    files: list[str]
    """The signed addresses of its files, which play without credentials for at least an hour."""

    @classmethod
    def from_row(cls, job: GenerationJob, files: Sequence[MediaFileRow], links: Links) -> Self:
        return cls(
            job_id=job.id,
            external_id=job.external_id,
            model=job.model,
            status=job.status,
            error_code=job.error_code,
            credits_deducted=job.charged_cents,
            files=[file.file_url or links.to_media(media_address(file.job_id, file.name)) for file in files],
        )


class BatchManifest(Wire):
    """What a batch's jobs have made so far."""

    data: list[BatchResult]
    """The jobs, in the order of the request."""

"""What clients see."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import computed_field
from pydantic.alias_generators import to_camel
from sqlalchemy import inspect

from api.job_words import error_code, error_message, progress_message
from api.links import Links
from api.model_run import ModelRun
from api.wire import Wire
from reelay.db.credits import Balance
from reelay.db.generations import TIMING
from reelay.db.tables import Campaign, Clip, GenerationJob, JobEvent, MediaFileRow
from reelay.domain.generation import AT_THE_PROVIDER, GenerationStatus, ProviderName, Stage, Status, media_address
from reelay.domain.language import Language
from reelay.domain.messages import message
from reelay.domain.progress import SPANS, estimate_progress

# A stage further down is newer news. POLLING stands before what a poll reveals.
NEWER = (
    Stage.RESERVING,
    Stage.SUBMITTING,
    Stage.UNCERTAIN,
    Stage.POLLING,
    Stage.QUEUED,
    Stage.GENERATING,
    Stage.FETCHING,
    Stage.ARCHIVING,
    Stage.FINISHING,
    Stage.DONE,
)


class FileView(Wire):
    name: str
    file_url: str
    file_path: str
    file_size: int
    format: str
    sha256: str
    duration_seconds: float | None
    width: int | None
    height: int | None
    aspect_ratio: str | None
    poster_url: str | None
    file_name: str | None
    metadata: dict[str, Any]

    @classmethod
    def from_row(cls, row: MediaFileRow, links: Links) -> Self:
        return cls(
            name=row.name,
            file_url=row.file_url or links.to_media(row.user_id, media_address(row.job_id, row.name)),
            file_path=row.file_path,
            file_size=row.file_size,
            format=row.format,
            sha256=row.sha256,
            duration_seconds=row.duration_seconds,
            width=row.width,
            height=row.height,
            aspect_ratio=row.aspect_ratio,
            poster_url=row.poster_name and links.to_media(row.user_id, media_address(row.job_id, row.poster_name)),
            file_name=row.file_name,
            metadata=row.metadata_,
        )


class JobView(ModelRun):
    id: UUID
    external_id: str | None
    """The caller's own id of it, if one was given."""
    request_id: UUID
    """The same: what `GET /api/fal-jobs/{requestId}` takes before the provider has given its own."""
    type: str
    model: str
    provider: str
    status: Status
    stage: Stage
    progress: int
    progress_message: str
    result_url: str | None
    provider_url: str | None
    files: list[FileView]
    result_data: dict[str, Any] | None
    error_code: str | None
    error_message: str | None
    input: dict[str, Any]
    """The caller's words."""
    estimated_cost_cents: int
    actual_cost_cents: int | None
    credits_deducted: int
    """In cents."""
    fal_request_id: str | None
    attempts: int
    campaign_id: UUID | None
    clip_id: UUID | None
    prompt: str | None
    """The prompt, or the text to say."""
    aspect_ratio: str | None
    """As asked for, else as the first file has it."""
    assets: dict[str, str]
    """The addresses among the inputs, e.g. `firstFrameUrl`."""
    metadata: dict[str, Any]
    logs: list[str] | None = None
    """What the provider printed, when it was asked for."""
    created_at: datetime
    submitted_at: datetime | None
    completed_at: datetime | None
    seconds_left: int | None
    """By what the model usually takes; None when that is over, and once the job has ended."""
    source: Literal["workflow", "database"]

    @classmethod
    def from_row(
        cls,
        row: GenerationJob,
        files: Sequence[MediaFileRow],
        links: Links,
        language: Language,
        live: GenerationStatus | None = None,
        *,
        pushed: Mapping[str, Any] | None = None,
    ) -> Self:
        """The row, and where the workflow's word is newer, the workflow's.

        `pushed` is what a pushing provider said of the result, where the row was read without it.
        """
        at, shown = newest(row, live), [FileView.from_row(file, links) for file in files]
        result_data = None if "result_data" in inspect(row).unloaded else row.result_data
        return cls(
            id=row.id,
            external_id=row.external_id,
            request_id=row.id,
            type=row.job_type,
            model=row.model,
            provider=row.provider,
            status=at.status,
            stage=at.stage,
            progress=_progress(row, at),
            progress_message=progress_message(row, at, language),
            result_url=links.to_media(row.user_id, row.result_url) if row.result_url else None,
            provider_url=row.provider_url,
            files=shown,
            result_data=result_data,
            error_code=error_code(row),
            error_message=error_message(row, language),
            input=row.input_params,
            estimated_cost_cents=row.estimated_cost_cents,
            actual_cost_cents=row.actual_cost_cents,
            credits_deducted=row.charged_cents,
            fal_request_id=row.fal_request_id or at.request_id,
            attempts=row.attempts,
            campaign_id=row.campaign_id,
            clip_id=row.clip_id,
            prompt=_prompt(row),
            aspect_ratio=_asked_ratio(row) or next((file.aspect_ratio for file in shown), None),
            assets=_assets(row),
            metadata=row.metadata_,
            created_at=row.created_at,
            submitted_at=row.submitted_at,
            completed_at=row.completed_at,
            seconds_left=_seconds_left(row, at),
            source="workflow" if live else "database",
            **dict(ModelRun.of(ProviderName(row.provider), result_data or pushed)),
        )


class ProgressView(Wire):
    """How far a job is, by what was measured last and by time."""

    id: UUID
    status: Status
    stage: Stage
    progress: int
    progress_message: str
    seconds_left: int | None

    @classmethod
    def from_row(cls, row: GenerationJob, language: Language) -> Self:
        at = newest(row, None)
        return cls(
            id=row.id,
            status=at.status,
            stage=at.stage,
            progress=_progress(row, at),
            progress_message=progress_message(row, at, language),
            seconds_left=_seconds_left(row, at),
        )


def newest(row: GenerationJob, live: GenerationStatus | None) -> GenerationStatus:
    """A step writes the row before its workflow hears of it, and the workflow moves on before the next step writes.

    An end is told by the row alone: only then are its files, cost and failure there to be shown.
    """
    status, stage = Status(row.status), Stage(row.stage)
    if live and {stage, live.stage} <= AT_THE_PROVIDER and ProviderName(row.provider).reports_by_push:
        live = None  # what it pushed went into the row
    if live and not live.status.is_final and not status.is_final:
        told, written = (NEWER.index(live.stage), live.stage_since), (NEWER.index(stage), row.stage_at)
        if told >= written:
            return live
    return GenerationStatus(status=status, stage=stage, stage_since=row.stage_at, message=row.progress_message)


def _progress(row: GenerationJob, at: GenerationStatus) -> int:
    expected = TIMING.validate_python(row.timing).expected
    # Counted from the submission, not from the stage, which every look at the provider begins anew.
    since = row.submitted_at or at.stage_since
    estimate = estimate_progress(at.status, at.stage, datetime.now(UTC) - since, expected)
    start, end = SPANS[at.stage]
    if at.stage in AT_THE_PROVIDER and ProviderName(row.provider).reports_by_push:
        return row.progress_percent
    return max(estimate, row.progress_percent) if start < row.progress_percent <= end else estimate


def _seconds_left(row: GenerationJob, at: GenerationStatus) -> int | None:
    """Before the provider has it, nobody knows: a locked account may keep it for hours."""
    if at.status.is_final or row.submitted_at is None:
        return None
    expected = TIMING.validate_python(row.timing).expected
    elapsed = max(datetime.now(UTC) - row.submitted_at, timedelta(0))  # the database's clock may be ahead of ours
    left = expected - elapsed
    return int(left.total_seconds()) if left > timedelta(0) else None


def _asked_ratio(row: GenerationJob) -> str | None:
    asked = row.arguments.get("aspect_ratio")
    return asked if isinstance(asked, str) and ":" in asked else None


def _prompt(row: GenerationJob) -> str | None:
    words = row.input_params.get("prompt") or row.input_params.get("text")
    return words if isinstance(words, str) else None


def _assets(row: GenerationJob) -> dict[str, str]:
    words = {to_camel(name): value for name, value in row.input_params.items()}
    return {name: value for name, value in words.items() if name.endswith("Url") and isinstance(value, str)}


class WaitedView(JobView):
    """The answer to a creating call that waited for the end: the job, by the names of the immediate answer, too."""

    job_id: UUID
    message: str

    @classmethod
    def from_job(cls, job: JobView) -> Self:
        told = job.error_message or job.progress_message
        return cls(**job.model_dump(), job_id=job.id, message=told)


class NodeData(Wire):
    """What an editor keeps at its node, to poll with."""

    status: Literal["pending"]
    request_id: UUID
    updated_at: datetime

    @classmethod
    def from_row(cls, row: GenerationJob) -> Self | None:
        """None where the job is no node's."""
        if row.metadata_.get("nodeId") is None:
            return None
        return cls(status="pending", request_id=row.id, updated_at=row.created_at)


class CreatedView(Wire):
    """The answer to a creating call."""

    job_id: UUID
    request_id: UUID
    """The same, see `JobView`."""
    status: Status
    """`submitted`: it is written down, and will be generated whatever happens."""
    message: str
    estimated_cost_cents: int
    estimated_seconds: int
    status_url: str
    events_url: str
    metadata: dict[str, Any] | None = None
    """The caller's, if any came."""
    node_data: NodeData | None = None
    """With `nodeId`."""

    @classmethod
    def from_row(cls, row: GenerationJob, links: Links, language: Language) -> Self:
        """A function of what was fixed at creation, so that a replayed answer equals the first."""
        return cls(
            job_id=row.id,
            request_id=row.id,
            status=Status.SUBMITTED,
            message=message("generation_accepted", language),
            estimated_cost_cents=row.estimated_cost_cents,
            estimated_seconds=int(TIMING.validate_python(row.timing).expected.total_seconds()),
            status_url=links.to(f"/api/jobs/{row.id}"),
            events_url=links.to(f"/api/jobs/{row.id}/events"),
            metadata=row.metadata_ or None,
            node_data=NodeData.from_row(row),
        )


class JobList(Wire):
    data: list[JobView]
    has_more: bool
    next_cursor: str | None


class EventView(Wire):
    """One line of the timeline."""

    id: int
    at: datetime
    status: Status
    stage: Stage
    detail: str
    data: dict[str, Any]

    @classmethod
    def from_row(cls, row: JobEvent) -> Self:
        return cls(id=row.id, at=row.at, status=row.status, stage=row.stage, detail=row.detail, data=row.data)


class History(Wire):
    data: list[EventView]


class ClipView(Wire):
    id: UUID
    campaign_id: UUID
    title: str
    position: int
    status: str
    video: dict[str, Any]
    first_frame: dict[str, Any]
    audio: dict[str, Any]
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_row(cls, row: Clip, links: Links) -> Self:
        return cls(
            id=row.id,
            campaign_id=row.campaign_id,
            title=row.title,
            position=row.position,
            status=row.status,
            video=links.in_clip(row.user_id, row.video),
            first_frame=links.in_clip(row.user_id, row.first_frame),
            audio=links.in_clip(row.user_id, row.audio),
            metadata=row.metadata_,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


class ClipList(Wire):
    data: list[ClipView]


class CampaignView(Wire):
    id: UUID
    name: str
    metadata: dict[str, Any]
    clips: list[ClipView]
    created_at: datetime

    @classmethod
    def from_row(cls, row: Campaign, clips: Sequence[Clip], links: Links) -> Self:
        return cls(
            id=row.id,
            name=row.name,
            metadata=row.metadata_,
            clips=[ClipView.from_row(clip, links) for clip in clips],
            created_at=row.created_at,
        )


class EventToken(Wire):
    token: str
    """For `?token=` of an event stream, and for nothing else."""
    expires_in_seconds: int
    """To connect. A stream that is open stays open."""


class CampaignLine(Wire):
    """A campaign in the list of all."""

    id: UUID
    name: str
    metadata: dict[str, Any]
    clip_count: int
    created_at: datetime

    @classmethod
    def from_row(cls, row: Campaign, clip_count: int) -> Self:
        return cls(id=row.id, name=row.name, metadata=row.metadata_, clip_count=clip_count, created_at=row.created_at)


class CampaignList(Wire):
    data: list[CampaignLine]
    has_more: bool
    next_cursor: str | None


class GalleryFile(FileView):
    """A file under our names, and under those by which galleries of the pushing backend know it."""

    @computed_field(alias="file_url")
    def url_of_file(self) -> str:
        return self.file_url

    @computed_field(alias="file_path")
    def path_of_file(self) -> str:
        return self.file_path

    @computed_field(alias="file_size")
    def size_of_file(self) -> int:
        return self.file_size

    @computed_field(alias="duration_seconds")
    def seconds_of_file(self) -> float | None:
        return self.duration_seconds

    @computed_field
    def dimensions(self) -> dict[str, int | None]:
        return {"width": self.width, "height": self.height}


class VideoView(GalleryFile, ModelRun):
    """A completed video: its first file, all of its files, and the job that made them."""

    id: UUID
    job_id: UUID
    external_id: str | None
    model: str
    prompt: str | None
    files: list[FileView]
    videos: list[GalleryFile]
    """The same, as the pushing backend's galleries call them."""
    campaign_id: UUID | None
    clip_id: UUID | None
    metadata: dict[str, Any]
    created_at: datetime
    completed_at: datetime | None

    @classmethod
    def from_job(
        cls,
        row: GenerationJob,
        files: Sequence[MediaFileRow],
        links: Links,
        *,
        pushed: Mapping[str, Any] | None = None,
    ) -> Self:
        """Of a job with at least one file; `pushed` as for `JobView`."""
        shown = [GalleryFile.from_row(file, links) for file in files]
        job = {
            "id": row.id,
            "job_id": row.id,
            "external_id": row.external_id,
            "model": row.model,
            "prompt": _prompt(row),
            "files": [FileView.from_row(file, links) for file in files],
            "videos": shown,
            "campaign_id": row.campaign_id,
            "clip_id": row.clip_id,
            "metadata": row.metadata_,
            "created_at": row.created_at,
            "completed_at": row.completed_at,
        }
        return cls(**(dict(shown[0]) | job | dict(ModelRun.of(ProviderName(row.provider), pushed))))


class VideoList(Wire):
    data: list[VideoView]
    has_more: bool
    next_cursor: str | None


class ModelList(Wire):
    data: list[dict[str, Any]]


class Estimate(Wire):
    model: str
    estimated_cost_cents: int
    estimated_seconds: int


class Credits(Wire):
    balance_cents: int
    held_cents: int
    """Set aside for jobs that have not ended."""
    available_cents: int
    unmetered: bool
    """New jobs take no credits, whatever there is."""

    @classmethod
    def from_balance(cls, balance: Balance, *, unmetered: bool) -> Self:
        return cls(
            balance_cents=balance.total,
            held_cents=balance.held,
            available_cents=balance.available,
            unmetered=unmetered,
        )

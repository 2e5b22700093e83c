"""The caller's completed videos, in the shape that existing galleries read."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from fastapi import APIRouter
from pydantic import computed_field

from api.context import Context
from api.generations.model_run import ModelRun
from api.generations.schemas import FileView, prompt_of
from api.http.links import Links
from api.http.pagination import Cursor, Page, PageSize, read_cursor, split_page
from api.http.wire import Wire
from reelay.db.generations import files_of, newest_generations
from reelay.db.pushes import pushed_data_of
from reelay.db.tables import GenerationJob, MediaFileRow
from reelay.domain.generation import JobType, ProviderName, Status


class Dimensions(Wire):
    """The size of a video or image."""

    width: int | None
    """Pixels."""
    height: int | None
    """Pixels."""


class GalleryFile(FileView):
    """A file by our names, and by those of galleries of the pushing backend."""

    @computed_field(alias="file_url")
    def url_of_file(self) -> str:
        """The same as `fileUrl`."""
        return self.file_url

    @computed_field(alias="file_path")
    def path_of_file(self) -> str:
        """The same as `filePath`."""
        return self.file_path

    @computed_field(alias="file_size")
    def size_of_file(self) -> int:
        """The same as `fileSize`."""
        return self.file_size

    @computed_field(alias="duration_seconds")
    def seconds_of_file(self) -> float | None:
        """The same as `durationSeconds`."""
        return self.duration_seconds

    @computed_field
    def dimensions(self) -> Dimensions:
        """The size in pixels."""
        return Dimensions(width=self.width, height=self.height)


class VideoView(GalleryFile, ModelRun):
    """A completed video: its first file, all of its files, and the job that made them."""

    id: UUID
    """The job's id."""
    job_id: UUID
    """The same as `id`."""
    external_id: str | None
    """Your own id for the job, when you gave one."""
    model: str
    """The name of the model that made it."""
    prompt: str | None
    """The prompt that it was made from."""
    files: list[FileView]
    """All files of the job."""
    videos: list[GalleryFile]
    """The same files, as galleries of the pushing backend know them."""
    campaign_id: UUID | None
    """The campaign that the job belongs to."""
    clip_id: UUID | None
    """The clip that received the video."""
    metadata: dict[str, Any]
    """Your own data, as sent at creation."""
    created_at: datetime
    """When the job was created."""
    completed_at: datetime | None
    """When the job was completed."""

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
            "prompt": prompt_of(row),
            "files": [FileView.from_row(file, links) for file in files],
            "videos": shown,
            "campaign_id": row.campaign_id,
            "clip_id": row.clip_id,
            "metadata": row.metadata_,
            "created_at": row.created_at,
            "completed_at": row.completed_at,
        }
        return cls(**(dict(shown[0]) | job | dict(ModelRun.from_push(ProviderName(row.provider), pushed))))


class VideoList(Page):
    """A page of completed videos, newest first."""

    data: list[VideoView]
    """The videos with their files."""


VIDEO_TYPES = [JobType.VIDEO, JobType.VIDEO_VEO31]

router = APIRouter(prefix="/api", tags=["generations"])


@router.get("/videos/user")
async def list_videos(context: Context, limit: PageSize = 20, after: Cursor = None) -> VideoList:
    """The caller's completed videos with their files, newest first."""
    user_id = context.user_id
    async with context.transaction() as session:
        found = await newest_generations(
            session,
            user_id,
            limit=limit + 1,
            statuses=[Status.COMPLETED],
            job_types=VIDEO_TYPES,
            before=read_cursor(after),
        )
        page, next_cursor = split_page(found, limit, lambda row: (row.created_at, row.id))
        files = await files_of(session, user_id, [row.id for row in page])
        pushed = await pushed_data_of(session, user_id, page)
    of_job = {row.id: [file for file in files if file.job_id == row.id] for row in page}
    videos = [
        VideoView.from_job(row, of_job[row.id], context.links, pushed=pushed.get(row.id))
        for row in page
        if of_job[row.id]
    ]
    return VideoList(data=videos, has_more=next_cursor is not None, next_cursor=next_cursor)

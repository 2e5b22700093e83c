"""A job as the API tells it."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class File(Wire):
    name: str
    file_path: str
    file_url: str
    file_size: int
    format: str
    sha256: str


class Job(Wire):
    id: UUID
    type: str
    model: str
    status: str
    stage: str
    progress: int
    progress_message: str
    seconds_left: int | None = None
    result_url: str | None
    files: list[File]
    error_code: str | None
    error_message: str | None
    fal_request_id: str | None
    created_at: datetime
    document: dict[str, Any] = Field(repr=False)
    """All that the API tells, in its own words."""

    @classmethod
    def read(cls, document: dict[str, Any]) -> Self:
        return cls.model_validate({**document, "document": document})

    def moved(self, progress: dict[str, Any]) -> Self:
        """The same job, with what a `job.progress` event tells."""
        return self.read({**self.document, **progress})

    @property
    def has_ended(self) -> bool:
        return self.status in ("completed", "failed", "canceled")

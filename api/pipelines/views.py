"""Pipelines with their steps and files, from the rows."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.http.links import Links
from api.pipelines.schemas import PipelineView
from reelay.db.generations import files_of
from reelay.db.pipelines import steps_of
from reelay.db.tables import PipelineRow
from reelay.domain.language import Language


async def pipeline_views(
    session: AsyncSession, user_id: UUID, rows: Sequence[PipelineRow], links: Links, language: Language
) -> list[PipelineView]:
    steps = await steps_of(session, user_id, [row.id for row in rows])
    jobs = [step.row.job_id for of_pipeline in steps.values() for step in of_pipeline]
    files = await files_of(session, user_id, jobs)
    return [PipelineView.from_rows(row, steps[row.id], files, links, language) for row in rows]

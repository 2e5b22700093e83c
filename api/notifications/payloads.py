"""What an event says: the resource as its GET shows it."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Text, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import col

from api.batches.schemas import BatchView
from api.doors.fal.results import webhook_body
from api.generations.forecasts import Forecast
from api.generations.schemas import JobView
from api.http.links import Links, StoredLinks
from api.pipelines.views import pipeline_views
from reelay.db.batches import count_batch, find_batch
from reelay.db.generations import files_of
from reelay.db.media_links import stored_link_key
from reelay.db.tables import GenerationJob, MediaFileRow, OutgoingEvent, PipelineRow
from reelay.domain.access_pass import Holder
from reelay.domain.generation import Stage, Status
from reelay.domain.language import Language
from reelay.domain.outgoing import EventType

LARGEST_DATA = 20 * 1024
"""Bytes of JSON: beyond, `resultData` is left out. Standard Webhooks advises it."""
Data = dict[str, Any]


class WebhookPayloads:
    """For the worker, which tells it to nobody's request: with links for the user."""

    def __init__(self, language: Language) -> None:
        self._language = language

    async def data_of(
        self, session: AsyncSession, user_id: UUID, events: Sequence[OutgoingEvent], endpoint_id: UUID | None
    ) -> dict[UUID, Data]:
        tests = {event.id: {"endpointId": str(endpoint_id)} for event in events if event.type == EventType.WEBHOOK_TEST}
        others = [event for event in events if event.id not in tests]
        if not others:
            return tests
        links = StoredLinks(*await stored_link_key(session), Holder(user_id=user_id))
        return tests | await data_of_events(session, user_id, others, links, self._language)

    async def fal_body_of(self, session: AsyncSession, event: OutgoingEvent) -> Data:
        links = StoredLinks(*await stored_link_key(session), Holder(user_id=event.user_id))
        assert event.job_id
        job = await session.get_one(GenerationJob, event.job_id)
        return webhook_body(job, await files_of(session, event.user_id, [job.id]), links, self._language)


async def data_of_events(
    session: AsyncSession, user_id: UUID, events: Sequence[OutgoingEvent], links: Links, language: Language
) -> dict[UUID, Data]:
    """By the event's id."""
    found = await _batch_data(session, user_id, events)
    ids = {event.job_id for event in events if event.job_id}
    jobs = {job.id: job for job in await _jobs(session, user_id, ids)} if ids else {}
    files = await files_of(session, user_id, list(ids)) if ids else []
    pipelines = await _pipelines(
        session, user_id, {event.pipeline_id for event in events if event.pipeline_id}, links, language
    )
    for event in events:
        if event.pipeline_id in pipelines:
            found[event.id] = pipelines[event.pipeline_id]
        if event.job_id in jobs:
            of_job = [file for file in files if file.job_id == event.job_id]
            found[event.id] = _job_data(jobs[event.job_id], of_job, event, links, language)
    return found


async def _batch_data(session: AsyncSession, user_id: UUID, events: Sequence[OutgoingEvent]) -> dict[UUID, Data]:
    found = {}
    for event in events:
        if event.batch_id and (batch := await find_batch(session, user_id, event.batch_id)):
            view = BatchView.from_row(batch, await count_batch(session, user_id, batch.id), completes_at=None)
            found[event.id] = view.model_dump(mode="json", by_alias=True)
    return found


async def _pipelines(
    session: AsyncSession, user_id: UUID, ids: set[UUID], links: Links, language: Language
) -> dict[UUID, Data]:
    if not ids:
        return {}
    ours = select(PipelineRow).where(col(PipelineRow.user_id) == user_id, col(PipelineRow.id).in_(ids))
    views = await pipeline_views(session, user_id, (await session.scalars(ours)).all(), links, language)
    return {view.id: view.model_dump(mode="json", by_alias=True) for view in views}


async def _jobs(session: AsyncSession, user_id: UUID, ids: set[UUID]) -> Sequence[GenerationJob]:
    """Without a `result_data` that no event may have: a page of transcripts would be hundreds of megabytes."""
    result = col(GenerationJob.result_data)
    small_result = case((func.octet_length(cast(result, Text)) <= LARGEST_DATA, result))
    without_result = defer(GenerationJob.result_data, raiseload=True)  # type: ignore[arg-type]  # `col` is for values
    ours = (
        select(GenerationJob, small_result)
        .options(without_result)
        .where(col(GenerationJob.user_id) == user_id, col(GenerationJob.id).in_(ids))
    )
    jobs = []
    for job, small in await session.execute(ours):
        set_committed_value(job, "result_data", small)
        jobs.append(job)
    return jobs


def _job_data(
    job: GenerationJob, files: Sequence[MediaFileRow], event: OutgoingEvent, links: Links, language: Language
) -> Data:
    if event.type == EventType.JOB_SUBMITTED:
        job, files = _as_submitted(job, event), []
    data = JobView.from_row(job, files, links, language, forecast=Forecast()).model_dump(mode="json", by_alias=True)
    if len(json.dumps(data)) > LARGEST_DATA:
        data["resultData"] = None
    return data


def _as_submitted(job: GenerationJob, event: OutgoingEvent) -> GenerationJob:
    """As it was then: by the time it is told, it may have ended."""
    then = {
        "status": Status.SUBMITTED,
        "stage": Stage.QUEUED,
        "stage_at": event.at,
        "waiting_for": None,
        "queue_position": None,
        "progress_percent": 0,
        "result_url": None,
        "provider_url": None,
        "result_data": None,
        "error_code": None,
        "error_message": None,
        "actual_cost_cents": None,
        "charged_cents": 0,
        "credits_deducted": False,
        "completed_at": None,
    }
    return GenerationJob(**{name: getattr(job, name) for name in GenerationJob.model_fields} | then)

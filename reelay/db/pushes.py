"""What a pushing provider's reports do to a generation's row: progress only grows, and the first outcome stays."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.generations import advance_generation, record_progress
from reelay.db.statuses import quoted
from reelay.db.tables import GenerationJob, WebhookDelivery
from reelay.domain.generation import ACTIVE, AT_THE_PROVIDER, ProviderName, Stage, Status, WaitingFor
from reelay.domain.identifiers import parse_uuid

PUSHING = [name for name in ProviderName if name.reports_by_push]
ONWARD = f"""
    stage in ({quoted(AT_THE_PROVIDER)}) and outcome_delivery_id is null and progress_percent <= :progress_percent
"""


async def find_pushed_generations(
    session: AsyncSession, name: str, *, owner_id: UUID | None
) -> Sequence[GenerationJob]:
    """Which generations a push may mean: of providers that push, the one of that id, else those of that external id.

    Of one user, if given, at most one; else two where it is not known whose is meant.
    """
    pushed = select(GenerationJob).where(col(GenerationJob.provider).in_(PUSHING)).limit(2)
    if owner_id is not None:
        pushed = pushed.where(col(GenerationJob.user_id) == owner_id)
    own_id = parse_uuid(name)
    if own_id and (found := (await session.scalars(pushed.where(col(GenerationJob.id) == own_id))).all()):
        return found
    return (await session.scalars(pushed.where(col(GenerationJob.external_id) == name))).all()


async def record_push(
    session: AsyncSession,
    generation_id: UUID,
    *,
    status: Status,
    stage: Stage,
    message: str,
    percent: int,
    note: str | None,
) -> bool:
    """Progress as the provider reports it. Never backwards, never once it has ended; a repetition changes nothing.

    The timeline gets one line for each status, however often it is pushed; a percent alone changes the row alone.
    """
    if await advance_generation(
        session,
        generation_id,
        status=status,
        stage=stage,
        detail=message,
        provider=None,
        message=message,
        data={"note": note} if note else None,
        waiting_for=WaitingFor.QUEUE if stage is Stage.QUEUED else None,
        only_if=ONWARD,
        progress_percent=percent,
    ):
        return True
    return await record_progress(session, generation_id, percent, only_if=ONWARD)


async def claim_final_push(
    session: AsyncSession, generation_id: UUID, delivery_id: UUID, *, data: Mapping[str, Any]
) -> bool:
    """Let this delivery say how a living generation ended. False when another one has, or it is over.

    `data` is what the provider says of the result, or of the failure.
    """
    statement = (
        update(GenerationJob)
        .where(
            col(GenerationJob.id) == generation_id,
            col(GenerationJob.status).in_(ACTIVE),
            or_(
                col(GenerationJob.outcome_delivery_id).is_(None),
                col(GenerationJob.outcome_delivery_id) == delivery_id,
            ),
        )
        .values(outcome_delivery_id=delivery_id, result_data=data)
        .returning(col(GenerationJob.id))
    )
    return (await session.execute(statement)).first() is not None


async def final_push_of(session: AsyncSession, generation_id: UUID) -> bytes | None:
    """The body of the push that reported the outcome."""
    statement = (
        select(col(WebhookDelivery.body))
        .join(GenerationJob, col(GenerationJob.outcome_delivery_id) == col(WebhookDelivery.id))
        .where(col(GenerationJob.id) == generation_id)
    )
    body: bytes | None = await session.scalar(statement)
    return body


async def pushed_data_of(
    session: AsyncSession, user_id: UUID, jobs: Collection[GenerationJob]
) -> dict[UUID, dict[str, Any]]:
    """What providers that push said of their results, by job: small, unlike the transcripts that lists leave out."""
    pushed = [job.id for job in jobs if ProviderName(job.provider).reports_by_push]
    if not pushed:
        return {}
    statement = select(col(GenerationJob.id), col(GenerationJob.result_data))
    rows = await session.execute(
        statement.where(col(GenerationJob.user_id) == user_id, col(GenerationJob.id).in_(pushed))
    )
    return {row.id: row.result_data for row in rows if row.result_data}


async def metadata_of(session: AsyncSession, generation_id: UUID) -> dict[str, Any]:
    """What was pushed about all files of a generation; nothing where its provider does not push."""
    statement = select(col(GenerationJob.result_data)["metadata"]).where(
        col(GenerationJob.id) == generation_id, col(GenerationJob.outcome_delivery_id).is_not(None)
    )
    metadata = await session.scalar(statement)
    return metadata if isinstance(metadata, dict) else {}

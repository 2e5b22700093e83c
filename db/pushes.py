"""What a pushing provider's reports do to a generation's row: onward, and the first last word stays."""

from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.generations import advance_generation, measure_progress
from db.tables import GenerationJob, WebhookDelivery
from domain.generation import ACTIVE, AT_THE_PROVIDER, Stage, Status


async def note_push(
    session: AsyncSession,
    generation_id: UUID,
    *,
    status: Status,
    stage: Stage,
    message: str,
    percent: int,
    note: str | None,
) -> bool:
    """Progress as the provider tells it. Never backwards, never once it has ended; a repetition changes nothing.

    The timeline gets one line for each status, however often it is pushed; a percent alone changes the row alone.
    """
    onward = (
        col(GenerationJob.stage).in_(AT_THE_PROVIDER),
        col(GenerationJob.outcome_delivery_id).is_(None),
        col(GenerationJob.progress_percent) <= percent,
    )
    if await advance_generation(
        session,
        generation_id,
        status=status,
        stage=stage,
        detail=message,
        data={"note": note} if note else None,
        only_if=onward,
        progress_percent=percent,
    ):
        return True
    return await measure_progress(session, generation_id, percent, only_if=onward)


async def take_last_word(session: AsyncSession, generation_id: UUID, delivery_id: UUID) -> bool:
    """Let this delivery say how a living generation ended. False when another one has, or it is over."""
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
        .values(outcome_delivery_id=delivery_id)
        .returning(col(GenerationJob.id))
    )
    return (await session.execute(statement)).first() is not None


async def last_word_of(session: AsyncSession, generation_id: UUID) -> bytes | None:
    """The body of the push that told how it ended."""
    statement = (
        select(col(WebhookDelivery.body))
        .join(GenerationJob, col(GenerationJob.outcome_delivery_id) == col(WebhookDelivery.id))
        .where(col(GenerationJob.id) == generation_id)
    )
    body: bytes | None = await session.scalar(statement)
    return body

"""The inbox in the delivery log: one taker at a time, and nothing that is not settled is forgotten."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, update
from sqlmodel import col

from reelay.db.deliveries import claim_due_deliveries, log_delivery, put_into_inbox, settle_delivery
from reelay.db.engine import Sessions, make_engine, make_sessions
from reelay.db.tables import WebhookDelivery
from reelay.domain.generation import ProviderName
from tests.servers import Postgres


@pytest.fixture
async def sessions(postgres: Postgres) -> AsyncIterator[Sessions]:
    engine = make_engine((await postgres.copy()).admin_url)
    yield make_sessions(engine)
    await engine.dispose()


def delivery() -> WebhookDelivery:
    return WebhookDelivery(
        provider=ProviderName.FAL,
        job_id=uuid4(),
        attempt=1,
        request_id="r",
        verdict="deferred",
        status_code=200,
        body=b"",
    )


async def filled(sessions: Sessions, count: int) -> list[UUID]:
    ids = []
    for _ in range(count):
        async with sessions.begin() as session:
            waits = delivery()
            await put_into_inbox(session, waits)
            ids.append(waits.id)
    return ids


async def claimed(sessions: Sessions, *, at_most: int = 10) -> set[UUID]:
    async with sessions.begin() as session:
        return {row.id for row in await claim_due_deliveries(session, at_most=at_most)}


async def clock_goes_on(sessions: Sessions, by: timedelta) -> None:
    """For the rows: all their times move back."""
    async with sessions.begin() as session:
        received, due = col(WebhookDelivery.received_at), col(WebhookDelivery.next_try_at)
        await session.execute(update(WebhookDelivery).values(received_at=received - by, next_try_at=due - by))


async def test_takers_at_once_get_different_deliveries_and_wait_for_nobody(sessions: Sessions) -> None:
    waiting = await filled(sessions, 5)
    async with sessions.begin() as one, sessions.begin() as other:
        first = [row.id for row in await claim_due_deliveries(one, at_most=3)]
        rest = [row.id for row in await claim_due_deliveries(other, at_most=3)]

    assert (set(first), set(rest)) == (set(waiting[:3]), set(waiting[3:]))


async def test_unsettled_delivery_comes_due_again_after_as_long_as_it_has_waited(sessions: Sessions) -> None:
    (waiting,) = await filled(sessions, 1)
    for age, pause in ((0, 3), (10, 13), (3600, 30)):
        await clock_goes_on(sessions, timedelta(seconds=age))
        assert await claimed(sessions) == {waiting}
        await clock_goes_on(sessions, timedelta(seconds=pause - 1))
        assert await claimed(sessions) == set()
        await clock_goes_on(sessions, timedelta(seconds=1))


async def test_settled_and_ordinary_deliveries_are_not_in_the_inbox(sessions: Sessions) -> None:
    (waiting,) = await filled(sessions, 1)
    async with sessions.begin() as session:
        ordinary = delivery()
        await log_delivery(session, ordinary)
        assert await settle_delivery(session, waiting, "accepted")
        assert not await settle_delivery(session, waiting, "unknown")
        assert not await settle_delivery(session, ordinary.id, "accepted")
        await session.execute(update(WebhookDelivery).values(received_at=func.now() - timedelta(hours=1)))

    assert await claimed(sessions) == set()

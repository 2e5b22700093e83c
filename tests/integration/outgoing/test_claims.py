"""Who is woken for what is due: each receiver in its turn, however much waits for one of them."""

from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from reelay.db.engine import Sessions, make_engine, make_sessions
from reelay.db.outgoing import CLAIMED_OF_EACH, claim_targets
from tests.servers import Postgres

MANY = 5_000
AT_MOST = 1_000
USER = text("insert into users (id, name) values (:target, :name)")
DUE = text("""
    with events as (
        insert into outgoing_events (user_id, sequence, type)
        select :target, number, 'job.completed' from generate_series(1, :count) as number returning id
    )
    insert into outgoing_deliveries (user_id, event_id, target_id, wake_at)
    select :target, id, :target, now() + make_interval(secs => :due_in) from events
""")
CLAIMED = text("select target_id, count(*) from outgoing_deliveries where wake_at > now() group by target_id")


@pytest.fixture
async def sessions(postgres: Postgres) -> AsyncIterator[Sessions]:
    engine = make_engine((await postgres.copy()).admin_url)
    yield make_sessions(engine)
    await engine.dispose()


async def due(sessions: Sessions, count: int, *, due_in: int = -60) -> UUID:
    """A target of a user's own for whom so many deliveries wait."""
    target = uuid4()
    async with sessions.begin() as session:
        await session.execute(USER, {"target": target, "name": str(target)})
        await session.execute(DUE, {"target": target, "count": count, "due_in": due_in})
    return target


async def claimed(sessions: Sessions, *, at_most: int = AT_MOST) -> set[UUID]:
    async with sessions.begin() as session:
        return await claim_targets(session, at_most=at_most)


async def leased(sessions: Sessions) -> Counter[UUID]:
    async with sessions() as session:
        return Counter({target: count for target, count in await session.execute(CLAIMED)})


@pytest.mark.fault("E8")
async def test_a_single_event_is_claimed_next_however_many_are_due_to_another(sessions: Sessions) -> None:
    crowded = await due(sessions, MANY, due_in=-3600)
    assert await claimed(sessions) == {crowded}
    single = await due(sessions, 1, due_in=-1)

    assert await claimed(sessions) == {crowded, single}
    assert await leased(sessions) == {crowded: 2 * CLAIMED_OF_EACH, single: 1}


async def test_all_have_their_turn_before_one_has_more_than_its_share(sessions: Sessions) -> None:
    crowded = {await due(sessions, 40, due_in=-3600) for _ in range(3)}
    single = {await due(sessions, 1) for _ in range(7)}

    assert await claimed(sessions, at_most=20) == crowded | single
    assert await leased(sessions) == {**dict.fromkeys(crowded, 2), **dict.fromkeys(single, 1)}


async def test_those_who_wait_longest_come_first_where_there_are_more_than_can_be_claimed(sessions: Sessions) -> None:
    waiting = [await due(sessions, 2, due_in=-seconds) for seconds in (300, 100, 400, 200)]

    assert await claimed(sessions, at_most=2) == {waiting[0], waiting[2]}
    assert await claimed(sessions, at_most=2) == {waiting[0], waiting[2]}  # their second ones
    assert await claimed(sessions, at_most=2) == {waiting[1], waiting[3]}


async def test_what_is_not_due_is_left_alone(sessions: Sessions) -> None:
    await due(sessions, 3, due_in=3600)
    assert await claimed(sessions) == set()
    ready = await due(sessions, 1)
    assert await claimed(sessions) == {ready}
    assert await claimed(sessions) == set()


async def test_claims_at_once_get_different_deliveries_and_wait_for_nobody(sessions: Sessions) -> None:
    targets = {await due(sessions, 1) for _ in range(2)}
    async with sessions.begin() as one, sessions.begin() as other:
        first = await claim_targets(one, at_most=AT_MOST)
        second = await claim_targets(other, at_most=AT_MOST)

    assert (first, second) == (targets, set())
